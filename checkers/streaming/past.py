"""What is left of folded operations of the bank, and what newer ones may not be at odds with.

These are the floors (``checkers.streaming.folding`` proves that they are enough), and of each account the largest
timestamps of folded commits, and of folded reads at an old timestamp, with which later reads and commits are compared.

Reads at an old timestamp may return the past, so for them what is said of edges into what is folded does not hold. What
they read below a floor is undecided: it is left to the check afterwards.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from checkers.bank.columns import OLD_SNAPSHOT, READ, WRITE
from checkers.bank.installed import Flags
from checkers.bank.snapshots import old_snapshots
from checkers.bank.transactions import SENTINELS
from checkers.bank.versions import BankFacts
from checkers.models import rules_out
from checkers.streaming.failed import FailedIds
from checkers.streaming.window import (
    ACCOUNT,
    BALANCE,
    COMMIT_TS,
    FLAGS,
    ID,
    INVOKED,
    KIND,
    OWNER,
    PREVIOUS,
    STATUS,
    TS,
    VERSION,
    WRITER,
    Floor,
    Floors,
    Ints,
    Window,
    owned_by,
    who,
)
from harness.columns import OK_CODE
from harness.protocols import ABSENT
from harness.verdict import Anomaly


class Admitted(NamedTuple):
    """New operations and rows without what is at odds with a floor.

    Attributes:
        table: operations.
        rows: of these.
        undecided: how many operations have lost rows that they had perhaps by right.
        violation: what an ok one has done at odds with a floor, or None.
    """

    table: Ints
    rows: Ints
    undecided: int = 0
    violation: Anomaly | None = None


class Past:
    """What is left of folded operations.

    Attributes:
        floors: by account.
    """

    def __init__(self) -> None:
        self.floors: dict[int, Floor] = {}
        self._committed_at: dict[int, int] = {}  # of each account, the largest commit_ts
        self._read_at: dict[int, int] = {}  # the largest timestamp of a read at an old timestamp

    def may_show_up(self, rows: list[list[int]]) -> bool:
        """Whether an operation of unknown outcome with these records may still show up."""
        for row in rows:
            floor = self.floors.get(row[ACCOUNT])
            if floor is None or row[VERSION] > floor.version:
                continue
            told = (floor.balance, floor.previous) if floor.told else (row[BALANCE], row[PREVIOUS])
            here = (floor.version, floor.writer, *told)
            if row[KIND] == WRITE or (row[VERSION], row[WRITER], row[BALANCE], row[PREVIOUS]) != here:
                return False
        return True

    def admit(self, table: Ints, rows: Ints, failed: FailedIds, seen: Ints) -> Admitted:
        """Hold new operations against the floors.

        What has an unknown outcome and is at odds with one is forgotten, so whoever sees it is refused. What reads
        below a floor by right, or perhaps by right, loses its row and is undecided.

        Args:
            table: the operations.
            rows: of these.
            failed: the ids of failed operations.
            seen: the ids that kept rows name.
        """
        own = self._learned(rows)
        order = np.argsort(table[:, INVOKED])
        number = order[np.searchsorted(table[order, INVOKED], rows[:, OWNER])]
        is_ok = table[number, STATUS] == OK_CODE
        is_old = table[number, FLAGS] & OLD_SNAPSHOT != 0
        below = own.known & (rows[:, VERSION] < own.version)
        at = own.known & (rows[:, VERSION] == own.version)
        is_write = rows[:, KIND] == WRITE
        strange = (rows[:, WRITER] != own.writer) | (
            own.told & ((rows[:, BALANCE] != own.balance) | (rows[:, PREVIOUS] != own.previous))
        )
        is_read = is_ok & ~is_write
        for name, wrong in (
            ("lost-update", is_ok & is_write & (below | at)),
            ("G1a", _has_failed(rows, is_read & (below | (at & strange)), failed)),
            ("garbage-read", is_read & at & strange),
            ("G-single-realtime", is_read & below & ~is_old),
        ):
            for row in np.flatnonzero(wrong)[:1].tolist():
                return Admitted(table, rows, 0, _below(name, table[number[row]], rows[row], int(own.version[row])))
        undecided = len(np.unique(rows[is_ok & is_old & below, OWNER]))
        doubtful = ~is_ok & below & ~is_write
        doubtful &= np.isin(table[number, ID], seen)  # seen before it told what it had read
        undecided += len(np.unique(rows[doubtful, OWNER]))
        dead = np.unique(rows[~is_ok & ~doubtful & (below | (at & (is_write | strange))), OWNER])
        rows = rows[~below & ~owned_by(rows, dead)]
        return Admitted(table[~np.isin(table[:, INVOKED], dead)], rows, undecided)

    def _learned(self, rows: Ints) -> Floors:
        """The floors, with what the first read tells of one that nobody had told of."""
        own = Floors.of(rows, self.floors)
        untold = own.known & ~own.told & (rows[:, VERSION] == own.version) & (rows[:, KIND] == READ)
        untold &= rows[:, WRITER] == own.writer
        for row in np.flatnonzero(untold).tolist():
            account = int(rows[row, ACCOUNT])
            floor = self.floors[account]
            if not floor.told:
                balance, previous = int(rows[row, BALANCE]), int(rows[row, PREVIOUS])
                self.floors[account] = Floor(floor.version, floor.writer, balance, previous, told=True)
        return Floors.of(rows, self.floors) if untold.any() else own

    def contradicted(self, window: Window, facts: BankFacts) -> Anomaly | None:
        """Reads at old timestamps against the commit timestamps of the past, and the other way round."""
        if not self._committed_at and not self._read_at:
            return None
        table = window.table
        account = _accounts(facts)[facts.version_slot]
        names = [facts.slots.name_of(int(slot)) for slot in facts.slots.initial]
        committed_at = np.array([self._committed_at.get(name, -1) for name in names], np.int64)
        read_at = np.array([self._read_at.get(name, -1) for name in names], np.int64)
        is_old = old_snapshots(window, facts.txns) & (table[:, TS] >= 0)
        ts = table[facts.read_txn, TS]
        early = is_old[facts.read_txn] & (committed_at[account[facts.read_version]] > ts)
        writer = np.flatnonzero(facts.versions.writer >= 0)
        commit_ts = table[facts.versions.writer[writer], COMMIT_TS]
        missed = (commit_ts >= 0) & (commit_ts <= read_at[account[writer]])
        for name, txn in (
            ("future-read", facts.read_txn[early]),
            ("stale-read", facts.versions.writer[writer[missed]]),
        ):
            if len(txn):
                one = table[txn[0]]
                text = f"{name}: {who(one)} contradicts the commit timestamps of what was done before."
                return Anomaly(name, [int(one[INVOKED])], text, rules_out=rules_out(name))
        return None

    def take(self, window: Window, facts: BankFacts, folded: Flags) -> None:
        """Take in what is folded of a window."""
        slots, writer = facts.slots, facts.versions.writer
        account = _accounts(facts)
        top = slots.initial.astype(np.int64).copy()
        gone = np.flatnonzero((writer >= 0) & np.append(folded, [False] * SENTINELS)[writer])
        np.maximum.at(top, account[gone], gone)
        commit_ts = np.full(len(top), -1)
        np.maximum.at(commit_ts, account[gone], window.table[writer[gone], COMMIT_TS])
        is_old = folded & old_snapshots(window, facts.txns)
        reads = np.flatnonzero(is_old[facts.read_txn])
        read_ts = np.full(len(top), -1)
        np.maximum.at(read_ts, account[facts.read_version[reads]], window.table[facts.read_txn[reads], TS])
        for code, slot in enumerate(top.tolist()):
            name, row = slots.name_of(slot), int(facts.version_row[slot])
            old = self.floors.get(name)
            if slot != slots.initial[code] or (old is None and row >= 0):
                number = slots.version_of(slot) + (old.version if old else 0)
                by = int(facts.txns.id[writer[slot]]) if writer[slot] >= 0 else 0
                told = window.raw[row, [BALANCE, PREVIOUS]].tolist() if row >= 0 else [0, ABSENT]
                self.floors[name] = Floor(number, by, *told, told=row >= 0)
            for kept, new in ((self._committed_at, commit_ts), (self._read_at, read_ts)):
                if new[code] >= 0:
                    kept[name] = max(kept.get(name, -1), int(new[code]))


def _has_failed(rows: Ints, where: Flags, failed: FailedIds) -> Flags:
    found = np.zeros(len(rows), bool)
    for row in np.flatnonzero(where).tolist():
        found[row] = int(rows[row, WRITER]) in failed
    return found


def _accounts(facts: BankFacts) -> Ints:
    """Of each slot, the code of its account."""
    account = np.zeros(facts.slots.count, np.int64)
    account[facts.slots.initial[1:]] = 1
    return np.cumsum(account)


def _below(name: str, one: Any, row: Any, floor: int) -> Anomaly:
    did = "wrote" if row[KIND] == WRITE else "read"
    text = (
        f"{name}: {who(one)} {did} version {row[VERSION]} of account {row[ACCOUNT]} (by operation {row[WRITER]}), "
        f"but another operation had brought about version {floor} before it began."
    )
    return Anomaly(name, [int(one[INVOKED])], text, rules_out=rules_out(name))
