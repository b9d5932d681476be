"""Strict serializability of the bank, decided while the history is recorded.

Every ``block`` operations the window, what is kept of the history, is decided by the bank's own facts and the engine's
graph. Then transactions are folded: forgotten, but for the newest version of each account that one of them wrote, the
floor, which from then on is the window's initial state. Let L be the smallest invocation among open operations, or the
present. Some c <= L is chosen so that every account was read or written by an ok operation that was invoked at c or
later and completed before L (it stays a while). F, what is folded, is the largest set with:

- an ok operation in F completed before c; one of unknown outcome was seen and has an edge to an ok one in F;
- no edge, of dependency or of time, leads into F from what is not in F.

A later verdict needs nothing of F but the floors:

- A cycle through F would need an edge into F, and that only an operation can have that is not known yet: what is known
  was looked at. What is to come is invoked at L or later, or has been open since L or later, so all ok operations of F
  are before it in time, and so are those of unknown outcome, each of which is before an ok one.
- Such an edge is rw, from one that reads a version that F replaced (ww and wr into F would be known: the versions that
  F replaced or read have writers that F's own records name). So reading below a floor is a cycle at once, and writing
  at or below one is a second writer of a version: a violation both times. What reads or writes above a floor meets F
  by edges out of F only. Those close no cycle, and the window may take the floor for its initial state.
- An operation of unknown outcome that nobody has seen is kept beside. It may have been invoked before L. Let it show up
  later, by a version of account y. If it had noted a read below a floor, it comes before some V in F, which had
  completed before c. Some Q, invoked at c or later, accessed y; had Q met the late one or what came after, the late one
  had been seen. So Q is before the late one, that before V, and V before Q in time: a violation. If it had
  noted a write at or below a floor, that is a second writer. So both are forgotten, and whoever sees them later sees
  what nobody wrote. In the same way one of F that shows up on another account later, which its records did not name,
  comes after such a Q, and before an ok one of F, which Q follows in time.

Reads at an old timestamp may return the past, so for them what was said of edges into F does not hold. What they read
below a floor is left to the check afterwards: then ``finish`` answers "unknown", if there is no violation, and the
figure ``undecided`` counts them. ``keep`` entries are kept in any case, so that this is rare. The commit timestamps
of F that such reads are compared with are kept by account, exactly. Commits that are read back are left to the
check afterwards, too (``checkers.bank.half_commits``).
"""

from __future__ import annotations

from array import array
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from checkers.bank.columns import OLD_SNAPSHOT, READ, WRITE, BankEncoder
from checkers.bank.snapshots import misread_snapshots, old_snapshots
from checkers.bank.strict_serializability import StrictSerializability
from checkers.bank.versions import BankFacts, bank_facts
from checkers.graph.dsg import Dependencies, dependencies
from checkers.graph.levels import HIGHEST, REALTIME, is_cyclic, ordered
from checkers.graph.realtime import NEVER, Intervals
from checkers.models import rules_out
from checkers.streaming.failed import FailedIds
from checkers.streaming.window import (
    ACCOUNT,
    BALANCE,
    COMMIT_TS,
    COMPLETED,
    F_NAMES,
    FLAGS,
    ID,
    INVOKED,
    KIND,
    OWNER,
    PREVIOUS,
    ROW_WIDTH,
    STATUS,
    TS,
    VERSION,
    WIDTH,
    WRITER,
    Floor,
    Floors,
    Window,
    owned_by,
)
from harness.columns import INFO_CODE, OK_CODE
from harness.op import FAIL, INVOKE, OK, Op
from harness.protocols import ABSENT, CheckContext
from harness.verdict import Anomaly, Verdict

BLOCK: Final = 8192

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


