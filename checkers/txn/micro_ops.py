"""The rows of a history as one table of micro-operations, by transaction, with keys as small numbers."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from checkers.arrays import first_of_each
from checkers.calls import calls_of
from checkers.graph.dsg import Ints
from checkers.graph.realtime import NEVER, Intervals
from checkers.txn.columns import WRITE
from harness.columns import FAIL_CODE, OK_CODE

Longs = NDArray[Any]  # integers, of 64 bits unless they are places
Mask = NDArray[np.bool_]

_ROOM: Final = 1 << 20
_FITS: Final = 1 << 62


class Transactions(NamedTuple):
    """The clients' operations, in the order of their invocations.

    Attributes:
        invocation: position in the history.
        completion: position, or -1: still open at the end.
        status: ``OK_CODE``, ``FAIL_CODE`` or ``INFO_CODE``.
        process: who.
    """

    invocation: Ints
    completion: Ints
    status: NDArray[np.int8]
    process: Longs

    def intervals(self, committed: Mask, length: int) -> Intervals:
        """When each ran; one that is not committed constrains nothing, an info one may take effect at any later time.

        Args:
            committed: of each, whether it counts.
            length: of the history.
        """
        invoked = np.where(committed, self.invocation, NEVER).astype(np.int32)
        ended = np.where(committed & (self.status == OK_CODE), self.completion, NEVER).astype(np.int32)
        return Intervals(invoked, ended, length)


class MicroOps(NamedTuple):
    """Rows of ``checkers.txn.columns``, those that count: of completions, and of invocations without completion.

    Attributes:
        txn: of each row, its transaction.
        what: what it is.
        key: 0..m-1.
        value: as in the columns.
        keys: of each number of a key, the key as in the columns.
    """

    txn: Ints
    what: NDArray[np.int8]
    key: Ints
    value: Longs
    keys: Longs


def transactions_of(history: Any) -> Transactions:
    """Number the clients' operations."""
    invoked, completed, outcome = calls_of(history)
    return Transactions(invoked.astype(np.int32), completed.astype(np.int32), outcome, history.process[invoked])


def micro_ops_of(history: Any, txns: Transactions) -> MicroOps:
    """The rows that count."""
    of_op = np.full(history.n, -1, np.int32)
    numbers = np.arange(len(txns.invocation), dtype=np.int32)
    is_open = txns.completion < 0
    of_op[txns.completion[~is_open]] = numbers[~is_open]
    of_op[txns.invocation[is_open]] = numbers[is_open]
    txn = np.repeat(of_op, np.diff(history.row_start))
    used = np.flatnonzero(txn >= 0)
    key, keys = _small(history.rows["key"][used])
    what = history.rows["what"].astype(np.int8)[used]
    return MicroOps(txn[used], what, key, history.rows["value"][used], keys)


def _small(values: Longs) -> tuple[Ints, Longs]:
    """Values numbered from 0 in ascending order, and the value of each number."""
    if not len(values):
        return np.zeros(0, np.int32), values
    low, high = int(values.min()), int(values.max())
    if high - low > 4 * len(values) + _ROOM:
        found, numbers = np.unique(values, return_inverse=True)
        return numbers.astype(np.int32), found
    there = np.zeros(high - low + 1, bool)
    there[values - low] = True
    found = np.flatnonzero(there)
    number = np.zeros(len(there), np.int32)
    number[found] = np.arange(len(found), dtype=np.int32)
    return number[values - low], found + low


class Written(NamedTuple):
    """All that was written, by key and value.

    Attributes:
        txn: of each write, its transaction.
        key: its key.
        value: its value.
        row: its row among the micro-operations.
        seen: of each row of the micro-operations, the write that it shows, or -1. Filled in for rows asked for only.
        twice: writes of a value that another transaction, or the same, wrote to that key too, though both may count.
    """

    txn: Ints
    key: Ints
    value: Longs
    row: Ints
    seen: Ints
    twice: Ints

    @property
    def of_row(self) -> Ints:
        """Of each row of the micro-operations, the write that it is, or -1."""
        found = np.full(len(self.seen), -1, np.int32)
        found[self.row] = np.arange(len(self.row), dtype=np.int32)
        return found


def written(ops: MicroOps, status: NDArray[np.int8], showing: Mask) -> Written:
    """Find which write each row shows.

    Of a value that was written several times to a key, the write of an ok transaction counts before that of an info
    one, and that before a failed one.

    Args:
        ops: the micro-operations.
        status: of the transactions.
        showing: which rows to look up, by their key and value.
    """
    row = np.flatnonzero(ops.what == WRITE)
    certain = status[ops.txn[row]]
    if (certain != OK_CODE).any():
        rank = np.array([0, 0, 2, 1], np.int8)[certain]  # of invoke (never), ok, fail, info
        row = row[np.argsort(rank, kind="stable")]
    asked = np.flatnonzero(showing)
    code = _codes(ops, np.concatenate((row, asked)))
    by_code = np.argsort(code[: len(row)], kind="stable")
    row = row[by_code]
    mine, theirs = code[: len(row)][by_code], code[len(row) :]
    again = np.flatnonzero(~first_of_each(mine))
    twice = again[status[ops.txn[row[again]]] != FAIL_CODE]
    seen = np.full(len(ops.what), -1, np.int32)
    if len(row):
        # In ascending order, neighbours are found in the same piece of memory.
        order = np.argsort(theirs)
        at = np.searchsorted(mine, theirs[order])
        at[at == len(mine)] = 0
        seen[asked[order]] = np.where(mine[at] == theirs[order], at, -1)
    return Written(ops.txn[row], ops.key[row], ops.value[row], row.astype(np.int32), seen, twice.astype(np.int32))


def _codes(ops: MicroOps, rows: Longs) -> Longs:
    """One number for each pair of key and value."""
    value = ops.value[rows]
    if not len(value):
        return value
    low, high = int(value.min()), int(value.max())
    if (high - low + 1) * len(ops.keys) >= _FITS:
        value, found = _small(value)
        low, high = 0, len(found)
    return ops.key[rows].astype(np.int64) * (high - low + 1) + (value.astype(np.int64) - low)
