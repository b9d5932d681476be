"""Cuts and loss, by packet filter rules inside a node's network namespace.

What comes in is dropped at the node it was sent to, by the address it came from. So a cut has a direction, established
connections are cut, too, and the sender's kernel cannot know. Loss between two nodes works the same way, with the
statistic match. Only answers to clients, whose own filters are not ours, are lost as they leave; the sender's TCP then
sends again a little later.

Rules live in two chains of our own. The filter is asked what is there and told what should be: the whole of it is
written at once (``iptables-restore``), and nothing if it is there already, so that counters go on.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import msgspec

from cluster.docker.netns import Done, NetNode, Runner
from harness.exit_codes import EnvironmentFailure

IN: Final = "QUORUMQUAKE"
OUT: Final = "QUORUMQUAKE-OUT"
ALWAYS: Final = 1_000_000

# What comes over the loopback device never left the node.
_JUMPS: Final = {IN: f"INPUT ! -i lo -j {IN}", OUT: f"OUTPUT ! -o lo -j {OUT}"}

TRIED_FOR_CUTS: Final = (
    ("iptables-save", "-t", "filter"),
    ("iptables-restore", "--version"),
    ("iptables", "-A", "INPUT", "-s", "192.0.2.1", "-j", "DROP"),
)
TRIED_FOR_LOSS: Final = (
    ("iptables", "-A", "INPUT", "-m", "statistic", "--mode", "random", "--probability", "0.5", "-j", "DROP"),
)


class Rule(msgspec.Struct, frozen=True):
    """What becomes of the packets of one address.

    Attributes:
        peer: the address they come from (or, in the chain of what leaves, go to); empty: any.
        ppm: how many of a million.
        target: ``DROP``, or ``RETURN``: they pass.
    """

    peer: str = ""
    ppm: int = ALWAYS
    target: str = "DROP"


class Filter(msgspec.Struct, frozen=True):
    """Our rules on a node: for what comes in, and for what leaves."""

    arriving: tuple[Rule, ...] = ()
    leaving: tuple[Rule, ...] = ()


class Seen(msgspec.Struct, frozen=True):
    """What is there.

    Attributes:
        filter: our rules.
        jumps: for each of our chains how many rules lead to it; a chain that is not there is left out.
        first: the chains whose jump is the first rule of its kind.
        packets: for each rule for what comes in the packets it has caught.
    """

    filter: Filter
    jumps: dict[str, int]
    first: frozenset[str]
    packets: dict[Rule, int]

    def dropped_from(self, address: str) -> int:
        """How many packets from there were dropped because the link is cut."""
        return self.packets.get(Rule(address), 0)


def wanted(
    node: str, cut: Collection[tuple[str, str]], loss: Mapping[str, int], addresses: Mapping[str, str]
) -> Filter:
    """The rules of a node.

    Args:
        node: whose.
        cut: the links (source, destination) that carry nothing.
        loss: the nodes that lose messages, parts in a million; a link gets the worse of its two ends'.
        addresses: of all nodes that are there.
    """
    others = {name: address for name, address in addresses.items() if name != node}
    arriving = [Rule(address) for name, address in others.items() if (name, node) in cut]
    own = loss.get(node, 0)
    for name, address in others.items():
        if (name, node) not in cut and loss.get(name, 0) > own:
            arriving += [Rule(address, loss[name]), *([Rule(address, ALWAYS, "RETURN")] if own else [])]
    if not own:
        return Filter(tuple(arriving))
    to_nodes = [Rule(address, ALWAYS, "RETURN") for address in others.values()]
    return Filter((*arriving, Rule("", own)), (*to_nodes, Rule("", own)))


async def read(runner: Runner, node: NetNode) -> Seen:
    """What is there now.

    Raises:
        EnvironmentFailure: it cannot be read.
    """
    done = await runner.run(node, ["iptables-save", "-c", "-t", "filter"])
    return parse(_checked(done, node).out)


async def write(runner: Runner, node: NetNode, target: Filter) -> Seen:
    """Bring the node's rules to ``target``, at once and completely; return what is there then.

    Raises:
        EnvironmentFailure: it cannot be done, or something else is there afterwards.
    """
    seen = await read(runner, node)
    text = changes(seen, target)
    if not text:
        return seen
    _checked(await runner.run(node, ["iptables-restore", "--noflush", "--wait", "3"], text), node)
    after = await read(runner, node)
    if changes(after, target):
        raise EnvironmentFailure(f"the packet filter of {node.name} does not hold what was written")
    return after


def changes(seen: Seen, target: Filter) -> str:
    """What ``iptables-restore --noflush`` must read to get from ``seen`` to ``target``; empty if that is the same."""
    lines: list[str] = []
    for chain, rules, there, flag in (
        (IN, target.arriving, seen.filter.arriving, "-s"),
        (OUT, target.leaving, seen.filter.leaving, "-d"),
    ):
        jumps = seen.jumps.get(chain)
        in_place = jumps == 1 and chain in seen.first
        if (in_place and rules == there) if rules else jumps is None:
            continue
        lines.append(f":{chain} - [0:0]")  # makes the chain, or empties it
        surplus = 0 if rules and in_place else jumps or 0
        lines += [f"-D {_JUMPS[chain]}"] * surplus
        if not rules:
            lines.append(f"-X {chain}")
            continue
        if not in_place:
            hook, _, rest = _JUMPS[chain].partition(" ")
            lines.append(f"-I {hook} 1 {rest}")
        lines += [f"-A {chain} {_rule_text(rule, flag)}" for rule in rules]
    return "\n".join(["*filter", *lines, "COMMIT", ""]) if lines else ""


def _rule_text(rule: Rule, flag: str) -> str:
    peer = f"{flag} {rule.peer}/32 " if rule.peer else ""
    share = f"-m statistic --mode random --probability {rule.ppm / ALWAYS:.6f} " if rule.ppm != ALWAYS else ""
    return f"{peer}{share}-j {rule.target}"


_COUNTED: Final = re.compile(r"\[(\d+):\d+\] -A (\S+) (.*)")


def parse(saved: str) -> Seen:
    """Read what ``iptables-save -c`` writes."""
    jumps: dict[str, int] = {}
    hooks: dict[str, str] = {}
    rules: dict[str, list[tuple[Rule, int]]] = {IN: [], OUT: []}
    for line in saved.splitlines():
        if line.startswith(":") and (chain := line[1:].split()[0]) in rules:
            jumps.setdefault(chain, 0)
        found = _COUNTED.fullmatch(line.strip())
        if found is None:
            continue
        packets, chain, text = int(found[1]), found[2], found[3]
        if chain in rules:
            rules[chain].append((_parse_rule(text), packets))
            continue
        hooks.setdefault(chain, text)
        for ours, jump in _JUMPS.items():
            if f"{chain} {text}" == jump:
                jumps[ours] = jumps.get(ours, 0) + 1
    first = frozenset(
        ours for ours, jump in _JUMPS.items() if f"{jump.split()[0]} {hooks.get(jump.split()[0])}" == jump
    )
    arriving, leaving = (tuple(rule for rule, _ in rules[chain]) for chain in (IN, OUT))
    return Seen(Filter(arriving, leaving), jumps, first, dict(rules[IN]))


def _parse_rule(text: str) -> Rule:
    peer = re.search(r"-[sd] ([\d.]+)", text)
    share = re.search(r"--probability ([\d.e-]+)", text)
    target = re.search(r"-j (\S+)", text)
    return Rule(
        peer[1] if peer else "", round(float(share[1]) * ALWAYS) if share else ALWAYS, target[1] if target else ""
    )


def in_words(node: str, seen: Seen, names: Mapping[str, str]) -> list[str]:
    """What of ours is there, each rule a sentence; ``names`` has the nodes by address."""
    said = []
    for rule in (rule for rule in seen.filter.arriving if rule.target == "DROP"):
        whose = f"what comes from {names.get(rule.peer, rule.peer)}" if rule.peer else "what comes in"
        said.append(f"{node} drops {'' if rule.ppm == ALWAYS else f'{rule.ppm / 10_000:g} % of '}{whose}")
    said += [f"{node} drops {rule.ppm / 10_000:g} % of its answers to clients" for rule in seen.filter.leaving
             if rule.target == "DROP"]  # fmt: skip
    return said or ([f"{node} has chains of ours that do nothing"] if seen.jumps else [])


def _checked(done: Done, node: NetNode) -> Done:
    if done.status:
        raise EnvironmentFailure(f"the packet filter of {node.name} does not do it: {done.complaint}")
    return done


def why_not(tried: Sequence[Done]) -> str:
    """The reason why rules cannot be set here, of what became of ``TRIED_FOR_...``; empty if they can."""
    failed = next((done for done in tried if done.status), None)
    return "" if failed is None else f"iptables says {failed.complaint!r}" if failed.status != 127 else failed.complaint
