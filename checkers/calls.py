"""The clients' operations: where each began, how it ended, and the rows of its completion."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from checkers.arrays import ranges
from harness.columns import INFO_CODE, INVOKE_CODE

Ints = NDArray[np.int64]


class Calls(NamedTuple):
    """Operations in the order of their invocations; arrays of one length.

    Attributes:
        invoked: position in the history.
        completed: the same, -1 where the operation is open.
        outcome: ``OK_CODE``, ``FAIL_CODE`` or ``INFO_CODE``; of what is still open at the end nobody knows it.
    """

    invoked: Ints
    completed: Ints
    outcome: NDArray[np.int8]

    def where(self, mask: Any) -> Calls:
        """Some of them."""
        return Calls._make(column[mask] for column in self)


def calls_of(history: Any, *f: str) -> Calls:
    """All of a ``harness.history.History``, or those that do one of ``f``."""
    wanted = (history.process >= 0) & (history.type == INVOKE_CODE)
    if f:
        wanted &= np.isin(history.f, [code for code, name in enumerate(history.f_names) if name in f])
    invoked = np.flatnonzero(wanted)
    completed = history.pair[invoked]
    return Calls(invoked, completed, np.where(completed < 0, INFO_CODE, history.type[completed]).astype(np.int8))


def rows_of(history: Any, completed: NDArray[np.integer]) -> tuple[Ints, Ints]:
    """The rows of some completions: of each row the place in ``completed``, and its number in the history."""
    start = history.row_start[completed]
    count = history.row_start[completed + 1] - start
    return np.repeat(np.arange(len(completed)), count), ranges(start, count)
