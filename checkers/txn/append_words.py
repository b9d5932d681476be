"""List-append in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from checkers.evidence import Evidence, Told
from checkers.txn.append_anomalies import contradictions
from checkers.txn.appends import AppendFacts
from checkers.txn.columns import DIVERGING, READ, WRITE
from checkers.txn.words import Telling, TxnNarrator
from harness.columns import FAIL_CODE


class AppendNarrator(TxnNarrator):
    """The list's part of an explanation."""

    wrote = "appended"

    def __init__(self, history: Any, found: AppendFacts) -> None:
        super().__init__(history, found.facts)
        self._lists = found.lists

    def _replaced(self, version: int, by: int) -> str:
        facts = self.facts
        writer = facts.versions.writer
        first, second = self.name(int(writer[version])), self.name(int(writer[by]))
        row = int(facts.written.row[facts.version_write[by]])
        begins = f"{first} {self.written(version)}"
        witness = self._witness(int(facts.version_write[by]))
        if witness >= 0:
            reader = self.name(int(facts.ops.txn[witness]))
            return f"{begins}, and {second} appended {self.value(row)} after that: {reader} read {self.value(witness)}."
        if facts.versions.parent[by] < 0 and facts.versions.parent[version] < 0:
            return f"{begins}, and {second} appended {self.value(row)}, which must come after that."
        return f"{begins}, which was read without {self.value(row)}, appended by {second}: so that came after it."

    def _witness(self, write: int) -> int:
        """The row of a read that shows what was written, or -1."""
        rows = np.flatnonzero(self.facts.written.seen == write)
        if not len(rows):
            return -1
        ops = self.facts.ops
        row = int(rows[0])
        while self._lists.what[row] not in (READ, DIVERGING):
            row -= 1
            if ops.what[row] == WRITE:
                return -1
        return row

    def _missed(self, read: int, version: int) -> str:
        facts = self.facts
        row = int(facts.written.row[facts.version_write[version]])
        return f"{self._seen(read)}, without {self.value(row)}, which {self._writer(version)} appended."

    def _writer(self, version: int) -> str:
        return self.name(int(self.facts.versions.writer[version]))


def tell(found: AppendFacts, narrator: AppendNarrator) -> Evidence:
    """All anomalies that are no cycles."""
    telling = _Telling(found, narrator)
    odd = found.facts.odd
    evidence = Evidence(found.facts.txns.invocation)
    evidence.add_all("duplicate-elements", odd["duplicate-elements"], telling.duplicates)
    evidence.add_all("lost-update", found.lost, telling.lost_update)
    evidence.add_all("dirty-update", odd["dirty-update"], telling.dirty_update)
    evidence.add_all("G1a", odd["G1a"], telling.aborted)
    evidence.add_all("garbage-read", odd["garbage-read"], telling.garbage)
    evidence.add_all("incompatible-order", odd["incompatible-order"], telling.diverging)
    evidence.add_all("incompatible-order", odd["own-order"], telling.own_order)
    evidence.add_all("G1b", odd["G1b"], telling.intermediate)
    evidence.add_all("future-read", odd["future-read"], telling.future)
    evidence.add_all("internal", odd["internal"], telling.internal)
    return evidence


