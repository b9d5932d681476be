"""What a bank history says of versions: who installed which, who read which, and what contradicts itself.

A record carries account, balance, version, writer and previous writer, so the version order is known and nothing is
inferred. ``checkers.bank.installed`` says who is committed, and what they wrote.

Contradictions, by the name that is nearest in the literature:

- ``G1a``: a committed operation saw what a failed one wrote (aborted read).
- ``garbage-read``: it saw what nobody wrote, or not what the writer wrote.
- ``future-read``: it read its own later write.
- ``lost-update``: two committed transfers wrote the same version of an account.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from checkers.bank.installed import Effects, Flags, Installed, Rows, effects_of
from checkers.bank.read_back import HalfCommit
from checkers.bank.slots import Slots
from checkers.bank.transactions import (
    EMPTY,
    INITIAL,
    SENTINELS,
    Transactions,
    transactions_of,
)
from checkers.graph.dsg import NONE, Ints, Versions
from harness.columns import FAIL_CODE
from harness.protocols import ABSENT


class Contradictions(NamedTuple):
    """Rows of committed operations that cannot be, and versions with two writers.

    Of each row there are two numbers: its position, and 1 where it is the previous writer, not the writer, whose
    version cannot have been there.
    """

    aborted: Rows
    garbage: Rows
    future: Rows
    twice_written: list[list[int]]  # versions that are one version of one account


class BankFacts(NamedTuple):
    """A bank history as transactions and versions.

    Attributes:
        txns: all operations of clients.
        committed: which of them took effect, as far as the history shows.
        row_txn: of each row, its transaction.
        versions: who installed each version, and which one it replaced.
        version_row: of each version, a row with its content, or ``NONE``.
        version_slot: of each version, its place in the order of accounts and versions.
        read_txn: of each read of a version, who read.
        read_version: of each read, what.
        contradictions: what cannot be.
        half: transfers that wrote less than they said.
    """

    txns: Transactions
    committed: Flags
    row_txn: Ints
    versions: Versions
    version_row: NDArray[np.int64]
    version_slot: Ints
    slots: Slots
    read_txn: Ints
    read_version: Ints
    contradictions: Contradictions
    half: list[HalfCommit]


def bank_facts(history: Any) -> BankFacts:
    """Read a history's columns (``checkers.bank.columns``), in time linear in the history.

    Raises:
        ValueError: two operations have the same id.
    """
    txns = transactions_of(history)
    return _Builder(history, txns, effects_of(history, txns)).build()


class _Builder:
    """Numbers the versions and looks everything up in them.

    A version is numbered by its slot (account and version number). Where two transactions wrote one, the further ones
    get numbers behind all slots.
    """

    def __init__(self, history: Any, txns: Transactions, effects: Effects) -> None:
        self._rows = history.rows
        self._txns = txns
        self._effects = effects
        self._row_txn, self._writer, self._previous = effects.named

    def build(self) -> BankFacts:
        """Make the facts of these writes and reads."""
        installed, reads = self._effects.installed, self._effects.reads
        slots = Slots(installed.account, installed.version, self._rows["account"][reads])
        slot = slots.find(installed.account, installed.version)
        number = self._number(slots, slot, installed)
        parent, bad_writes = self._parents(slots, number, installed)
        row = np.full(len(self._version_writer), NONE, np.int64)
        row[number] = installed.row
        read_version, bad_reads = self._reads(slots, row, reads)
        good = read_version >= 0
        return BankFacts(
            txns=self._txns,
            committed=self._effects.committed,
            row_txn=self._row_txn,
            versions=Versions(self._version_writer, parent),
            version_row=row,
            version_slot=self._version_slot,
            slots=slots,
            read_txn=self._row_txn[reads[good]],
            read_version=read_version[good],
            contradictions=self._contradictions(bad_writes, bad_reads),
            half=self._effects.half,
        )

    def _number(self, slots: Slots, slot: Ints, installed: Installed) -> Ints:
        order = np.arange(len(slot), dtype=np.int32)
        holder = np.full(slots.count, NONE, np.int32)
        holder[slot] = order
        further = np.flatnonzero(holder[slot] != order)
        number = slot.copy()
        number[further] = slots.count + np.arange(len(further), dtype=np.int32)
        self._version_writer = np.full(slots.count + len(further), EMPTY, np.int32)
        self._version_writer[slots.initial] = INITIAL
        self._version_writer[number] = installed.txn
        self._version_slot = np.concatenate((np.arange(slots.count, dtype=np.int32), slot[further]))
        pairs = zip(slot[further].tolist(), installed.txn[further].tolist(), strict=True)
        self._further = {pair: slots.count + place for place, pair in enumerate(pairs)}
        return number

    def _find(self, slot: Ints, writer: Ints) -> Ints:
        """The version in that slot by that writer, or ``NONE``."""
        found = np.where((slot >= 0) & (self._version_writer[slot] == writer) & (writer != EMPTY), slot, NONE)
        if self._further:
            for at in np.flatnonzero((found < 0) & (slot >= 0)).tolist():
                found[at] = self._further.get((int(slot[at]), int(writer[at])), NONE)
        return found.astype(np.int32, copy=False)

    def _parents(self, slots: Slots, number: Ints, installed: Installed) -> tuple[Ints, Rows]:
        found = self._find(slots.find(installed.account, installed.version - 1), installed.previous)
        untold = np.flatnonzero(installed.previous == EMPTY)
        for at in untold.tolist():
            found[at] = self._nearest_below(int(self._version_slot[number[at]]), slots)
        parent = np.full(len(self._version_writer), NONE, np.int32)
        parent[number] = found
        return parent, installed.row[(found < 0) & (installed.row >= 0)]

    def _nearest_below(self, slot: int, slots: Slots) -> int:
        account = slots.account_of(slot)
        below = slot - 1
        while below >= 0 and slots.account_of(below) == account:
            if self._version_writer[below] != EMPTY:
                return below
            below -= 1
        return NONE

    def _reads(self, slots: Slots, row: NDArray[np.int64], reads: Rows) -> tuple[Ints, Rows]:
        """What was read, and the rows that read what nobody wrote (those are no reads)."""
        writer = self._writer[reads]
        found = self._find(slots.find(self._rows["account"][reads], self._rows["version"][reads]), writer)
        found[writer == self._row_txn[reads]] = NONE
        set_up = np.flatnonzero(writer == INITIAL)
        found[set_up[self._rows["previous"][reads[set_up]] != ABSENT]] = NONE
        hit = found >= 0
        untold = np.flatnonzero(hit & (row[found] < 0))
        row[found[untold[::-1]]] = reads[untold[::-1]]
        told = row[found]
        for column in ("balance", "previous"):
            values = self._rows[column]
            hit &= values[reads] == values[told]
        found[~hit] = NONE
        return found, reads[~hit]

    def _contradictions(self, bad_writes: Rows, bad_reads: Rows) -> Contradictions:
        """Sort the rows that cannot be by what is wrong with whom they name."""
        account = self._rows["account"]
        said = set(zip(self._row_txn[bad_reads].tolist(), account[bad_reads].tolist(), strict=True))
        pairs = zip(self._row_txn[bad_writes].tolist(), account[bad_writes].tolist(), strict=True)
        # What a transfer's read has told already its write need not tell again.
        on_top = bad_writes[np.array([pair not in said for pair in pairs], bool)]
        row = np.concatenate((bad_reads, on_top))
        by_previous = np.concatenate((np.zeros(len(bad_reads), np.int64), np.ones(len(on_top), np.int64)))
        seen = np.where(by_previous == 1, self._previous[row], self._writer[row])
        own = (seen == self._row_txn[row]) & (seen >= 0)
        status = np.concatenate((self._txns.status, np.zeros(SENTINELS, np.int8)))
        aborted = ~own & (status[seen] == FAIL_CODE)
        table = np.stack((row, by_previous), axis=1)
        return Contradictions(table[aborted], table[~own & ~aborted], table[own], self._twice())

    def _twice(self) -> list[list[int]]:
        groups: dict[int, list[int]] = {}
        for (slot, _), version in self._further.items():
            groups.setdefault(slot, [slot]).append(version)
        return [groups[slot] for slot in sorted(groups)]
