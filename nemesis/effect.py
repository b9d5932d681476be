"""What a fault does to the cluster, in parts of which each knows how its resource gets back to normal.

The state that a resource (a node's process, its wall clock, a cut) should be in is a function of the effects in force
on it. Injecting adds an effect, healing takes it away, and both then do the same: settle the resource into the state
that the remaining effects ask for. So nothing has to be listed for healing, and overlapping faults cannot undo each
other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from cluster.api import Cut, Degradation, Evidence, Faults

Resource = tuple[str, ...]


class Dead(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """The node's process does not run: killed, or asked to end (``graceful``)."""

    node: str
    graceful: bool = False

    @property
    def resource(self) -> Resource:
        """The node's process."""
        return ("process", self.node)


class Paused(msgspec.Struct, frozen=True, tag=True):
    """The node's process is frozen."""

    node: str

    @property
    def resource(self) -> Resource:
        """The node's process."""
        return ("process", self.node)


class Skewed(msgspec.Struct, frozen=True, tag=True):
    """The node's wall clock is off; with a period it jumps between right and wrong (a strobe)."""

    node: str
    offset_ns: int
    period_ns: int = 0

    @property
    def resource(self) -> Resource:
        """The node's wall clock."""
        return ("wall", self.node)


class Drifting(msgspec.Struct, frozen=True, tag=True):
    """Both clocks of the node run fast, or slow if negative."""

    node: str
    ppm: int

    @property
    def resource(self) -> Resource:
        """The rate of the node's clocks."""
        return ("rate", self.node)


class Stepped(msgspec.Struct, frozen=True, tag=True):
    """The node's monotonic clock was stepped."""

    node: str
    offset_ns: int

    @property
    def resource(self) -> Resource:
        """The node's monotonic clock."""
        return ("monotonic", self.node)


class Severed(msgspec.Struct, frozen=True, tag=True):
    """Links are cut."""

    cut: Cut

    @property
    def resource(self) -> Resource:
        """The links, as one: cuts that differ may overlap, since the cluster counts them."""
        return ("cut", *(f"{source}>{target}" for source, target in self.cut.links))


class Degraded(msgspec.Struct, frozen=True, tag=True):
    """The network of the nodes is worse than it should be."""

    nodes: tuple[str, ...]
    how: Degradation

    @property
    def resource(self) -> Resource:
        """The whole network: two degraded nodes share the link between them."""
        return ("network",)


class Joined(msgspec.Struct, frozen=True, tag=True):
    """A store takes part that was not there at the start."""

    node: str

    @property
    def resource(self) -> Resource:
        """The store's membership."""
        return ("membership", self.node)


class Shuffling(msgspec.Struct, frozen=True, tag=True):
    """PD shuffles something all the time (``Faults.shuffle``)."""

    what: str

    @property
    def resource(self) -> Resource:
        """The scheduler in PD."""
        return ("shuffle", self.what)


Effect = Dead | Paused | Skewed | Drifting | Stepped | Severed | Degraded | Joined | Shuffling

CLOCKS: Final = ("wall", "rate", "monotonic")  # resources of a node that belong to its process

_CALL_S: Final = 60.0  # the longest that one call on the cluster may take
_DRAIN_S: Final = 240.0  # until PD has moved every region to a new store, or from one that leaves


def budget_s(resource: Resource) -> float:
    """The longest that settling it may take."""
    return _DRAIN_S if resource[0] == "membership" else _CALL_S


def label(effect: Effect) -> str:
    """A short name of an effect, for evidence."""
    word = type(effect).__name__.lower()
    if isinstance(effect, Severed):
        return word
    if isinstance(effect, Shuffling):
        return f"{word} {effect.what}"
    return f"{word} {','.join(effect.nodes) if isinstance(effect, Degraded) else effect.node}"


