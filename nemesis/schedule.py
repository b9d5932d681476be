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
from nemesis.fault import Fault, InstantFault, LastingFault, Plan, World
from nemesis.partition import Partition
from nemesis.registry import FAULTS
from nemesis.targets import REGION_LEADER, words

REST_NS = 1 * SECOND  # between two lasting faults of one kind, so that they never overlap
FLAP_NS = 3 * SECOND  # until a partition that flaps comes back: clients have noticed by then that it was over
SHORTEST_NS = 1 * SECOND  # what is left of a fault before the time limit, or it is not begun
COMPANION_NS = (1 * SECOND, 6 * SECOND)  # how long after a partition the clock fault beside it begins
ALONE = 4  # of so many disruptive faults all but one are left alone by the others
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

    def begin(self) -> Op:
        """The nemesis operation that puts it in force, or does it."""
        return _op(f"start-{self.kind}" if self.duration else self.kind, {"id": self.id, **self.plan})

    def end(self) -> Op:
        """The nemesis operation that undoes it, if it lasts."""
        return _op(f"stop-{self.kind}", {"id": self.id})


class Schedule(msgspec.Struct, frozen=True):
    """The faults of a run, in the order of their starts."""

    faults: tuple[PlannedFault, ...]

    def without(self, fault_id: int) -> Schedule:
        """The same without one fault."""
        return Schedule(tuple(fault for fault in self.faults if fault.id != fault_id))

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

    Lasting faults of different kinds may overlap, those of one kind do not. Disruptive ones, after which leaders may
    have to be elected, lie as far apart as a round allows, and most of them are given time to recover from. Some
    partitions flap. Most that cut a region's leader off get a clock fault beside them, if both kinds are asked for:
    that pair is what leases must survive, and would seldom meet by chance. A kind with a script keeps to it.
    """
    scripts = {kind: FAULTS[kind].script(limit_ns) for kind in kinds}
    drawn = [kind for kind in kinds if not scripts[kind]]
    drawing = _Drawing(drawn, world, streams, limit_ns)
    for kind, times in scripts.items():
        drawing.follow(kind, times)
    if not drawn:
        return drawing.schedule()
    # The slot after the last of the first round still begins before the limit, and what takes long has time left.
    first_round_ns = max(limit_ns // 2, limit_ns - drawing.longest_ns())
    interval_ns = max(MILLISECOND, min(interval_ns, first_round_ns // (len(drawn) + 1)))
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
        self._calm_from = 0  # when the cluster has recovered from the last disruptive fault
        self._busy_until = 0  # while something that takes long has the cluster to itself

    def longest_ns(self) -> int:
        """What the longest of the faults takes that are over at once as a rule."""
        return max(map(self._takes_ns, self._kinds), default=0)

    def follow(self, kind: str, times: Sequence[tuple[int, int]]) -> None:
        """Put a fault of this kind at each of these starts, for its duration, whatever else is going on."""
        for number, (start, duration) in enumerate(times):
            self._append(kind, start, duration, FAULTS[kind].draw(self._streams("fault", kind, number), self._world))

    def schedule(self) -> Schedule:
        """What was drawn."""
        return Schedule(tuple(sorted(self._faults, key=lambda fault: fault.start)))

    def fill(self, start: int) -> bool:
        """Put the next fault that can begin at ``start`` there, if any can; False if there will never be one again."""
        possible = [kind for kind in self._kinds if not self._is_exhausted(kind)]
        if start < self._busy_until:
            return bool(possible)
        if not self._queue:
            self._queue += [kind for kind in self._next_round() if kind in possible]
        ready = [kind for kind in possible if self._is_ready(kind, start)]
        # If all that are still due in this round have to wait, the next round begins beside it; but what takes long
        # would wait for ever then.
        waits = any(self._takes_ns(kind) for kind in self._queue)
        if ready and not waits and not any(kind in ready for kind in self._queue):
            self._queue += [kind for kind in self._next_round() if kind in possible]
        kind = next((kind for kind in self._queue if kind in ready), None)
        if kind is not None:
            self._queue.remove(kind)
            self._add(kind, start)
        return bool(possible)

    def _next_round(self) -> list[str]:
        """All kinds in a new order, the disruptive ones spread evenly among the others; at its end what takes long."""
        order = self._streams("nemesis", "round", self._round).shuffle(self._kinds)
        self._round += 1
        places = {True: 0, False: 0}
        counts = {disruptive: sum(_is_disruptive(kind) == disruptive for kind in order) for disruptive in (True, False)}
        spread: list[tuple[int, bool, str]] = []
        for kind in order:
            disruptive = _is_disruptive(kind)
            spread.append(((2 * places[disruptive] + 1) * len(order) // counts[disruptive], disruptive, kind))
            places[disruptive] += 1
        in_order = [kind for *_, kind in sorted(spread)]
        return sorted(in_order, key=lambda kind: self._takes_ns(kind) > 0)

    def _is_ready(self, kind: str, start: int) -> bool:
        if self._free_from[kind] > start:
            return False
        # What was asked for comes at least once, whatever else is going on then.
        first = not self._drawn[kind]
        if takes_ns := self._takes_ns(kind):
            alone = all(fault.stop <= start for fault in self._faults)
            late = start >= max(self._limit // 2, self._limit - takes_ns)
            return self._queue == [kind] and (alone or (first and late))
        return not _is_disruptive(kind) or self._calm_from <= start or first

    def _is_exhausted(self, kind: str) -> bool:
        most = FAULTS[kind].most(self._world)
        return most is not None and self._drawn[kind] >= most

    def _takes_ns(self, kind: str) -> int:
        fault = FAULTS[kind]
        return fault.takes_ms(self._world) * MILLISECOND if isinstance(fault, InstantFault) else 0

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
            # No fault takes up more than a third of the run.
            drawn = min(fault.draw_duration_ns(stream, plan), max(SHORTEST_NS, self._limit // 3))
            duration = min(drawn, self._limit - MARGIN_NS - start)
        stop = self._append(kind, start, duration, plan).stop + self._takes_ns(kind)
        if isinstance(fault, Partition):
            stop = self._follow(fault, self._faults[-1], number)
        if isinstance(fault, LastingFault) or fault.recovery_ms:
            self._let_recover(fault, stop, self._streams("fault", kind, number, "recovery"))

    def _let_recover(self, fault: Fault, stop: int, stream: Stream) -> None:
        self._free_from[fault.kind] = stop + REST_NS
        if fault.recovery_ms:
            recovered = stop + stream.choice(fault.recovery_ms) * MILLISECOND
            self._free_from[fault.kind] = max(stop + REST_NS, recovered)
            if takes_ns := self._takes_ns(fault.kind):  # nothing can begin beside what takes long
                self._busy_until = stop
            if stream.below(ALONE) or takes_ns:
                self._calm_from = max(self._calm_from, recovered)

    def _follow(self, fault: Partition, first: PlannedFault, number: int) -> int:
        """Draw what comes with a partition and after it; return when the last of it is over."""
        if first.plan["on"] == REGION_LEADER and ClockSkew.kind in self._kinds:
            self._accompany(first, self._streams("fault", fault.kind, number, "beside"))
        stop = first.stop
        flaps = fault.draw_flaps(self._streams("fault", fault.kind, number, "flaps"), first.plan, first.duration)
        for flap in range(1, flaps + 1):
            if stop + FLAP_NS + first.duration + MARGIN_NS <= self._limit:
                again = {**first.plan, "again": flap}
                stop = self._append(first.kind, stop + FLAP_NS, first.duration, again).stop
        return stop

    def _accompany(self, partition: PlannedFault, stream: Stream) -> None:
        # As late as it may be: a clock that is set back lets even a lease that has run out hold again.
        start = max(partition.start + stream.between(*COMPANION_NS), self._free_from[ClockSkew.kind])
        if stream.chance(9, 10) and start + SHORTEST_NS <= partition.stop:
            plan = ClockSkew().draw_beside_partition(stream, partition.plan)
            self._append(ClockSkew.kind, start, partition.stop - start, plan)
            self._free_from[ClockSkew.kind] = partition.stop + REST_NS

    def _append(self, kind: str, start: int, duration: int, plan: Plan) -> PlannedFault:
        fault = PlannedFault(len(self._faults) + 1, kind, start, duration, plan)
        self._faults.append(fault)
        return fault


def _is_disruptive(kind: str) -> bool:
    return bool(FAULTS[kind].recovery_ms)
