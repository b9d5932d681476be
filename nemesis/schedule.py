"""Which faults come when: drawn from the seed before the run, so that it can be printed, kept, shrunk and repeated.

Every fault draws from a stream of its own, named after its kind and its number among that kind. Taking a fault out of a
schedule, or drawing one for fewer kinds, leaves the plans of all others as they were.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from harness.clock import MILLISECOND, SECOND
from harness.op import INFO, NEMESIS, Op
from harness.rng import Stream, Streams
from nemesis.clocks import ClockSkew
from nemesis.fault import LastingFault, Plan, World
from nemesis.partition import Partition
from nemesis.registry import FAULTS
from nemesis.targets import REGION_LEADER, words

REST_NS = 1 * SECOND  # between two lasting faults of one kind, so that they never overlap
SHORTEST_NS = 1 * SECOND  # what is left of a fault before the time limit, or it is not begun
COMPANION_NS = (1 * SECOND, 6 * SECOND)  # how long after a partition the clock fault beside it begins
MARGIN_NS = 1 * MILLISECOND  # the last stops come this long before the time limit

_AIM = ("on", "nodes", "key")


class PlannedFault(msgspec.Struct, frozen=True):
    """A fault of the schedule.

    Attributes:
        id: unique in the schedule, from 1.
        kind: of ``nemesis.registry.FAULTS``.
        start: nanoseconds after the beginning of the main phase.
        duration: nanoseconds until the stop; 0 if it is over at once.
        plan: what was drawn: targets by name or by role, and parameters.
    """

    id: int
    kind: str
    start: int
    duration: int
    plan: dict[str, Any]

    @property
    def stop(self) -> int:
        """When it is undone, in nanoseconds after the beginning of the main phase."""
        return self.start + self.duration


class Schedule(msgspec.Struct, frozen=True):
    """The faults of a run, in the order of their starts."""

    faults: tuple[PlannedFault, ...]

    def without(self, fault_id: int) -> Schedule:
        """The same without one fault."""
        return Schedule(tuple(fault for fault in self.faults if fault.id != fault_id))

    def operations(self) -> list[tuple[int, Op]]:
        """The nemesis operations with their times, for ``harness.generator.at_times``."""
        events: list[tuple[int, int, Op]] = []
        for fault in self.faults:
            value = {"id": fault.id, **fault.plan}
            if not fault.duration:
                events.append((fault.start, 1, _op(fault.kind, value)))
                continue
            events.append((fault.start, 1, _op(f"start-{fault.kind}", value)))
            events.append((fault.stop, 0, _op(f"stop-{fault.kind}", {"id": fault.id})))
        # Of one instant, stops come first.
        events.sort(key=lambda event: event[:2])
        return [(time, op) for time, _, op in events]

    def describe(self) -> str:
        """A line for each fault, for ``--dry-run``."""
        return "\n".join(_line(fault) for fault in self.faults)


def _op(f: str, value: dict[str, Any]) -> Op:
    return Op(-1, 0, NEMESIS, INFO, f, value)


def _line(fault: PlannedFault) -> str:
    lasting = f"for {_seconds(fault.duration)}" if fault.duration else ""
    plan = fault.plan
    parts = [f"{name} {_word(value)}" for name, value in plan.items() if name not in _AIM]
    if "on" in plan:
        parts.insert(0, words(plan))
    elif "key" in plan:
        parts.insert(0, f"key {plan['key']}")
    return f"{_seconds(fault.start):>10}  {lasting:<13}  {fault.kind:<15}  {'; '.join(parts)}".rstrip()


def _word(value: Any) -> str:
    return ", ".join(str(item) for item in value) if isinstance(value, list) else str(value)


def _seconds(ns: int) -> str:
    return f"{ns // SECOND}.{ns % SECOND // MILLISECOND:03} s"


def draw_schedule(kinds: Sequence[str], world: World, streams: Streams, *, interval_ns: int, limit_ns: int) -> Schedule:
    """Draw the faults of a main phase.

    Args:
        kinds: those asked for (``nemesis.registry.Selection.kinds``). They come in shuffled rounds, each once a round.
        world: what the plans may refer to.
        streams: the run's randomness.
        interval_ns: from one start to the next, on average. Shorter if that is needed for every kind to come.
        limit_ns: the length of the main phase. All stops lie within.

    Lasting faults of different kinds may overlap, those of one kind do not. Some partitions that cut a region's leader
    off get a clock fault beside them, if both kinds are asked for: that pair is what leases must survive, and would
    seldom meet by chance.
    """
    if not kinds:
        return Schedule(())
    # The slot after the last of the first round still begins before the limit.
    interval_ns = max(MILLISECOND, min(interval_ns, limit_ns // (len(kinds) + 1)))
    drawing = _Drawing(kinds, world, streams, limit_ns)
    slot = 0
    while True:
        jitter = streams("nemesis", "slot", slot).below(interval_ns)
        start = slot * interval_ns + interval_ns // 2 + jitter
        if start + MARGIN_NS >= limit_ns or not drawing.fill(start):
            return drawing.schedule()
        slot += 1


class _Drawing:
    """A schedule that grows."""

    def __init__(self, kinds: Sequence[str], world: World, streams: Streams, limit_ns: int) -> None:
        self._faults: list[PlannedFault] = []
        self._kinds = sorted(kinds, key=list(FAULTS).index)
        self._world = world
        self._streams = streams
        self._limit = limit_ns
        self._round = 0
        self._queue: list[str] = []
        self._drawn = dict.fromkeys(kinds, 0)
        self._free_from = dict.fromkeys(kinds, 0)

    def schedule(self) -> Schedule:
        """What was drawn."""
        return Schedule(tuple(sorted(self._faults, key=lambda fault: fault.start)))

    def fill(self, start: int) -> bool:
        """Put the next fault that can begin at ``start`` there, if any can; False if there will never be one again."""
        possible = [kind for kind in self._kinds if not self._is_exhausted(kind)]
        ready = [kind for kind in possible if self._free_from[kind] <= start]
        # If all that are still due in this round have to wait, the next round begins beside it.
        if ready and not any(kind in ready for kind in self._queue):
            order = self._streams("nemesis", "round", self._round).shuffle(self._kinds)
            self._round += 1
            self._queue += [kind for kind in order if kind in possible]
        kind = next((kind for kind in self._queue if kind in ready), None)
        if kind is not None:
            self._queue.remove(kind)
            self._add(kind, start)
        return bool(possible)

    def _is_exhausted(self, kind: str) -> bool:
        most = FAULTS[kind].most(self._world)
        return most is not None and self._drawn[kind] >= most

    def _add(self, kind: str, start: int) -> None:
        fault = FAULTS[kind]
        number = self._drawn[kind]
        self._drawn[kind] += 1
        stream = self._streams("fault", kind, number)
        plan = fault.draw(stream, self._world)
        duration = 0
        if isinstance(fault, LastingFault):
            if number and start + SHORTEST_NS > self._limit:
                return
            duration = min(fault.draw_duration_ns(stream, plan), self._limit - MARGIN_NS - start)
            self._free_from[kind] = start + duration + REST_NS
        self._append(kind, start, duration, plan)
        if kind == Partition.kind and plan["on"] == REGION_LEADER and ClockSkew.kind in self._kinds:
            self._accompany(plan, start, start + duration, self._streams("fault", kind, number, "beside"))

    def _accompany(self, partition: Plan, start: int, stop: int, stream: Stream) -> None:
        start += stream.between(*COMPANION_NS)
        wanted = stream.chance(2, 3)
        if wanted and start >= self._free_from[ClockSkew.kind] and start + SHORTEST_NS <= stop:
            self._append(ClockSkew.kind, start, stop - start, ClockSkew().draw_beside_partition(stream, partition))
            self._free_from[ClockSkew.kind] = stop + REST_NS

    def _append(self, kind: str, start: int, duration: int, plan: Plan) -> None:
        self._faults.append(PlannedFault(len(self._faults) + 1, kind, start, duration, plan))
