"""Strict serializability of the bank, decided while the history is recorded.

Every ``block`` operations the window, what is kept of the history, is decided by the bank's own facts and the engine's
graph. Then transactions are folded: forgotten, but for what ``checkers.streaming.past`` keeps of them, where no later
verdict can need them (``checkers.streaming.folding``).

Where a read at an old timestamp returned what was folded ``finish`` answers "unknown", if there is no violation, and
the figure ``undecided`` counts it. ``keep`` entries are kept in any case, so that this is rare. Commits that are read
back are left to the check afterwards, too (``checkers.bank.half_commits``).
"""

from __future__ import annotations

from array import array
from typing import Final

import numpy as np

from checkers.bank.columns import BankEncoder
from checkers.bank.snapshots import misread_snapshots
from checkers.bank.strict_serializability import StrictSerializability, intervals_of
from checkers.bank.versions import BankFacts, bank_facts
from checkers.graph.dsg import Dependencies, dependencies
from checkers.graph.levels import HIGHEST, REALTIME, is_cyclic, ordered
from checkers.graph.realtime import Intervals
from checkers.models import rules_out
from checkers.streaming.ending import ending
from checkers.streaming.failed import FailedIds
from checkers.streaming.folding import foldable, latest_cut
from checkers.streaming.past import Past
from checkers.streaming.window import (
    COMPLETED,
    ID,
    INVOKED,
    OWNER,
    PROCESS,
    ROW_WIDTH,
    WIDTH,
    WRITER,
    Ints,
    Window,
    owned_by,
    who,
)
from harness.columns import INFO_CODE, OK_CODE
from harness.op import FAIL, INVOKE, OK, Op
from harness.protocols import ABSENT, CheckContext
from harness.verdict import Anomaly, Verdict

BLOCK: Final = 8192


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
        self._past = Past()
        self._unseen: dict[int, tuple[list[int], list[list[int]]]] = {}  # by id
        self._purged_at = 1024
        self._failed = FailedIds()
        self._undecided = self._operations = self._folded = self._largest = 0

    @property
    def figures(self) -> dict[str, int]:
        """Sizes of what is kept, and how much there was."""
        return {
            "operations": self._operations,
            "accounts": len(self._past.floors),
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
        old = self._undecided
        left_open = (
            f"{old} reads at old timestamps returned what was folded: the check afterwards decides" if old else ""
        )
        return ending(self.name, "strict-serializable", self.violation, left_open, self.figures)

    def settle(self) -> None:
        """Decide what was observed until now, and fold it."""
        if self.violation is not None:
            return
        table, rows, undecided, self.violation = self._past.admit(*self._taken(), self._failed, self._rows[:, WRITER:])
        if self.violation is not None:
            return
        self._undecided += undecided
        opened = [
            (invoked, ABSENT, INFO_CODE, f, number, ABSENT, ABSENT, 0, int(process))
            for process, (invoked, f, number) in self._open.items()
            if not f
        ]
        table = np.concatenate((self._table, table, np.array(opened, np.int64).reshape(-1, WIDTH)))
        rows = np.concatenate((self._rows, rows))
        self._largest = max(self._largest, len(table))
        window = Window(table, rows, self._past.floors)
        facts = bank_facts(window)
        graph = dependencies(facts.versions, facts.read_txn, facts.read_version)
        intervals = intervals_of(window, facts)
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
                if self._past.may_show_up(own):
                    late.append(one)
                    late_rows += own
                    named |= {id_ for row in own for id_ in row[WRITER:]}
        if late:
            table = np.concatenate((table, np.array(late, np.int64)))
            rows = np.concatenate((rows, np.array(late_rows, np.int64).reshape(-1, ROW_WIDTH)))
        return table, rows

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
        misread = self._past.contradicted(window, facts)
        if misread is not None:
            return misread
        wrong = len(odd.garbage) or len(odd.future) or len(odd.aborted) or odd.twice_written
        wrong = wrong or is_cyclic(ordered(graph, intervals, table[:, PROCESS], REALTIME), HIGHEST)
        if not wrong and not misread_snapshots(window, facts):
            return None
        found = StrictSerializability().check(window, CheckContext()).anomalies[0]
        at = [int(window.position[index]) for index in found.ops]
        told = "; ".join(who(table[np.searchsorted(table[:, INVOKED], each)]) for each in at)
        text = f"{found.name} among {told}: the check of the recorded history tells why."
        return Anomaly(found.name, at, text, rules_out=found.rules_out)

    def _fold(self, window: Window, facts: BankFacts, graph: Dependencies, intervals: Intervals) -> None:
        low = min((invoked for invoked, _, _ in self._open.values()), default=self._entries)
        cut = min(latest_cut(window, self._past.floors, low), self._entries - self._keep)
        folded = foldable(window, facts, graph, intervals, cut)
        self._past.take(window, facts, folded)
        table = window.table
        is_open = table[:, COMPLETED] < 0
        unseen = ~facts.committed & ~is_open
        own: dict[int, list[list[int]]] = {int(at): [] for at in table[unseen, INVOKED]}
        if own:
            for row in window.raw[owned_by(window.raw, list(own))].tolist():
                own[row[OWNER]].append(row)
        for one in table[unseen].tolist():
            if self._past.may_show_up(own[one[INVOKED]]):
                self._unseen[one[ID]] = (one, own[one[INVOKED]])
        if len(self._unseen) > self._purged_at:
            self._unseen = {id_: each for id_, each in self._unseen.items() if self._past.may_show_up(each[1])}
            self._purged_at = max(1024, 2 * len(self._unseen))
        stays = ~folded & ~unseen & ~is_open
        self._folded += int(folded.sum())
        self._table = table[stays]
        self._rows = window.raw[stays[np.searchsorted(table[:, INVOKED], window.raw[:, OWNER])]]