class StreamingBank:
    """Follows a history of the bank; ``observe`` every entry in its order.

    Attributes:
        violation: the first that was found, or None.
    """

    name = "strict-serializability"

    def __init__(self, block: int = BLOCK, keep: int = 2 * BLOCK) -> None:
        """Decide the window every ``block`` completions, and keep at least the last ``keep`` entries."""
        self.violation: Anomaly | None = None
        self._encoder = BankEncoder()
        self._block, self._keep = block, keep
        self._entries = 0
        self._open: dict[int | str, tuple[int, int, int]] = {}  # by process: position, code of f, id
        self._fresh, self._fresh_rows, self._row_counts = array("q"), array("q"), array("q")
        self._table = np.zeros((0, WIDTH), np.int64)
        self._rows = np.zeros((0, ROW_WIDTH), np.int64)
        self._floors: dict[int, Floor] = {}
        self._unseen: dict[int, tuple[list[int], list[list[int]]]] = {}  # by id
        self._purged_at = 1024
        self._failed = FailedIds()
        self._committed_at: dict[int, int] = {}  # of each account, the largest commit_ts that was folded
        self._read_at: dict[int, int] = {}  # the largest timestamp of a folded read at an old timestamp
        self._undecided = self._operations = self._folded = self._largest = 0

    @property
    def figures(self) -> dict[str, int]:
        """Sizes of what is kept, and how much there was."""
        return {
            "operations": self._operations,
            "accounts": len(self._floors),
            "kept": len(self._table) + len(self._fresh) // WIDTH,
            "largest_kept": self._largest,
            "folded": self._folded,
            "open": len(self._open),
            "unseen_info": len(self._unseen),
            "failed_ids": len(self._failed),
            "undecided": self._undecided,
        }

    def observe(self, op: Op) -> None:
        """Take the next entry of the history.

        Raises:
            ValueError: it is none of the bank.
        """
        at = self._entries
        self._entries += 1
        if op.process.__class__ is not int or self.violation is not None or op.f == "readback":
            return
        if op.type == INVOKE:
            self._open[op.process] = (at, int(op.f == "read"), op.value["id"])
            return
        invoked, f, number = self._open.pop(op.process)
        self._operations += 1
        if op.type == FAIL:
            self._failed.add(number)
            return
        is_ok = op.type == OK
        if not is_ok and f:
            return  # a read of unknown outcome says nothing
        (_, ts, commit_ts, flags, _), rows = self._encoder.encode(op)
        status = OK_CODE if is_ok else INFO_CODE
        self._fresh.extend((invoked, at, status, f, number, ts, commit_ts, flags, int(op.process)))
        self._fresh_rows.extend(rows)
        self._row_counts.append(len(rows) // (ROW_WIDTH - 1))
        if len(self._row_counts) >= max(self._block, len(self._table) // 8):
            self.settle()

    def finish(self) -> Verdict:
        """The verdict on all that was observed; what is open counts as of unknown outcome."""
        self.settle()
        valid = False if self.violation else "unknown" if self._undecided else True
        note = ""
        if valid == "unknown":
            note = f"{self._undecided} reads at old timestamps returned what was folded: the check afterwards decides"
        anomalies = [self.violation] if self.violation else []
        counts = {each.name: 1 for each in anomalies}
        return Verdict(self.name, valid, anomalies, counts, {"strict-serializable": valid}, dict(self.figures), note)

    def settle(self) -> None:
        """Decide what was observed until now, and fold it."""
        if self.violation is not None:
            return
        table, rows = self._taken()
        table, rows = self._above_floors(table, rows)
        if self.violation is not None:
            return
        opened = [
            (invoked, ABSENT, INFO_CODE, f, number, ABSENT, ABSENT, 0, int(process))
            for process, (invoked, f, number) in self._open.items()
            if not f
        ]
        table = np.concatenate((self._table, table, np.array(opened, np.int64).reshape(-1, WIDTH)))
        rows = np.concatenate((self._rows, rows))
        self._largest = max(self._largest, len(table))
        window = Window(table, rows, self._floors)
        facts = bank_facts(window)
        graph = dependencies(facts.versions, facts.read_txn, facts.read_version)
        intervals = _intervals(window, facts)
        self.violation = self._violation(window, facts, graph, intervals)
        if self.violation is None:
            self._fold(window, facts, graph, intervals)

    def _taken(self) -> tuple[Ints, Ints]:
        """What is new: operations that have completed, and those of unknown outcome that they name."""
        table = np.array(self._fresh, np.int64).reshape(-1, WIDTH)
        content = np.array(self._fresh_rows, np.int64).reshape(-1, ROW_WIDTH - 1)
        owner = np.repeat(table[:, INVOKED], np.array(self._row_counts, np.int64))
        rows = np.concatenate((owner[:, None], content), axis=1)
        self._fresh, self._fresh_rows, self._row_counts = array("q"), array("q"), array("q")
        late, late_rows = [], []
        named = set(np.unique(rows[:, WRITER:]).tolist()) if self._unseen else set()
        while named:
            number = named.pop()
            if number in self._unseen:
                one, own = self._unseen.pop(number)
                if self._is_alive(own):
                    late.append(one)
                    late_rows += own
                    named |= {id_ for row in own for id_ in row[WRITER:]}
        if late:
            table = np.concatenate((table, np.array(late, np.int64)))
            rows = np.concatenate((rows, np.array(late_rows, np.int64).reshape(-1, ROW_WIDTH)))
        return table, rows

    def _is_alive(self, rows: list[list[int]]) -> bool:
        """Whether an operation of unknown outcome with these records may still show up."""
        for row in rows:
            floor = self._floors.get(row[ACCOUNT])
            if floor is None or row[VERSION] > floor.version:
                continue
            told = (floor.balance, floor.previous) if floor.told else (row[BALANCE], row[PREVIOUS])
            here = (floor.version, floor.writer, *told)
            if row[KIND] == WRITE or (row[VERSION], row[WRITER], row[BALANCE], row[PREVIOUS]) != here:
                return False
        return True

    def _above_floors(self, table: Ints, rows: Ints) -> tuple[Ints, Ints]:
        """New operations and rows without what is at odds with a floor.

        Sets ``violation`` if an ok one has it. What has an unknown outcome is forgotten, so whoever sees it is refused.
        What reads below a floor by right, or perhaps by right, loses its row and is undecided.
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
        for name, wrong in (
            ("lost-update", is_ok & is_write & (below | at)),
            ("G1a", is_ok & ~is_write & (below | at) & self._has_failed(rows, below | at)),
            ("garbage-read", is_ok & ~is_write & at & strange),
            ("G-single-realtime", is_ok & ~is_write & below & ~is_old),
        ):
            for row in np.flatnonzero(wrong)[:1].tolist():
                self.violation = _below(name, table[number[row]], rows[row], int(own.version[row]))
                return table, rows
        self._undecided += len(np.unique(rows[is_ok & is_old & below, OWNER]))
        doubtful = ~is_ok & below & ~is_write
        doubtful &= np.isin(table[number, ID], self._rows[:, WRITER:])  # seen before it told what it had read
        self._undecided += len(np.unique(rows[doubtful, OWNER]))
        dead = np.unique(rows[~is_ok & ~doubtful & (below | (at & (is_write | strange))), OWNER])
        rows = rows[~below & ~owned_by(rows, dead)]
        return table[~np.isin(table[:, INVOKED], dead)], rows

    def _learned(self, rows: Ints) -> Floors:
        """The floors, with what the first read tells of one that nobody had told of."""
        own = Floors.of(rows, self._floors)
        untold = own.known & ~own.told & (rows[:, VERSION] == own.version) & (rows[:, KIND] == READ)
        untold &= rows[:, WRITER] == own.writer
        for row in np.flatnonzero(untold).tolist():
            account = int(rows[row, ACCOUNT])
            floor = self._floors[account]
            if not floor.told:
                balance, previous = int(rows[row, BALANCE]), int(rows[row, PREVIOUS])
                self._floors[account] = Floor(floor.version, floor.writer, balance, previous, told=True)
        return Floors.of(rows, self._floors) if untold.any() else own

    def _has_failed(self, rows: Ints, where: Flags) -> Flags:
        failed = np.zeros(len(rows), bool)
        for row in np.flatnonzero(where).tolist():
            failed[row] = int(rows[row, WRITER]) in self._failed
        return failed

    def _violation(self, window: Window, facts: BankFacts, graph: Dependencies, intervals: Intervals) -> Anomaly | None:
        odd = facts.contradictions
        table = window.table
        for row in np.concatenate((odd.garbage, odd.aborted))[:, 0].tolist():
            named = [int(each) for each in window.raw[row, WRITER:] if int(each) in self._failed]
            if named:
                reader = int(table[facts.row_txn[row], ID])
                return Anomaly(
                    "G1a",
                    [int(table[facts.row_txn[row], INVOKED])],
                    f"G1a: T{reader} saw what T{named[0]} wrote, which had failed.",
                    rules_out=rules_out("G1a"),
                )
        misread = self._misread(window, facts)
        if misread is not None:
            return misread
        wrong = len(odd.garbage) or len(odd.future) or len(odd.aborted) or odd.twice_written
        wrong = wrong or is_cyclic(ordered(graph, intervals, table[:, 8], REALTIME), HIGHEST)
        if not wrong and not misread_snapshots(window, facts):
            return None
        found = StrictSerializability().check(window, CheckContext()).anomalies[0]
        at = [int(window.position[index]) for index in found.ops]
        told = "; ".join(_who(table[np.searchsorted(table[:, INVOKED], each)]) for each in at)
        text = f"{found.name} among {told}: the check of the recorded history tells why."
        return Anomaly(found.name, at, text, rules_out=found.rules_out)

    def _misread(self, window: Window, facts: BankFacts) -> Anomaly | None:
        """Reads at old timestamps against the commit timestamps of what was folded, and the other way round."""
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
                text = f"{name}: {_who(one)} contradicts the commit timestamps of what was done before."
                return Anomaly(name, [int(one[INVOKED])], text, rules_out=rules_out(name))
        return None

    # Folding.

    def _fold(self, window: Window, facts: BankFacts, graph: Dependencies, intervals: Intervals) -> None:
        folded = self._foldable(window, facts, graph, intervals)
        self._raise_floors(window, facts, folded)
        table = window.table
        is_open = table[:, COMPLETED] < 0
        unseen = ~facts.committed & ~is_open
        own: dict[int, list[list[int]]] = {int(at): [] for at in table[unseen, INVOKED]}
        if own:
            for row in window.raw[owned_by(window.raw, list(own))].tolist():
                own[row[OWNER]].append(row)
        for one in table[unseen].tolist():
            if self._is_alive(own[one[INVOKED]]):
                self._unseen[one[ID]] = (one, own[one[INVOKED]])
        if len(self._unseen) > self._purged_at:
            self._unseen = {id_: each for id_, each in self._unseen.items() if self._is_alive(each[1])}
            self._purged_at = max(1024, 2 * len(self._unseen))
        stays = ~folded & ~unseen & ~is_open
        self._folded += int(folded.sum())
        self._table = table[stays]
        self._rows = window.raw[stays[np.searchsorted(table[:, INVOKED], window.raw[:, OWNER])]]

    def _foldable(self, window: Window, facts: BankFacts, graph: Dependencies, intervals: Intervals) -> Flags:
        """F: which transactions are forgotten."""
        table = window.table
        ok = table[:, STATUS] == OK_CODE
        cut = self._cut(window, ok)
        fit = ok & (table[:, COMPLETED] < cut)
        info = facts.committed & ~ok & (table[:, COMPLETED] >= 0)
        source = np.concatenate([edges.source for edges in graph.values()])
        target = np.concatenate([edges.target for edges in graph.values()])
        positions = window.position
        invoked = np.where(intervals.invoked == NEVER, -1, positions[intervals.invoked])
        before = -1
        while True:
            certain = np.zeros(len(table), bool)
            certain[source[fit[target] & ok[target]]] = True
            fit &= ok | certain
            if before < 0:
                fit |= info & certain
            outside = facts.committed & ~fit
            fit[target[outside[source]]] = False
            done = table[outside & ok, COMPLETED]
            if len(done):
                fit[(invoked > done.min()) & fit] = False
            left = int(fit.sum())
            if left == before:
                return fit
            before = left

    def _cut(self, window: Window, ok: Flags) -> int:
        """The position c."""
        low = min((invoked for invoked, _, _ in self._open.values()), default=self._entries)
        table, rows = window.table, window.raw
        closed = ok & (table[:, COMPLETED] < low) & (table[:, FLAGS] & OLD_SNAPSHOT == 0)
        own = np.flatnonzero(closed[np.searchsorted(table[:, INVOKED], rows[:, OWNER])])
        accounts, at = np.unique(rows[:, ACCOUNT], return_inverse=True)
        latest = np.full(len(accounts), -1)
        np.maximum.at(latest, at[own], rows[own, OWNER])
        if not set(self._floors) <= set(accounts.tolist()):
            return -1
        return min(int(latest.min(initial=low)), self._entries - self._keep)

    def _raise_floors(self, window: Window, facts: BankFacts, folded: Flags) -> None:
        slots, writer = facts.slots, facts.versions.writer
        account = _accounts(facts)
        top = slots.initial.astype(np.int64).copy()
        gone = np.flatnonzero((writer >= 0) & np.append(folded, [False] * 3)[writer])
        np.maximum.at(top, account[gone], gone)
        commit_ts = np.full(len(top), -1)
        np.maximum.at(commit_ts, account[gone], window.table[writer[gone], COMMIT_TS])
        is_old = folded & old_snapshots(window, facts.txns)
        reads = np.flatnonzero(is_old[facts.read_txn])
        read_ts = np.full(len(top), -1)
        np.maximum.at(read_ts, account[facts.read_version[reads]], window.table[facts.read_txn[reads], TS])
        for code, slot in enumerate(top.tolist()):
            name, row = slots.name_of(slot), int(facts.version_row[slot])
            old = self._floors.get(name)
            if slot != slots.initial[code] or (old is None and row >= 0):
                number = slots.version_of(slot) + (old.version if old else 0)
                by = int(facts.txns.id[writer[slot]]) if writer[slot] >= 0 else 0
                told = window.raw[row, [BALANCE, PREVIOUS]].tolist() if row >= 0 else [0, ABSENT]
                self._floors[name] = Floor(number, by, *told, told=row >= 0)
            for kept, new in ((self._committed_at, commit_ts), (self._read_at, read_ts)):
                if new[code] >= 0:
                    kept[name] = max(kept.get(name, -1), int(new[code]))


def _accounts(facts: BankFacts) -> Ints:
    """Of each slot, the code of its account."""
    account = np.zeros(facts.slots.count, np.int64)
    account[facts.slots.initial[1:]] = 1
    return np.cumsum(account)


def _intervals(window: Window, facts: BankFacts) -> Intervals:
    txns = facts.txns
    invoked = np.where(facts.committed & ~old_snapshots(window, txns), txns.invocation, NEVER)
    completed = np.where(txns.status == OK_CODE, txns.completion, NEVER)
    return Intervals(invoked.astype(np.int32), completed.astype(np.int32), window.n)


def _who(one: Any) -> str:
    return f"T{one[ID]} (index {one[INVOKED]}, process {one[8]}, {F_NAMES[one[3]]})"


def _below(name: str, one: Any, row: Any, floor: int) -> Anomaly:
    did = "wrote" if row[KIND] == WRITE else "read"
    text = (
        f"{name}: {_who(one)} {did} version {row[VERSION]} of account {row[ACCOUNT]} (by operation {row[WRITER]}), "
        f"but another operation had brought about version {floor} before it began."
    )
    return Anomaly(name, [int(one[INVOKED])], text, rules_out=rules_out(name))
