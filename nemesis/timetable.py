"""When the nemesis does what: the schedule's operations at their times, and another try for what could not be done.

A leader that is to be moved may just be missing because of another fault, and a node that is to be paused may be dead.
Such an attempt says so at once, and is made again a little later. A kind of fault that was never shown to be there goes
on being tried even after its time, so that what was asked for does come.
"""

from __future__ import annotations

import heapq
from typing import Final

from harness.clock import SECOND
from harness.generator import later
from harness.op import NEMESIS, Op
from harness.protocols import PENDING, Context, Pending
from nemesis.schedule import SHORTEST_NS, PlannedFault, Schedule

RETRY_NS: Final = 2 * SECOND
TRIES: Final = 6
TRIES_OF_THE_UNSEEN: Final = 30  # of a kind that has not been verified in this run
LONG_TRY_NS: Final = 5 * SECOND  # one that took longer counts as many: others are waiting
LONG_TRY: Final = 15


class Timetable:
    """The ``harness.protocols.Generator`` of a schedule. Times count from when it is first asked."""

    def __init__(self, schedule: Schedule) -> None:
        self._faults = {fault.id: fault for fault in schedule.faults}
        # Of one instant stops come first, then the order of the schedule decides.
        self._due: list[tuple[int, int, int, Op]] = []
        for fault in schedule.faults:
            self._plan(fault.start, 1, fault.begin())
        self._tries: dict[int, int] = {}
        self._seen: dict[str, None] = {}  # kinds of which a fault was verified
        self._origin: int | None = None
        self._open: Op | None = None
        self._opened = 0

    def _plan(self, time: int, rank: int, op: Op) -> None:
        heapq.heappush(self._due, (time, rank, op.value["id"], op))

    def next(self, ctx: Context) -> Op | Pending | None:
        """The next operation that is due."""
        if self._origin is None:
            self._origin = ctx.time
        if not self._due:
            return PENDING if self._open is not None else None
        if NEMESIS not in ctx.free:
            return PENDING
        due, _, _, op = self._due[0]
        if self._origin + due > ctx.time:
            return later(ctx, self._origin + due)
        heapq.heappop(self._due)
        self._open, self._opened = op, ctx.time
        return op.replace(time=ctx.time)

    def update(self, op: Op) -> None:
        """After a start plan its stop, or another try if it could not be done."""
        planned = self._open
        if planned is None or op.process != NEMESIS or "evidence" not in (op.value or {}):
            return
        self._open = None
        fault = self._faults[op.value["id"]]
        if planned.f.startswith("stop-") or self._origin is None:
            return
        now = op.time - self._origin
        tries = LONG_TRY if op.time - self._opened > LONG_TRY_NS else 1
        if op.value["evidence"].get("verified"):
            self._seen[fault.kind] = None
        if op.error and self._worth_another_try(fault, now + RETRY_NS, tries):
            self._plan(now + RETRY_NS, 1, planned)
        elif fault.duration:
            stop = fault.stop if op.error else max(fault.stop, now + SHORTEST_NS)
            self._plan(stop, 0, fault.end())

    def _worth_another_try(self, fault: PlannedFault, when: int, tries: int) -> bool:
        tries = self._tries[fault.id] = self._tries.get(fault.id, 0) + tries
        if fault.kind not in self._seen:
            return tries < TRIES_OF_THE_UNSEEN
        return tries < TRIES and (not fault.duration or when < fault.stop)
