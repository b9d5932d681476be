"""When nothing worked: the times without any ok, and what was in force then."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from checkers.stats import clients_work
from harness.clock import SECOND
from harness.history import History
from reports.faults import Fault, in_force

Ints = npt.NDArray[np.int64]
NOTABLE_NS = SECOND


class Gap(msgspec.Struct, frozen=True):
    """A time without an ok completion, from the ok (or the first invocation) before it to the one (or the end) after.

    Attributes:
        begin: ns.
        end: ns.
        faults: that were there at any time in it, or came about.
        last: the fault that was over before it, where none was there; None if there was none.
    """

    begin: int
    end: int
    faults: tuple[Fault, ...]
    last: Fault | None

    @property
    def length(self) -> int:
        """In ns."""
        return self.end - self.begin


def gap_bounds(history: History, ok_at: Ints) -> tuple[Ints, Ints]:
    """All gaps between the oks at ``ok_at``: from the first invocation of a client to its last entry.

    Readbacks are left out: the history is judged before them, and nothing happens meanwhile.
    """
    client = np.flatnonzero(clients_work(history))
    if not len(client):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    ends = [int(history.time[client[0]]), int(history.time[client[-1]])]
    marks = np.concatenate(([ends[0]], ok_at, [ends[1]])).astype(np.int64)
    marks.sort()
    return marks[:-1], marks[1:]


def longest_gap(history: History, ok_at: Ints, faults: Sequence[Fault]) -> Gap | None:
    """The longest, the first of several; None without any operation."""
    begins, ends = gap_bounds(history, ok_at)
    if not len(begins):
        return None
    widest = int(np.argmax(ends - begins))
    return _gap(int(begins[widest]), int(ends[widest]), faults)


def notable_gaps(history: History, ok_at: Ints, faults: Sequence[Fault], above: int = NOTABLE_NS) -> list[Gap]:
    """Those longer than ``above`` ns, in order."""
    begins, ends = gap_bounds(history, ok_at)
    chosen = np.flatnonzero(ends - begins > above)
    return [_gap(int(begins[i]), int(ends[i]), faults) for i in chosen]


def _gap(begin: int, end: int, faults: Sequence[Fault]) -> Gap:
    there = in_force(faults, begin, end)
    over = [fault for fault in faults if fault.error is None and fault.end_ns < begin] if not there else []
    return Gap(begin, end, tuple(there), max(over, key=lambda fault: fault.end_ns, default=None))
