"""What reading commits back has shown: which of the acknowledged writes of a transfer are really there.

tikv-client drops the mutations of a region whose lookup fails during prewrite or commit, and reports the commit all the
same. At the commit_ts a write that took effect is the newest version of its account, whatever came later. So a record
of another writer, read there, shows that the write is missing. A store that lost it would look alike, which is why
three things must come together before the client is named:

- a readback at the very commit_ts that was acknowledged found another writer's record in its place;
- no other readback found it there;
- no operation whatsoever, not even one that failed, ever read it, or the version that replaced it.

What is missing without that stays a write of the history, and the readback is then a read that contradicts it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from checkers.bank.columns import READ, WRITE
from checkers.bank.transactions import SENTINELS, Transactions, f_code, transactions_of, txn_of_rows
from checkers.calls import rows_of
from checkers.graph.dsg import Ints
from harness.columns import OK_CODE


class HalfCommit(NamedTuple):
    """A transfer that was acknowledged and is there in part, or not at all.

    Attributes:
        txn: the transfer, see ``Transactions``.
        present: rows of the history with what it wrote and what was found.
        missing: rows with what it wrote and what is not there.
        found: of each missing one, the row that was read in its place.
    """

    txn: int
    present: list[int]
    missing: list[int]
    found: list[int]


class ReadBack(NamedTuple):
    """What was read back.

    Attributes:
        acknowledged: how many transfers were reported as committed with a timestamp.
        read: how many of them were read back.
        whole: how many were found with all that they had written.
        half: those that were shown not to be whole.
    """

    acknowledged: int
    read: int
    whole: int
    half: list[HalfCommit]

    @property
    def missing(self) -> list[int]:
        """Rows of the history with writes that never came about."""
        return [row for half in self.half for row in half.missing]


def read_back(history: Any) -> ReadBack:
    """Compare what was read back with what was acknowledged; linear in the history.

    Raises:
        ValueError: two operations have the same id.
    """
    is_transfer = history.f == f_code(history, "transfer")
    acknowledged = int((is_transfer & (history.type == OK_CODE) & (history.fields["commit_ts"] >= 0)).sum())
    if f_code(history, "readback") < 0:
        return ReadBack(acknowledged, 0, 0, [])
    txns = transactions_of(history)
    row_txn = txn_of_rows(history, txns)
    writer = txns.number_of(history.rows["writer"])
    back = _readbacks(history, txns)
    targets = np.unique(back.txn)
    rows = np.flatnonzero((history.rows["kind"] == WRITE) & _marked(txns, targets)[row_txn])
    wrote = _Written(row_txn[rows].astype(np.int64), rows)
    found = _found(history, back, wrote, writer)
    halves = _halves(back, wrote, found)
    parts, there = (np.bincount(some, minlength=len(txns.id)) for some in (wrote.txn, wrote.txn[found.present]))
    seen = _seen_by_others(history, txns, row_txn, writer, [half.txn for half in halves])
    account = history.rows["account"]
    half = [half for half in halves if not any((half.txn, int(account[row])) in seen for row in half.missing)]
    return ReadBack(acknowledged, len(targets), int((parts[targets] == there[targets]).sum()), half)


class _Readbacks(NamedTuple):
    """Readbacks that count: which transfer was read back, and where that was complete."""

    txn: Ints
    completed: Ints


class _Written(NamedTuple):
    """Rows that were written, and by whom."""

    txn: NDArray[np.int64]
    row: NDArray[np.int64]


class _Found(NamedTuple):
    """What was read back of each row that was written.

    Attributes:
        present: it was found.
        missing: its account was found only with something else.
        instead: the last row that was read of its account.
    """

    present: NDArray[np.bool_]
    missing: NDArray[np.bool_]
    instead: NDArray[np.int64]


def _readbacks(history: Any, txns: Transactions) -> _Readbacks:
    """Those of a transfer at its commit_ts."""
    readbacks = np.flatnonzero(txns.doing(history, "readback") & (txns.status == OK_CODE))
    at = txns.completion[readbacks]
    txn = txns.number_of(history.fields["of"][at])
    at, txn = at[txn >= 0], txn[txn >= 0]
    right = txns.doing(history, "transfer")[txn] & (txns.status[txn] == OK_CODE)
    commit_ts = history.fields["commit_ts"][txns.completion[txn]]
    right &= (commit_ts >= 0) & (history.fields["ts"][at] == commit_ts)
    return _Readbacks(txn[right], at[right])


def _found(history: Any, back: _Readbacks, wrote: _Written, writer: Ints) -> _Found:
    """Look up what was written, by transfer and account, in what was read back."""
    owner, read = rows_of(history, back.completed)
    txn = back.txn[owner]
    names, account = np.unique(history.rows["account"][np.concatenate((wrote.row, read))], return_inverse=True)
    mine = wrote.txn * len(names) + account[: len(wrote.row)]
    asked = txn * np.int64(len(names)) + account[len(wrote.row) :]
    order = np.argsort(mine)
    at = np.searchsorted(mine[order], asked)
    known = at < len(order)
    known[known] = mine[order[at[known]]] == asked[known]
    place, read, txn = order[at[known]], read[known], txn[known]
    looked, present = np.zeros(len(mine), bool), np.zeros(len(mine), bool)
    looked[place] = True
    present[place[writer[read] == txn]] = True
    instead = np.zeros(len(mine), np.int64)
    instead[place] = read  # the last one assigned stays
    return _Found(present, looked & ~present, instead)


def _halves(back: _Readbacks, wrote: _Written, found: _Found) -> list[HalfCommit]:
    """Those of which something is missing, in the order in which they were read back."""
    halves = {txn: HalfCommit(txn, [], [], []) for txn in np.unique(wrote.txn[found.missing]).tolist()}
    at = np.flatnonzero(np.isin(wrote.txn, list(halves)))
    columns = (wrote.txn, wrote.row, *found)
    for txn, row, present, missing, instead in zip(*(column[at].tolist() for column in columns), strict=True):
        half = halves[txn]
        if present:
            half.present.append(row)
        if missing:
            half.missing.append(row)
            half.found.append(instead)
    return [halves[txn] for txn in dict.fromkeys(back.txn.tolist()) if txn in halves]


def _marked(txns: Transactions, wanted: Sequence[int] | Ints) -> NDArray[np.bool_]:
    marked = np.zeros(len(txns.id) + SENTINELS, bool)
    marked[wanted] = True
    return marked


def _seen_by_others(
    history: Any, txns: Transactions, row_txn: Ints, writer: Ints, suspects: list[int]
) -> set[tuple[int, int]]:
    """Which of these transfers' writes, by transfer and account, another operation tells of."""
    if not suspects:
        return set()
    wanted = _marked(txns, suspects)
    account = history.rows["account"]
    previous = txns.number_of(history.rows["previous"])
    seen: set[tuple[int, int]] = set()
    for column, rows in (
        (writer, np.flatnonzero(wanted[writer] & (history.rows["kind"] == READ))),
        (previous, np.flatnonzero(wanted[previous])),
    ):
        others = rows[row_txn[rows] != column[rows]]
        seen.update(zip(column[others].tolist(), account[others].tolist(), strict=True))
    return seen
