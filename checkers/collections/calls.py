"""The clients' operations as arrays, and how a person is told of one."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from checkers.arrays import ranges
from harness.columns import INFO_CODE, INVOKE_CODE

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


class Calls(NamedTuple):
    """Operations in the order of their invocations; arrays of one length.

    Attributes:
        invoked: position in the history.
        completed: the same, -1 where the operation is open.
        outcome: the type's code; of an open one that of info.
    """

    invoked: Ints
    completed: Ints
    outcome: NDArray[Any]

    def where(self, mask: Any) -> Calls:
        """Some of them."""
        return Calls._make(column[mask] for column in self)


def calls_of(history: Any, *f: str) -> Calls:
    """The operations of clients that do one of ``f``."""
    codes = [code for code, name in enumerate(history.f_names) if name in f]
    invoked = np.flatnonzero((history.process >= 0) & (history.type == INVOKE_CODE) & np.isin(history.f, codes))
    completed: Ints = history.pair[invoked]
    return Calls(invoked, completed, np.where(completed < 0, INFO_CODE, history.type[completed]))


def rows_of(history: Any, completed: Ints) -> tuple[Ints, Ints]:
    """The rows of some completions: of each row the place in ``completed``, and its number in the history."""
    start = history.row_start[completed]
    count = history.row_start[completed + 1] - start
    return np.repeat(np.arange(len(completed)), count), ranges(start, count)


def told(history: Any, invoked: int) -> str:
    """``the add of 5 by process 3 (index 40)``."""
    op = history.op(invoked)
    what = f" of {shown(op.value)}" if op.value is not None else ""
    return f"the {op.f}{what} by process {op.process} (index {history.number(invoked)})"


def shown(value: Any) -> str:
    """A value, cut if it is long."""
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
