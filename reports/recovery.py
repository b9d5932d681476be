"""How long it took after each fault until everybody had an ok again: thread by thread, since one may be left behind."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from harness.columns import INVOKE_CODE, OK_CODE
from harness.history import History
from reports.faults import Fault, Recovery

Ints = npt.NDArray[np.int64]


def measure_recovery(faults: Sequence[Fault], history: History, threads: int) -> None:
    """Set ``recovery`` of each fault that was there and ended.

    Args:
        faults: as read from ``history``.
        history: of the run.
        threads: how many there were; 0: every process counts as one.
    """
    ended = [fault for fault in faults if fault.healed and fault.error is None]
    if not ended:
        return
    ends = np.array([fault.end_ns for fault in ended], np.int64)
    times: list[list[tuple[int, int | None]]] = [[] for _ in ended]  # of each fault: (thread, time until its ok)
    for thread, begun, done in _by_thread(history, threads):
        soonest = np.minimum.accumulate(done[::-1])[::-1]  # of those begun at or after each, the first to be ok
        for number, place in enumerate(np.searchsorted(begun, ends).tolist()):
            if place < len(begun):
                at = int(soonest[place])
                times[number].append((thread, at - int(ends[number]) if at < _NEVER else None))
    for fault, found in zip(ended, times, strict=True):
        fault.recovery = _summary(found)


_NEVER = np.iinfo(np.int64).max


def _by_thread(history: History, threads: int) -> list[tuple[int, Ints, Ints]]:
    """Of each thread its invocations in order, and when each was ok (``_NEVER`` where it was not)."""
    index = np.flatnonzero((np.asarray(history.process) >= 0) & (np.asarray(history.type) == INVOKE_CODE))
    pair, time = np.asarray(history.pair)[index], np.asarray(history.time, dtype=np.int64)
    ok = (pair >= 0) & (np.asarray(history.type)[np.maximum(pair, 0)] == OK_CODE)
    done = np.where(ok, time[np.maximum(pair, 0)], _NEVER)
    thread = np.asarray(history.process)[index]
    thread = thread % threads if threads > 0 else thread
    order = np.argsort(thread, kind="stable")
    if not len(order):
        return []
    names, starts = np.unique(thread[order], return_index=True)
    parts = np.split(order, starts[1:])
    return [(int(name), time[index[part]], done[part]) for name, part in zip(names, parts, strict=True)]


def _summary(found: Sequence[tuple[int, int | None]]) -> Recovery:
    back = sorted((took, thread) for thread, took in found if took is not None)
    if not back:
        return Recovery(None, None, None, None, 0, len(found))
    last = back[-1][0]
    return Recovery(
        first_ns=back[0][0],
        median_ns=back[(len(back) - 1) // 2][0],
        last_ns=last,
        last_thread=min(thread for took, thread in back if took == last),
        back=len(back),
        never=len(found) - len(back),
    )
