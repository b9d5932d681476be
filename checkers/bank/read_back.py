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

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from checkers.bank.columns import READ, WRITE
from checkers.bank.transactions import SENTINELS, Transactions, f_code, rows_of, transactions_of
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
    row_txn = rows_of(history, txns)
    writer = txns.number_of(history.rows["writer"])
    found = _found(history, txns)
    written = _written(history, txns, row_txn, list(found))
    halves, whole = [], 0
    for txn, records in found.items():
        own = {account: row for account, row in written[txn].items() if account in records}
        present = [row for account, row in own.items() if (writer[records[account]] == txn).any()]
        missing = {account: row for account, row in own.items() if not (writer[records[account]] == txn).any()}
        whole += len(present) == len(written[txn])
        if missing:
            at = [records[account][-1] for account in missing]
            halves.append(HalfCommit(txn, present, list(missing.values()), at))
    seen = _seen_by_others(history, txns, row_txn, writer, [half.txn for half in halves])
    account = history.rows["account"]
    half = [half for half in halves if not any((half.txn, int(account[row])) in seen for row in half.missing)]
    return ReadBack(acknowledged, len(found), whole, half)


def _found(history: Any, txns: Transactions) -> dict[int, dict[int, list[int]]]:
    """Of each transfer that was read back at its commit_ts: of each account, the rows read."""
    readbacks = np.flatnonzero(txns.doing(history, "readback") & (txns.status == OK_CODE))
    target = txns.number_of(history.fields["of"][txns.completion[readbacks]])
    known = target >= 0
    readbacks, target = readbacks[known], target[known]
    right = txns.doing(history, "transfer")[target] & (txns.status[target] == OK_CODE)
    commit_ts = history.fields["commit_ts"][txns.completion[target]]
    right &= (commit_ts >= 0) & (history.fields["ts"][txns.completion[readbacks]] == commit_ts)
    found: dict[int, dict[int, list[int]]] = {}
    for readback, txn in zip(readbacks[right].tolist(), target[right].tolist(), strict=True):
        end = int(txns.completion[readback])
        records = found.setdefault(txn, {})
        for row in range(int(history.row_start[end]), int(history.row_start[end + 1])):
            records.setdefault(int(history.rows["account"][row]), []).append(row)
    return found


def _written(history: Any, txns: Transactions, row_txn: Ints, transfers: list[int]) -> dict[int, dict[int, int]]:
    """Of each of these transfers: of each account that it wrote, the row."""
    rows = np.flatnonzero((history.rows["kind"] == WRITE) & _marked(txns, transfers)[row_txn])
    account = history.rows["account"][rows]
    written: dict[int, dict[int, int]] = {txn: {} for txn in transfers}
    for txn, of, row in zip(row_txn[rows].tolist(), account.tolist(), rows.tolist(), strict=True):
        written[txn][of] = row
    return written


def _marked(txns: Transactions, wanted: list[int]) -> NDArray[np.bool_]:
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
