"""The clients' operations as numbered transactions, with the way back from the ids that values carry.

Where every value says the id of the operation that wrote it, this is what turns a history into a graph's vertices.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from checkers.calls import calls_of
from checkers.graph.dsg import Ints

# Codes beside the numbers of transactions. Negative, and each array that they index ends with three sentinels.
UNKNOWN: Final = -1  # no operation of this history
INITIAL: Final = -2  # the set-up
EMPTY: Final = -3  # nobody
SENTINELS: Final = 3

INITIAL_ID: Final = 0  # the set-up's id, the writer of all that was there before the history


class Numbers:
    """From ids to transactions, by an array where ids are dense, else by search."""

    def __init__(self, ids: NDArray[np.int64]) -> None:
        self._count = len(ids)
        self._order = None
        if not len(ids):
            self._table = np.full(1, UNKNOWN, np.int32)
        elif int(ids.max()) <= 4 * len(ids) + 1024:
            self._table = np.full(int(ids.max()) + 1, UNKNOWN, np.int32)
            self._table[ids] = np.arange(len(ids), dtype=np.int32)
            if not np.array_equal(self._table[ids], np.arange(len(ids))):
                raise ValueError("two operations of the history have the same id")
        else:
            self._order = np.argsort(ids, kind="stable").astype(np.int32)
            self._sorted = ids[self._order]
            if (self._sorted[1:] == self._sorted[:-1]).any():
                raise ValueError("two operations of the history have the same id")
        if self._order is None:
            self._table[INITIAL_ID] = INITIAL

    def __call__(self, ids: NDArray[np.int64]) -> Ints:
        """The transactions, ``INITIAL`` for the set-up's id, ``UNKNOWN`` for any other."""
        if self._order is None:
            found = np.take(self._table, ids, mode="clip")
            strange = (ids < 0) | (ids >= len(self._table))
        else:
            at = np.minimum(np.searchsorted(self._sorted, ids), self._count - 1)
            found = self._order[at]
            strange = self._sorted[at] != ids
        if strange.any():
            found[strange] = UNKNOWN
        if self._order is not None:
            found[ids == INITIAL_ID] = INITIAL
        return found


def f_code(history: Any, f: str) -> int:
    """The code of ``f`` in the history's column of that name, -1 if no operation does it."""
    return history.f_names.index(f) if f in history.f_names else -1


class Transactions(NamedTuple):
    """The clients' operations, in the order of their invocations.

    Attributes:
        invocation: position in the history.
        completion: position, or -1: still open at the end.
        status: ``OK_CODE``, ``FAIL_CODE`` or ``INFO_CODE``.
        f: code of what it does, see ``History.f_names``.
        id: the operation's id.
        number_of: of an id, the transaction.
    """

    invocation: Ints
    completion: Ints
    status: NDArray[np.int8]
    f: NDArray[np.integer]
    id: NDArray[np.int64]
    number_of: Numbers

    def doing(self, history: Any, f: str) -> NDArray[np.bool_]:
        """Which of them do ``f``."""
        return self.f == f_code(history, f)


def transactions_of(history: Any) -> Transactions:
    """Number the clients' operations.

    Raises:
        ValueError: two of them have the same id.
    """
    invoked, completed, outcome = calls_of(history)
    ids = history.fields["id"][invoked]
    return Transactions(
        invoked.astype(np.int32), completed.astype(np.int32), outcome, history.f[invoked], ids, Numbers(ids)
    )


def txn_of_rows(history: Any, txns: Transactions) -> Ints:
    """Of each row, the transaction in whose completion it stands; ``UNKNOWN`` where there is none."""
    at = np.full(history.n, UNKNOWN, np.int32)
    completed = txns.completion >= 0
    at[txns.completion[completed]] = np.flatnonzero(completed)
    return np.repeat(at, np.diff(history.row_start))
