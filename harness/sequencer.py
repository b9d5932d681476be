"""Puts operations that were timed in several processes into the order of time, before they are recorded.

Client processes take the time right around each call and tell it later. So an operation is held back until nothing
earlier can come any more: until all processes with open operations have been heard from after it (the low-water mark).

What a kill of the harness takes away is the tail behind the mark, and without it the file is still a history: it is the
true one, cut at one moment. All that was begun before that moment is in it, with its completion or without, and nothing
that is in it can have seen what was begun later.
"""

from __future__ import annotations

import contextlib
import heapq
from typing import Final, Protocol

import msgspec

from harness.clock import RealClock
from harness.exit_codes import EnvironmentFailure
from harness.op import INVOKE, NEMESIS, Op
from harness.recorder import Prepared, Recorder

_BEGINNINGS_FIRST: Final = 0  # of one instant: what begins may have met what ends
_THEN_ENDS: Final = 1


class Times(Protocol):
    """Is told when the operations of client processes really began and ended, by CLOCK_MONOTONIC in nanoseconds.

    A ``source`` is one operating-system process. A process's operation begins after its last one ended.
    """

    def handed(self, process: int, source: int) -> None:
        """The open operation of ``process`` is on its way to ``source``."""
        ...

    def began(self, process: int, time: int) -> None:
        """It was begun then. Needed only for what is to be known before its end."""
        ...

    def ended(self, process: int, began: int, ended: int, *, more: bool = False) -> None:
        """It was begun and ended then; its completion is about to be recorded.

        ``more``: the next one of the process was handed out ahead, so it may have begun, and is recorded later.
        """
        ...

    def dropped(self, process: int, *, more: bool) -> None:
        """It was handed out ahead and not begun after all; ``more`` as in ``ended``."""
        ...

    def nothing_follows(self, process: int) -> None:
        """There will be no next one after all, or none that was handed out ahead."""
        ...

    def renamed(self, process: int, new: int) -> None:
        """What ``process`` was said to have begun is the open operation of ``new``: the other one was retired here."""
        ...

    def heard(self, source: int, time: int) -> None:
        """Whatever began there before ``time``, or ended before it, has been told."""
        ...


class _Open(msgspec.Struct):
    """An operation without its completion.

    Attributes:
        invocation: what is written when its time is known; None: that was done.
        bound: neither its beginning, if that is not known yet, nor its end is before this.
        source: where it is carried out; None: nowhere yet.
        end: when it ended, as far as that was told.
    """

    invocation: Prepared | None
    bound: int
    source: int | None = None
    end: int | None = None


class Sequencer:
    """Stands before a recorder; ``record`` is what the interpreter gets.

    Operations of the nemesis, and completions that no process has told the time of, have the interpreter's time.
    """

    def __init__(self, recorder: Recorder, clock: RealClock) -> None:
        self._recorder = recorder
        self._clock = clock
        self._open: dict[int | str, _Open] = {}
        self._heard: dict[int, int] = {}
        self._following: dict[int | str, int] = {}  # by process: its next operation did not begin before
        self._waiting: list[tuple[int, int, int, Prepared]] = []  # a heap: time, ties, order of arrival
        self._arrived = 0
        self._written = 0  # the time of the last
        self._broken: RuntimeError | None = None

    def record(self, op: Op) -> Op:
        """Take ``op``, return it with its time; its index comes later, when it is written.

        Raises:
            ValueError: it cannot be recorded, as in ``Recorder.record``; nothing was taken.
            EnvironmentFailure: the history cannot be written.
            RuntimeError: a time was told too late. What is written until then is a history.
        """
        if self._broken is not None:
            raise self._broken
        prepared = self._recorder.prepare(op)
        if op.process == NEMESIS:
            self._hold(op.time, prepared)
        elif op.type == INVOKE:
            self._open[op.process] = _Open(prepared, self._following.pop(op.process, op.time))
        else:
            entry = self._open.pop(op.process)
            self._place_beginning(entry, self._bound(entry))
            if entry.end is not None:
                op.time = entry.end
            self._hold(op.time, prepared)
        if not self._open:
            self._release()
        return op

    def handed(self, process: int, source: int) -> None:
        """See ``Times``."""
        entry = self._open.get(process)
        if entry is not None:
            entry.source = source

    def began(self, process: int, time: int) -> None:
        """See ``Times``."""
        entry = self._open.get(process)
        if entry is not None:
            self._place_beginning(entry, self._clock.of_monotonic(time))

    def ended(self, process: int, began: int, ended: int, *, more: bool = False) -> None:
        """See ``Times``."""
        entry = self._open.get(process)
        if entry is not None:
            self._place_beginning(entry, self._clock.of_monotonic(began))
            entry.end = self._clock.of_monotonic(ended)
            if more:
                self._following[process] = entry.end + 1

    def dropped(self, process: int, *, more: bool) -> None:
        """See ``Times``. It is put before whatever its process may have done since."""
        entry = self._open.get(process)
        if entry is not None:
            entry.end = self._bound(entry)
            self._place_beginning(entry, entry.end)
            if more:
                self._following[process] = entry.end + 1

    def nothing_follows(self, process: int) -> None:
        """See ``Times``."""
        self._following.pop(process, None)

    def renamed(self, process: int, new: int) -> None:
        """See ``Times``."""
        bound, entry = self._following.pop(process, None), self._open.get(new)
        if bound is not None and entry is not None:
            entry.bound = bound

    def heard(self, source: int, time: int) -> None:
        """See ``Times``. What is certain now is written; if that fails, the next ``record`` says so."""
        self._heard[source] = max(self._clock.of_monotonic(time), self._heard.get(source, 0))
        with contextlib.suppress(EnvironmentFailure):
            self._release()

    def finish(self) -> None:
        """Write all that is left: the run is over.

        Raises:
            EnvironmentFailure: it cannot be written.
        """
        for entry in self._open.values():
            self._place_beginning(entry, self._bound(entry))
        self._open.clear()
        self._write_before(None)

    def _place_beginning(self, entry: _Open, time: int) -> None:
        if entry.invocation is not None:
            self._hold(time, entry.invocation)
            entry.invocation = None
            entry.bound = time

    def _hold(self, time: int, prepared: Prepared) -> None:
        tie = _BEGINNINGS_FIRST if prepared.op.type == INVOKE else _THEN_ENDS
        self._arrived += 1
        heapq.heappush(self._waiting, (time, tie, self._arrived, prepared))

    def _bound(self, entry: _Open) -> int:
        """What was not told of an operation when its process was heard from came later."""
        if entry.source is None:
            return entry.bound
        return max(entry.bound, self._heard.get(entry.source, 0))

    def _release(self) -> None:
        mark = min(self._following.values(), default=self._clock.now())
        for entry in self._open.values():
            bound = self._bound(entry) if entry.end is None else entry.end
            mark = min(mark, bound)
        self._write_before(mark)

    def _write_before(self, mark: int | None) -> None:
        waiting = self._waiting
        while waiting and self._broken is None and (mark is None or waiting[0][0] < mark):
            time, _, _, prepared = heapq.heappop(waiting)
            if time < self._written:  # times do not fall in a history, and to change one could be to blame the system
                late = f"{prepared.op.f} of {prepared.op.process} was told {self._written - time} ns too late"
                self._broken = RuntimeError(late)
                return
            self._written = time
            self._recorder.append(prepared, time)