class _Telling(Telling):
    """Sentences on rows."""

    def __init__(self, found: AppendFacts, narrator: AppendNarrator) -> None:
        super().__init__(narrator)
        self._lists = found.lists

    def _writes(self, row: int) -> list[tuple[int, int]]:
        """Of each element of a list, its row and which write it shows."""
        rows = self._lists.elements(self._facts.ops, row)
        return list(zip(rows.tolist(), self._facts.written.seen[rows].tolist(), strict=True))

    def duplicates(self, row: int) -> Told:
        """A list that shows an element twice."""
        passed: set[int] = set()
        for element, write in self._writes(row):
            if write in passed:
                return [self._txn(row)], f"{self._read(row)}, where {self._words.element(element)} stands twice."
            passed.add(write)
        raise AssertionError("a duplicate was found before")

    def garbage(self, row: int) -> Told:
        """A list with an element that nobody appended."""
        element = next(element for element, write in self._writes(row) if write < 0)
        return [self._txn(row)], f"{self._read(row)}, but nobody appended {self._words.element(element)} to it."

    def aborted(self, row: int) -> Told:
        """A list with an element of a transaction that failed."""
        wrote, status = self._facts.written, self._facts.txns.status
        write = next(w for _, w in self._writes(row) if w >= 0 and status[wrote.txn[w]] == FAIL_CODE)
        writer = int(wrote.txn[write])
        what = self._words.value(int(wrote.row[write]))
        text = f"{self._read(row)}, but {what} was appended by {self._words.describe(writer)}, which failed."
        return [self._txn(row), writer], text

    def intermediate(self, row: int) -> Told:
        """A list that ends in the middle of what a transaction appended."""
        write = self._writes(row)[-1][1]
        writer = int(self._facts.written.txn[write])
        what = self._words.value(int(self._facts.written.row[write]))
        text = (
            f"{self._read(row)}, which ends with {what}, but that is not the last that "
            f"{self._words.describe(writer)} appended to it."
        )
        return [self._txn(row), writer], text

    def diverging(self, row: int) -> Told:
        """A list that is no beginning of another one, nor the other way round."""
        ops, lists = self._facts.ops, self._lists
        agreed = int(lists.common[row])
        same_key = (
            (ops.key == ops.key[row]) & (lists.what == READ) & (ops.value > agreed) & self._facts.committed[ops.txn]
        )
        other = int(np.flatnonzero(same_key)[0])
        text = f"{self._read(row)}, and {self._read(other)}: neither list is a beginning of the other."
        return [self._txn(row), self._txn(other)], text

    def own_order(self, pair: list[int]) -> Told:
        """Two appends of one transaction that were not seen in their order."""
        ops, wrote, line = self._facts.ops, self._facts.written, self._lists.timelines
        first, second = pair
        write = int(np.flatnonzero(wrote.row == second)[0])
        place = int(np.flatnonzero(wrote.seen[line.element] == write)[0]) - int(line.start[ops.key[first]])
        reads = (ops.key == ops.key[first]) & (self._lists.what == READ) & (ops.value > place)
        read = int(np.flatnonzero(reads & self._facts.committed[ops.txn])[0])
        one, other = self._words.value(first), self._words.value(second)
        text = (
            f"{self._words.describe(self._txn(first))} appended {one} before {other} to {self._words.key(first)}, "
            f"but {self._read(read)}."
        )
        return [self._txn(first), self._txn(read)], text

    def dirty_update(self, pair: list[int]) -> Told:
        """An element of a transaction that failed below one of a transaction that counts."""
        wrote, ops = self._facts.written, self._facts.ops
        failed, above = (int(wrote.seen[element]) for element in pair)
        txns = [int(wrote.txn[failed]), int(wrote.txn[above])]
        row = int(wrote.row[above])
        text = (
            f"{self._words.describe(txns[0])} failed, but {self._words.describe(txns[1])} appended "
            f"{self._words.value(row)} to {self._words.key(row)} on top of its "
            f"{self._words.value(int(wrote.row[failed]))}: {self._words.name(int(ops.txn[pair[1]]))} read "
            f"{self._words.value(pair[1])}."
        )
        return txns, text

    def lost_update(self, rows: np.ndarray) -> Told:
        """Transactions that read the same list, and appended to it."""
        txns = [self._txn(row) for row in rows]
        text = (
            f"{len(txns)} transactions read {self._words.key(int(rows[0]))} as {self._words.value(int(rows[0]))}, and "
            f"each appended to that: {self._listed(txns)}. Whichever came first, the others did not see its update."
        )
        return txns, text

    def future(self, row: int) -> Told:
        """A list with an element that its reader appended later."""
        value = next(self._contradictions(row, "future-read"))[0]
        ops = self._facts.ops
        later = next(each for each in self._beside(row) if ops.what[each] == WRITE and ops.value[each] == value)
        return [self._txn(row)], f"{self._read(row)}, with {self._words.value(later)}, which it appended only later."

    def internal(self, row: int) -> Told:
        """A list that contradicts what its reader had read and appended before."""
        before = [each for each in self._beside(row) if each < row]
        is_write = [bool(self._lists.what[each] == WRITE) for each in before]
        last = next((at for at in reversed(range(len(before))) if not is_write[at]), 0)
        said = [
            f"{'appended' if wrote else 'read it as'} {self._words.value(each)}"
            for each, wrote in zip(before[last:], is_write[last:], strict=True)
        ]
        return [self._txn(row)], f"{self._read(row)}, after it had {' and '.join(said)}."

    def _beside(self, row: int) -> list[int]:
        """All that the transaction of a row did to its key, as far as it counts."""
        ops = self._facts.ops
        mine = np.flatnonzero((ops.txn == ops.txn[row]) & (ops.key == ops.key[row]))
        return mine[np.isin(self._lists.what[mine], (WRITE, READ, DIVERGING))].tolist()

    def _contradictions(self, row: int, name: str) -> Iterator[list[int]]:
        found = contradictions(self._beside(row), self._facts.ops, self._lists)
        return (told for each, at, told in found if each == name and at == row)
