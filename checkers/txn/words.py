"""Dependencies and anomalies of transactions of micro-operations in words.

What differs between lists and registers is how a version is called, and what it means that one comes after another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from checkers.txn.quotes import Quotes

_LISTED: Final = 4  # of several transactions


class TxnNarrator(Quotes):
    """The part of an explanation that lists and registers share."""

    wrote = "wrote"  # of what a transaction did to install a version

    def dependency(self, source: int, target: int, label: str) -> str:
        """One sentence on a ww, wr or rw edge."""
        if label == "wr":
            read = self._read_of(target, source)
            return f"{self.name(source)} {self.written(int(self.facts.read_version[read]))}, and {self._seen(read)}."
        overwritten = self._overwritten(source, target) if label == "rw" else None
        return self._missed(*overwritten) if overwritten else self._replaced(*self._successive(source, target))

    def written(self, version: int) -> str:
        """``wrote 3 to key 7``."""
        row = int(self.facts.written.row[self.facts.version_write[version]])
        return f"{self.wrote} {self.value(row)} to {self.key(row)}"

    def _seen(self, read: int) -> str:
        row = int(self.facts.read_row[read])
        reader = int(self.facts.read_txn[read])
        return f"{self.name(reader)} read {self.key(row)} as {self.value(row)}"

    def _read_of(self, reader: int, writer: int) -> int:
        reads = np.flatnonzero(self.facts.read_txn == reader)
        return int(reads[self.facts.versions.writer[self.facts.read_version[reads]] == writer][0])

    def _versions_of(self, writer: int) -> list[int]:
        return np.flatnonzero(self.facts.versions.writer == writer).tolist()

    def _successive(self, source: int, target: int) -> tuple[int, int]:
        """Two versions of one key, the first before the second as far as that is known."""
        key = self.facts.version_key
        pairs = [(a, b) for b in self._versions_of(target) for a in self._versions_of(source) if key[a] == key[b]]
        return self._best(pairs, pairs) or pairs[0]

    def _overwritten(self, source: int, target: int) -> tuple[int, int] | None:
        """A read, and a version that comes after what it read; None if they have no key in common."""
        facts = self.facts
        reads = np.flatnonzero(facts.read_txn == source).tolist()
        key, read = facts.version_key, facts.read_version
        pairs = [(r, v) for v in self._versions_of(target) for r in reads if key[read[r]] == key[v]]
        return self._best(pairs, [(int(read[r]), v) for r, v in pairs])

    def _best(self, pairs: list[tuple[int, int]], versions: list[tuple[int, int]]) -> tuple[int, int] | None:
        """The pair whose versions follow each other; else one whose order is known; else any that could be."""
        parent = self.facts.versions.parent
        direct = next((pair for pair, (a, b) in zip(pairs, versions, strict=True) if parent[b] == a), None)
        if direct is not None:
            return direct
        known = [self._precedes(a, b) for a, b in versions]
        for wanted in (True, None):
            for pair, order in zip(pairs, known, strict=True):
                if order is wanted:
                    return pair
        return None

    def _precedes(self, a: int, b: int) -> bool | None:
        """Whether version ``a`` comes before ``b``, of the same key; None where only an order found out tells."""
        above_a, above_b = self._line(a), self._line(b)
        if a in above_b or b in above_a:
            return a in above_b
        writer = self.facts.versions.writer
        from_start = [bool(writer[above[-1]] < 0) for above in (above_a, above_b)]
        return from_start[0] if from_start[0] != from_start[1] else None

    def _line(self, version: int) -> list[int]:
        """The version and all that it replaced, one after the other."""
        found = [version]
        while (parent := int(self.facts.versions.parent[found[-1]])) >= 0:
            found.append(parent)
        return found

    def _replaced(self, version: int, by: int) -> str:
        raise NotImplementedError

    def _missed(self, read: int, version: int) -> str:
        raise NotImplementedError


class Telling:
    """Sentences on rows: what is odd without any cycle. Lists and registers add their own."""

    def __init__(self, narrator: TxnNarrator) -> None:
        self._facts = narrator.facts
        self._words = narrator

    def _txn(self, row: int) -> int:
        return int(self._facts.ops.txn[row])

    def _read(self, row: int) -> str:
        return f"{self._words.describe(self._txn(row))} read {self._words.key(row)} as {self._words.value(row)}"

    def _listed(self, txns: Sequence[int]) -> str:
        """The first of several transactions, and how many there are more."""
        more = f"; and {len(txns) - _LISTED} more" if len(txns) > _LISTED else ""
        return "; ".join(self._words.describe(txn) for txn in txns[:_LISTED]) + more
