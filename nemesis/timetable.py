"""When the nemesis does what: the schedule's operations at their times, and another try for what could not be done.

A leader that is to be moved may just be missing because of another fault. Such an attempt says so at once, and is made
again a little later, so that a kind that was asked for does come.
"""

from __future__ import annotations

import heapq
from typing import Final

from harness.clock import SECOND
from harness.generator import later
from harness.op import NEMESIS, Op
from harness.protocols import PENDING, Context, Pending
from nemesis.schedule import Schedule

RETRY_NS: Final = 2 * SECOND
TRIES: Final = 6


class Timetable:
    """The ``harness.protocols.Generator`` of a schedule. Times count from when it is first asked."""

    def __init__(self, schedule: Schedule) -> None:
        self._due = [(time, number, op) for number, (time, op) in enumerate(schedule.operations())]
        heapq.heapify(self._due)
        self._number = len(self._due)  # of equal times the earlier number goes first
        self._stops = {fault.id: fault.stop if fault.duration else None for fault in schedule.faults}
        self._tries: dict[int, int] = {}
        self._origin: int | None = None
        self._open: Op | None = None

    def next(self, ctx: Context) -> Op | Pending | None:
        """The next operation that is due."""
        if self._origin is None:
            self._origin = ctx.time
        if not self._due:
            return PENDING if self._open is not None else None
        if NEMESIS not in ctx.free:
            return PENDING
        due, _, op = self._due[0]
        if self._origin + due > ctx.time:
            return later(ctx, self._origin + due)
        heapq.heappop(self._due)
        self._open = op
        return op.replace(time=ctx.time)

    def update(self, op: Op) -> None:
        """Plan another try if this was the completion of something that could not be done."""
        planned = self._open
        if planned is None or op.process != NEMESIS or "evidence" not in (op.value or {}):
            return
        self._open = None
        if not op.error or op.f.startswith("stop-") or self._origin is None:
            return
        fault = op.value["id"]
        when = op.time - self._origin + RETRY_NS
        stop = self._stops[fault]
        tries = self._tries[fault] = self._tries.get(fault, 0) + 1
        if tries < TRIES and (stop is None or when < stop):
            heapq.heappush(self._due, (when, self._number, planned))
            self._number += 1
