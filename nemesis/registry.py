"""The names that ``--nemesis`` takes, and the kinds of faults behind them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from cluster.api import Capability
from harness.exit_codes import EnvironmentFailure
from harness.spec import NONE
from harness.suggest import unknown_name
from nemesis.clocks import ClockDrift, ClockSkew, ClockStep
from nemesis.fault import Fault
from nemesis.network import Degrade
from nemesis.partition import Partition
from nemesis.placement import LeaderTransfer, PdTransfer, Split
from nemesis.process import Kill, Pause

ALL: Final = "all"

FAULTS: Final[Mapping[str, Fault]] = {
    fault.kind: fault
    for fault in (
        Partition(),
        Kill(),
        Pause(),
        ClockSkew(),
        ClockDrift(),
        Degrade(),
        PdTransfer(),
        LeaderTransfer(),
        Split(),
        ClockStep(),
    )
}


class Nemesis(msgspec.Struct, frozen=True):
    """What one name stands for."""

    name: str
    summary: str
    kinds: tuple[str, ...]

    @property
    def beyond_assumptions(self) -> bool:
        """A sound TiKV need not survive it, so ``all`` leaves it out."""
        return any(FAULTS[kind].beyond_assumptions for kind in self.kinds)


NEMESES: Final[Mapping[str, Nemesis]] = {
    nemesis.name: nemesis
    for nemesis in (
        Nemesis("partition", "servers cannot hear each other; clients reach all of them", ("partition",)),
        Nemesis("kill", "processes are killed and start again from their disks", ("kill",)),
        Nemesis("pause", "processes are frozen for a while", ("pause",)),
        Nemesis("clock", "wall clocks jump; clocks run fast or slow by up to 2 %", ("clock-skew", "clock-drift")),
        Nemesis("network", "messages are lost and delayed", ("network",)),
        Nemesis("pd", "PD changes its leader", ("pd-transfer",)),
        Nemesis("schedule", "region leaders move, regions split", ("leader-transfer", "split")),
        Nemesis("clock-beyond", "monotonic clocks step back: more than TiKV promises to survive", ("clock-step",)),
    )
}


class Selection(msgspec.Struct, frozen=True):
    """What was asked for, as far as the cluster can do it.

    Attributes:
        names: of the nemeses, in their fixed order.
        kinds: of the faults, in theirs; the order in which they were asked for makes no difference.
        skipped: kinds that were left out, each with the cluster's reason.
    """

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    skipped: Mapping[str, str] = {}


def expand(names: Iterable[str]) -> tuple[str, ...]:
    """Resolve ``all``; return the names in their fixed order, each once.

    Raises:
        UsageError: a name is unknown; the nearest known one is told.
    """
    asked: set[str] = set()
    for name in names:
        if name == ALL:
            asked.update(known for known, nemesis in NEMESES.items() if not nemesis.beyond_assumptions)
        elif name in NEMESES:
            asked.add(name)
        else:
            raise unknown_name("nemesis", name, [*NEMESES, ALL, NONE])
    return tuple(name for name in NEMESES if name in asked)


def select(names: Sequence[str], capabilities: Mapping[str, Capability]) -> Selection:
    """What of ``names`` the cluster can do. ``all`` leaves out what it cannot; a name given by itself must be possible.

    Raises:
        UsageError: a name is unknown.
        EnvironmentFailure: this cluster can do nothing of what one name stands for, with the reason.
    """
    skipped: dict[str, str] = {}
    kinds: list[str] = []
    kept: list[str] = []
    for name in expand(names):
        reasons = {kind: _why_not(kind, capabilities) for kind in NEMESES[name].kinds}
        possible = [kind for kind, reason in reasons.items() if reason is None]
        skipped.update({kind: reason for kind, reason in reasons.items() if reason is not None})
        if possible:
            kept.append(name)
            kinds += possible
        elif name in names:
            raise EnvironmentFailure(f"nemesis {name!r} cannot be had here: {'; '.join(skipped[k] for k in reasons)}")
    return Selection(tuple(kept), tuple(kinds), skipped)


def _why_not(kind: str, capabilities: Mapping[str, Capability]) -> str | None:
    for method in FAULTS[kind].needs:
        capability = capabilities.get(method, Capability(available=False, reason=f"the cluster offers no {method}"))
        if not capability.available:
            return capability.reason or f"{method} does not work here"
    return None


def beyond_assumptions(kind: str) -> bool:
    """Whether a sound TiKV need not survive faults of this kind."""
    return kind in FAULTS and FAULTS[kind].beyond_assumptions