async def settle(faults: Faults, resource: Resource, before: Sequence[Effect], after: Sequence[Effect]) -> Evidence:
    """Bring ``resource`` from what ``before`` asks for to what ``after`` asks for; both in the order of injection.

    Whatever ``faults`` raises passes through; the resource is then in either state, and settling again is harmless but
    for a step of the monotonic clock.
    """
    kind, name = resource[0], resource[-1]
    if kind in CLOCKS:
        return await _settle_clock(faults, resource, before, after)
    if kind == "process":
        return await _settle_process(faults, name, before, after)
    if kind == "cut":
        return await _settle_cut(faults, before, after)
    if kind == "membership":
        return await (faults.add_store(name) if after else faults.remove_store(name))
    if kind == "shuffle":
        return await faults.shuffle(name, on=bool(after))
    return await _settle_network(faults, before, after)


_RUNNING, _PAUSED, _DEAD = range(3)


def _process_state(effects: Sequence[Effect]) -> int:
    if any(isinstance(effect, Dead) for effect in effects):
        return _DEAD
    return _PAUSED if effects else _RUNNING


async def _settle_process(faults: Faults, node: str, before: Sequence[Effect], after: Sequence[Effect]) -> Evidence:
    have, want = _process_state(before), _process_state(after)
    if want == _DEAD:
        # One that is dead already stays so, and one that is frozen would not hear that it is asked to end.
        ask = have == _RUNNING and all(isinstance(effect, Dead) and effect.graceful for effect in after)
        return await (faults.stop(node) if ask else faults.kill(node))
    if have == _DEAD:
        started = await faults.start(node)
        return started if want == _RUNNING else await faults.pause(node)
    return await (faults.pause(node) if want == _PAUSED else faults.resume(node))


async def _settle_clock(
    faults: Faults, resource: Resource, before: Sequence[Effect], after: Sequence[Effect]
) -> Evidence:
    kind, node = resource
    last = after[-1] if after else None
    if kind == "wall":
        return await faults.skew(node, last.offset_ns if isinstance(last, Skewed) else 0)
    if kind == "rate":
        return await faults.drift(node, last.ppm if isinstance(last, Drifting) else 0)
    return await faults.step_monotonic(node, _stepped(after) - _stepped(before))


def _stepped(effects: Sequence[Effect]) -> int:
    return sum(effect.offset_ns for effect in effects if isinstance(effect, Stepped))


async def _settle_cut(faults: Faults, before: Sequence[Effect], after: Sequence[Effect]) -> Evidence:
    cut = next(effect.cut for effect in (*before, *after) if isinstance(effect, Severed))
    if before and after:
        return Evidence(verified=True, measured={"cut": "stays, another fault holds it"})
    return await (faults.partition(cut) if after else faults.heal(cut))


def _degradations(effects: Sequence[Effect]) -> dict[str, Degradation]:
    """For each node what the fault that came last did to it."""
    return {node: effect.how for effect in effects if isinstance(effect, Degraded) for node in effect.nodes}


async def _settle_network(faults: Faults, before: Sequence[Effect], after: Sequence[Effect]) -> Evidence:
    want = _degradations(after)
    evidence: list[Evidence] = []
    freed = sorted(set(_degradations(before)) - set(want))
    if freed:
        evidence.append(await faults.degrade(freed, Degradation()))
    # Freeing a node also frees its links to nodes that are still degraded, so all of those are told again.
    for how in dict.fromkeys(want.values()):
        nodes = sorted(node for node in want if want[node] == how)
        evidence.append(await faults.degrade(nodes, how))
    return merge_evidence([(str(i), item) for i, item in enumerate(evidence)])


def merge_evidence(parts: Sequence[tuple[str, Evidence]]) -> Evidence:
    """One piece of evidence of several, verified if each is; a single one's measurement stands for itself."""
    measured: dict[str, Any] = parts[0][1].measured if len(parts) == 1 else {name: e.measured for name, e in parts}
    return Evidence(verified=all(e.verified for _, e in parts), measured=measured)
