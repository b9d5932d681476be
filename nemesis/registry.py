"""The names that ``--nemesis`` takes, and the kinds of faults behind them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from cluster.api import ASPECTS, Capability
from harness.exit_codes import EnvironmentFailure
from harness.spec import NONE
from harness.suggest import unknown_name
from nemesis.client_kill import ClientKill
from nemesis.clocks import ClockDrift, ClockSkew, ClockStep
from nemesis.fault import Fault
from nemesis.membership import RollingRestart, StoreReplacement
from nemesis.network import Degrade
from nemesis.partition import Partition
from nemesis.placement import LeaderTransfer, Merge, PdTransfer, RegionTransfer, Shuffle, Split
from nemesis.process import Kill, Pause, Stop
from nemesis.stale_lease import StaleLease

ALL: Final = "all"

FAULTS: Final[Mapping[str, Fault]] = {
    fault.kind: fault
    for fault in (
        Partition(),
        Kill(),
        Stop(),
        Pause(),
        ClockSkew(),
        ClockDrift(),
        Degrade(),
        PdTransfer(),
        LeaderTransfer(),
        Split(),
        RegionTransfer(),
        Merge(),
        Shuffle(),
        RollingRestart(),
        StoreReplacement(),
        ClientKill(),
        ClockStep(),
        StaleLease(),
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
        Nemesis("stop", "processes are asked to end and start again", ("stop",)),
        Nemesis("pause", "processes are frozen for a while", ("pause",)),
        Nemesis("clock", "wall clocks jump; clocks run fast or slow by up to 2 %", ("clock-skew", "clock-drift")),
        Nemesis("network", "messages are lost, late, doubled, reordered or slow", ("network",)),
        Nemesis("pd", "PD changes its leader", ("pd-transfer",)),
        Nemesis(
            "schedule",
            "region leaders and replicas move, regions split and merge",
            ("leader-transfer", "split", "region-transfer", "merge", "shuffle"),
        ),
        Nemesis(
            "membership",
            "all nodes restart in turn; a store joins and leaves again",
            ("rolling-restart", "store-replacement"),
        ),
        Nemesis("client-kill", "processes of clients are killed in the middle of a commit", ("client-kill",)),
        Nemesis("clock-beyond", "monotonic clocks step back: more than TiKV promises to survive", ("clock-step",)),
        Nemesis("stale-lease", "a leader is cut off whose monotonic clock went back by a minute", ("stale-lease",)),
    )
}


class Selection(msgspec.Struct, frozen=True):
    """What was asked for, as far as the cluster can do it.

    Attributes:
        names: of the nemeses, in their fixed order.
        kinds: of the faults, in theirs; the order in which they were asked for makes no difference.
        aspects: of ``cluster.api.ASPECTS``, those that can be had.
        skipped: what was left out, kinds or aspects of a kind, each with the cluster's reason. Where everything was
            asked for that can be had, this includes what cannot.
    """

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    aspects: tuple[str, ...] = ()
    skipped: Mapping[str, str] = {}

    def left_out(self) -> str:
        """``skipped`` in one line, those of one reason together; empty if nothing was."""
        by_reason: dict[str, list[str]] = {}
        for what, reason in self.skipped.items():
            by_reason.setdefault(reason, []).append(what)
        return "; ".join(f"{', '.join(whats)} ({reason})" for reason, whats in by_reason.items())


def expand(names: Iterable[str], capabilities: Mapping[str, Capability]) -> tuple[str, ...]:
    """Resolve ``all``: what a sound TiKV must survive and this cluster can do, at least in part.

    Returns the names in their fixed order, each once.

    Raises:
        UsageError: a name is unknown; the nearest known one is told.
        EnvironmentFailure: ``all`` was asked for, and this cluster can do nothing at all.
    """
    asked: set[str] = set()
    for name in names:
        if name == ALL:
            if not (possible := _possible(capabilities)):
                raise EnvironmentFailure(f"no fault can be had here: {_why_nothing(capabilities)}")
            asked.update(possible)
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
    chosen = expand(names, capabilities)
    everything = bool(chosen) and set(_possible(capabilities)) <= set(chosen)
    for name, nemesis in NEMESES.items():
        reasons = {kind: _why_not(kind, capabilities) for kind in nemesis.kinds}
        possible = [kind for kind, reason in reasons.items() if reason is None]
        if name in chosen:
            if not possible:
                why = "; ".join(dict.fromkeys(reason for reason in reasons.values() if reason))
                raise EnvironmentFailure(f"nemesis {name!r} cannot be had here: {why}")
            kinds += possible
        elif nemesis.beyond_assumptions or not everything:
            continue
        skipped |= {kind: reason for kind, reason in reasons.items() if reason is not None}
        skipped |= {what: reason for kind in possible for what, reason in _missing(kind, capabilities).items()}
    aspects = tuple(aspect for aspect in ASPECTS if _reason(aspect, capabilities) is None)
    return Selection(chosen, tuple(kinds), aspects, skipped)


def _possible(capabilities: Mapping[str, Capability]) -> list[str]:
    """The names that ``all`` stands for on this cluster."""
    return [
        name
        for name, nemesis in NEMESES.items()
        if not nemesis.beyond_assumptions and any(_why_not(kind, capabilities) is None for kind in nemesis.kinds)
    ]


def _why_nothing(capabilities: Mapping[str, Capability]) -> str:
    return "; ".join(dict.fromkeys(reason for kind in FAULTS if (reason := _why_not(kind, capabilities))))


def _why_not(kind: str, capabilities: Mapping[str, Capability]) -> str | None:
    fault = FAULTS[kind]
    reasons = [_reason(name, capabilities) for name in fault.needs]
    any_of = [_reason(name, capabilities) for name in fault.needs_one_of]
    if any_of and None not in any_of:
        reasons += any_of
    return next((reason for reason in reasons if reason is not None), None)


def _missing(kind: str, capabilities: Mapping[str, Capability]) -> dict[str, str]:
    """What a kind of fault does without here."""
    reasons = {f"{kind} by {name}": _reason(name, capabilities) for name in FAULTS[kind].needs_one_of}
    return {what: reason for what, reason in reasons.items() if reason is not None}


def _reason(name: str, capabilities: Mapping[str, Capability]) -> str | None:
    """Why it cannot be had; None: it can."""
    capability = capabilities.get(name, Capability(available=False, reason=f"the cluster offers no {name}"))
    if capability.available:
        return None
    return capability.reason or f"{name} does not work here"


def beyond_assumptions(kind: str) -> bool:
    """Whether a sound TiKV need not survive faults of this kind."""
    return kind in FAULTS and FAULTS[kind].beyond_assumptions
