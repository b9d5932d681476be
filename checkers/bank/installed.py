"""Which operations of the bank took effect, and what they wrote: by their own records, and by what others saw.

- An ``ok`` operation is committed. A ``fail`` is not, ever. An ``info`` transfer is committed if a committed operation
  saw its write: its id stands as writer or as previous writer in a record that was read, or as previous writer in one
  that was written. What such a transfer read counts in turn, so this is a fixed point. Other ``info`` operations
  constrain nothing.
- What a committed transfer wrote is known from its own records or, where the client never got so far as to note them,
  from what others saw.
- What reading back has shown to be missing of an acknowledged transfer (``checkers.bank.read_back``) was never written.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from checkers.bank.columns import READ, WRITE
from checkers.bank.read_back import HalfCommit, read_back
from checkers.bank.transactions import EMPTY, SENTINELS, Transactions, txn_of_rows
from checkers.calls import rows_of
from checkers.graph.dsg import NONE, Ints
from harness.columns import INFO_CODE, OK_CODE

Flags = NDArray[np.bool_]
Rows = NDArray[np.int64]  # positions in the history's rows


class Named(NamedTuple):
    """Of each row of the history, transactions.

    Attributes:
        txn: in whose completion it stands.
        writer: whom it names as writer.
        previous: whom it names as the writer of the version before.
    """

    txn: Ints
    writer: Ints
    previous: Ints


class Installed(NamedTuple):
    """Writes of committed transactions, one entry each; ``row`` may be another's row that saw it, or ``NONE``."""

    txn: Ints
    account: NDArray[np.int64]
    version: NDArray[np.int64]
    previous: Ints
    row: NDArray[np.int64]


class Effects(NamedTuple):
    """What came about.

    Attributes:
        committed: which transactions took effect, as far as the history shows.
        named: whom the rows name.
        reads: the rows that committed transactions read.
        installed: what they wrote.
        half: transfers that wrote less than they said.
    """

    committed: Flags
    named: Named
    reads: Rows
    installed: Installed
    half: list[HalfCommit]


def effects_of(history: Any, txns: Transactions) -> Effects:
    """Find it out, in time linear in the history.

    Raises:
        ValueError: two operations have the same id.
    """
    rows = history.rows
    named = Named(txn_of_rows(history, txns), txns.number_of(rows["writer"]), txns.number_of(rows["previous"]))
    doubtful = txns.doing(history, "transfer") & (txns.status == INFO_CODE)
    committed = _committed(history, txns, doubtful, named)

    used = _with_sentinels(committed)[named.txn]
    reads = np.flatnonzero(used & (rows["kind"] == READ))
    writes = np.flatnonzero(used & (rows["kind"] == WRITE))
    found = read_back(history)
    if found.half:
        writes = np.setdiff1d(writes, found.missing)
    installed = Installed(
        named.txn[writes], rows["account"][writes], rows["version"][writes], named.previous[writes], writes
    )
    if (doubtful & committed).any():
        hidden = _hidden(history, _with_sentinels(doubtful & committed), installed, reads, named)
        installed = Installed._make(np.concatenate(pair) for pair in zip(installed, hidden, strict=True))
    return Effects(committed, named, reads, installed, found.half)


def _with_sentinels(flags: Flags) -> Flags:
    return np.concatenate((flags, np.zeros(SENTINELS, bool)))


def _committed(history: Any, txns: Transactions, doubtful: Flags, named: Named) -> Flags:
    """The fixed point: whoever was seen by a committed operation is committed."""
    committed = txns.status == OK_CODE
    if not doubtful.any():
        return committed
    left = _with_sentinels(doubtful)
    # In a row that was written the writer is the transaction itself, which changes nothing.
    rows = np.flatnonzero(_with_sentinels(committed)[named.txn])
    while len(rows):
        seen = np.concatenate((named.writer[rows], named.previous[rows]))
        new = np.unique(seen[left[seen]])
        left[new] = False
        committed[new] = True
        ends = txns.completion[new]
        ends = ends[ends >= 0]
        _, rows = rows_of(history, ends)
    return committed


def _hidden(history: Any, doubtful: Flags, installed: Installed, reads: Rows, named: Named) -> Installed:
    """Writes that only others tell of: their clients never learned what they wrote, or never came to note it."""
    noted = doubtful[installed.txn]
    known = set(zip(installed.txn[noted].tolist(), installed.account[noted].tolist(), strict=True))
    found: list[tuple[int, int, int, int, int]] = []
    account, version = history.rows["account"], history.rows["version"]
    writer, previous = named.writer, named.previous

    seen = reads[doubtful[writer[reads]]]
    columns = (writer[seen], account[seen], version[seen], previous[seen], seen)
    for txn, of, number, before, row in zip(*(column.tolist() for column in columns), strict=True):
        if number > 0 and (txn, of) not in known:
            known.add((txn, of))
            found.append((txn, of, number, before, row))
    for rows in (reads, installed.row):
        seen = rows[doubtful[previous[rows]]]
        columns = (previous[seen], account[seen], version[seen])
        for txn, of, number in zip(*(column.tolist() for column in columns), strict=True):
            if number > 1 and (txn, of) not in known:
                known.add((txn, of))
                found.append((txn, of, number - 1, EMPTY, NONE))
    table = np.array(found, np.int64).reshape(-1, 5)
    return Installed(table[:, 0].astype(np.int32), table[:, 1], table[:, 2], table[:, 3].astype(np.int32), table[:, 4])
