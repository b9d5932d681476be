"""The network faults of a cluster in Docker: cuts, loss, delay, duplicates, reordering, rate; each proved by measuring.

What should be in force is remembered here, and every call brings the nodes to it. So calls may be repeated, and one
that was cancelled leaves the nodes in the state before or after it, which the next call puts right. ``clear`` and
``residue`` go by what is found in the nodes, whoever put it there.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from typing import Any, ClassVar, Final

from cluster.api import ASPECTS, Capability, Cut, Degradation, Evidence
from cluster.docker import netfilter, shaping
from cluster.docker.degradation import PEERS, as_asked, measure_degradation
from cluster.docker.netns import NetNode, Runner
from cluster.docker.reach import CLOSED_S, Link, Reach, reach
from harness.exit_codes import EnvironmentFailure
from harness.together import all_of

__all__ = ["NetNode", "NodeNetworks"]

_SECOND_LOOK: Final = 4  # times longer than the first one, where queues may have held back what was sent


class NodeNetworks:
    """The networks of a cluster's nodes.

    Args:
        nodes: those that are there now; they may join and leave.
        runner: gets into their namespaces.
    """

    closed_s: ClassVar[float] = CLOSED_S  # so long nothing must come through a cut

    def __init__(self, nodes: Callable[[], Sequence[NetNode]], runner: Runner) -> None:
        self._nodes = nodes
        self._runner = runner
        self._lock = asyncio.Lock()
        self._cuts: dict[Cut, None] = {}  # those in force
        self._degraded: dict[str, Degradation] = {}

    def capabilities(self) -> dict[str, Capability]:
        """Whether ``partition``, ``degrade`` and each of its aspects work on this machine, and why not.

        Found out by trying, in a namespace made for that; blocks for some milliseconds the first time.
        """
        return dict(self._tried)

    @functools.cached_property
    def _tried(self) -> dict[str, Capability]:
        groups = (netfilter.TRIED_FOR_CUTS, netfilter.TRIED_FOR_LOSS, shaping.TRIED_FOR_RATE, shaping.TRIED_FOR_NETEM)
        try:
            results = iter(self._runner.try_apart([command for group in groups for command in group]))
        except EnvironmentFailure as failure:
            return dict.fromkeys(("partition", "degrade", *ASPECTS), Capability(False, str(failure)))
        cuts, loss, tbf, netem = ([next(results) for _ in group] for group in groups)
        no_cuts = netfilter.why_not(cuts)
        no_netem = shaping.why_not(netem, "netem")
        why = {
            "partition": no_cuts,
            "loss": no_cuts or netfilter.why_not(loss),
            "delay": no_netem,
            "duplicate": no_netem,
            "reorder": no_netem,
            "rate": shaping.why_not(tbf, "tbf"),
        }
        aspects = [reason for name, reason in why.items() if name != "partition"]
        why["degrade"] = "" if "" in aspects else "; ".join(dict.fromkeys(aspects))
        return {name: Capability(not reason, reason) for name, reason in why.items()}

    # Partitions.

    async def partition(self, cut: Cut) -> Evidence:
        """Cut these links, beside any other cut in force; verified by what does not come through, and is counted.

        Measured are ``links``; ``before`` and ``during``, each with the number of links over which datagrams arrived
        and of connection attempts that were answered; ``dropped``, the packets that the destinations' rules caught
        meanwhile; ``carrying``, links that should not; of links cut in one direction only ``reverse``, the number of
        opposite ones, and over how many of those datagrams arrive.

        Raises:
            EnvironmentFailure: it cannot be done.
        """
        async with self._lock:
            nodes = self._by_name()
            links = _present(cut, nodes)
            before = await self._reach(nodes, links)
            self._cuts[cut] = None
            await self._apply(nodes, {target for _, target in links})
            evidence = await self._prove(nodes, links, self.closed_s)
            if not evidence.verified:
                evidence = await self._prove(nodes, links, _SECOND_LOOK * self.closed_s)
            evidence.measured = {"links": len(links), "before": _summary(before), **evidence.measured}
            return _without(evidence, cut, links)

    async def heal(self, cut: Cut) -> Evidence:
        """Take this cut away; links that another cut holds stay cut. Verified by what comes through again.

        Measured are ``links``; ``during`` and ``after`` as for ``partition``; ``dropped``, the packets that were
        caught since the rules came; ``silent``, links that should carry and do not; ``held_by_others``, how many stay
        cut.

        Raises:
            EnvironmentFailure: it cannot be done.
        """
        async with self._lock:
            nodes = self._by_name()
            links = _present(cut, nodes)
            during = await self._reach(nodes, links) if cut in self._cuts else {}
            dropped = await self._dropped(nodes, links)
            self._cuts.pop(cut, None)
            await self._apply(nodes, {target for _, target in links})
            held = [link for link in links if link in self._cut_links()]
            after = await self._reach(nodes, links)
            silent = [_word(link) for link in links if link not in held and not after[link].arrived]
            wrong = [_word(link) for link in held if after[link].carries]
            measured: dict[str, Any] = {"links": len(links)} | ({"during": _summary(during)} if during else {})
            measured |= {"dropped": sum(dropped.values()), "after": _summary(after), "silent": silent}
            measured |= ({"held_by_others": len(held)} if held else {}) | ({"carrying": wrong} if wrong else {})
            return _without(Evidence(not silent and not wrong, measured), cut, links)

    async def _prove(self, nodes: Mapping[str, NetNode], links: Sequence[Link], closed_s: float) -> Evidence:
        """Show that links are cut, and those opposite to them are not unless they should be."""
        cut = self._cut_links()
        reverse = [(b, a) for a, b in links if (b, a) not in cut]
        counted = await self._dropped(nodes, links)
        reached = await self._reach(nodes, [*links, *reverse], closed_s)
        caught = {link: count - counted[link] for link, count in (await self._dropped(nodes, links)).items()}
        carrying = [_word(link) for link in links if reached[link].carries]
        measured: dict[str, Any] = {"during": _summary({link: reached[link] for link in links})}
        measured |= {"dropped": sum(caught.values()), "carrying": carrying}
        one_way = {link: reached[link] for link in reverse}
        if reverse:
            measured["reverse"] = {"links": len(reverse), "datagrams": _summary(one_way)["datagrams"]}
        shown = bool(links) and not carrying and all(count > 0 for count in caught.values())
        return Evidence(shown and all(each.arrived for each in one_way.values()), measured)

    def _cut_links(self) -> set[Link]:
        return {link for cut in self._cuts for link in cut.links}

    async def _reach(
        self, nodes: Mapping[str, NetNode], links: Iterable[Link], closed_s: float | None = None
    ) -> dict[Link, Reach]:
        return await reach(self._runner, nodes, list(links), self._cut_links(), closed_s or self.closed_s)

    async def _dropped(self, nodes: Mapping[str, NetNode], links: Sequence[Link]) -> dict[Link, int]:
        """For each link the packets that its rule has caught."""
        targets = sorted({target for _, target in links})
        seen = dict(
            zip(targets, await all_of(netfilter.read(self._runner, nodes[name]) for name in targets), strict=True)
        )
        return {(a, b): seen[b].dropped_from(nodes[a].address) for a, b in links}

    # Degradations.

    async def degrade(self, nodes: Sequence[str], how: Degradation) -> Evidence:
        """Make the network of these nodes worse in this way only; ``Degradation()`` takes it away.

        Loss is that of both directions, and a link gets the worse of its two ends'; everything else is of what leaves
        the node. Verified by datagrams over links that are not cut (``sent``, ``lost``, ``expected`` to be lost,
        ``fastest_ns`` and ``twice`` of those from the nodes), and by the rate that tc reports (``kbit``).

        Raises:
            EnvironmentFailure: it cannot be done, or not on this machine.
        """
        self._refuse(how)
        async with self._lock:
            there = self._by_name()
            named = [name for name in nodes if name in there]
            for name in nodes:
                self._degraded.pop(name, None)
                if how != Degradation():
                    self._degraded[name] = how
            await self._apply(there, there)
            reports = await all_of(shaping.shape(self._runner, there[name], how) for name in named)
            sound = [name for name in there if name not in nodes and name not in self._degraded]
            out = [(a, b) for a, b in product(named, (sound or list(there))[:PEERS]) if a != b]
            links = [link for a, b in out for link in ((a, b), (b, a)) if link not in self._cut_links()]
            loss = {link: max(self._loss().get(end, 0) for end in link) for link in links}
            evidence = await measure_degradation(self._runner, there, named, loss, how)
            shaped = as_asked(how, reports)
            measured = evidence.measured | ({"kbit": shaping.rate_kbit(reports[0])} if how.kbit and reports else {})
            absent = [name for name in nodes if name not in there]
            measured |= {"absent": absent} if absent else {}
            return Evidence(evidence.verified and shaped and not absent, measured)

    def _refuse(self, how: Degradation) -> None:
        asked = {
            "loss": how.loss_ppm,
            "delay": how.delay_ns,
            "duplicate": how.duplicate_ppm,
            "reorder": how.reorder_ppm,
            "rate": how.kbit,
        }
        for aspect, amount in asked.items():
            if amount and not self._tried[aspect].available:
                raise EnvironmentFailure(f"no {aspect} on this machine: {self._tried[aspect].reason}")

    def _loss(self) -> dict[str, int]:
        return {name: how.loss_ppm for name, how in self._degraded.items() if how.loss_ppm}

    # All of it.

    async def clear(self) -> None:
        """Take everything of ours away in all nodes, whoever put it there.

        Raises:
            EnvironmentFailure: the first thing that could not be done, after all the others were.
        """
        async with self._lock:
            self._cuts.clear()
            self._degraded.clear()
            nodes = list(self._by_name().values())
            await all_of(
                [netfilter.write(self._runner, node, netfilter.Filter()) for node in nodes]
                + [shaping.shape(self._runner, node, Degradation()) for node in nodes]
            )

    async def residue(self) -> list[str]:
        """What of ours is in force in the nodes, each thing a sentence; empty: nothing.

        Raises:
            EnvironmentFailure: a node cannot be looked at.
        """
        nodes = self._by_name()
        names = {node.address: node.name for node in nodes.values()}
        filters = await all_of(netfilter.read(self._runner, node) for node in nodes.values())
        reports = await all_of(shaping.shaped(self._runner, node) for node in nodes.values())
        said: list[str] = []
        for name, seen, report in zip(nodes, filters, reports, strict=True):
            said += netfilter.in_words(name, seen, names)
            said += [shaping.in_words(name, report)] if report else []
        return said

    async def close(self) -> None:
        """Let go of what is needed for getting into the namespaces; what is in force stays."""
        await self._runner.close()

    def _by_name(self) -> dict[str, NetNode]:
        return {node.name: node for node in self._nodes()}

    async def _apply(self, nodes: Mapping[str, NetNode], affected: Iterable[str]) -> None:
        """Write the rules of these nodes."""
        cut = self._cut_links()
        addresses = {name: node.address for name, node in nodes.items()}
        await all_of(
            netfilter.write(self._runner, nodes[name], netfilter.wanted(name, cut, self._loss(), addresses))
            for name in sorted(affected)
        )


def _present(cut: Cut, nodes: Mapping[str, NetNode]) -> list[Link]:
    return [link for link in dict.fromkeys(cut.links) if all(name in nodes for name in link)]


def _without(evidence: Evidence, cut: Cut, links: Sequence[Link]) -> Evidence:
    """Say which links were left out, since one of their ends is not there."""
    absent = [_word(link) for link in dict.fromkeys(cut.links) if link not in links]
    return Evidence(evidence.verified, evidence.measured | ({"absent": absent} if absent else {}))


def _word(link: Link) -> str:
    return f"{link[0]}>{link[1]}"


def _summary(reached: Mapping[Link, Reach]) -> dict[str, int]:
    """Over how many links datagrams arrived, and how many connection attempts were answered."""
    return {
        "datagrams": sum(each.arrived > 0 for each in reached.values()),
        "connections": sum(each.answered for each in reached.values()),
    }
