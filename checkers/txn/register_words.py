"""rw-register in words."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from checkers.evidence import Evidence, Told
from checkers.graph.dsg import Ints
from checkers.graph.explain import rw_cycle
from checkers.txn.columns import READ
from checkers.txn.registers import RegisterFacts
from checkers.txn.words import Telling, TxnNarrator


class RegisterNarrator(TxnNarrator):
    """The register's part of an explanation."""

    def _replaced(self, version: int, by: int) -> str:
        facts = self.facts
        second = self.name(int(facts.versions.writer[by]))
        row = int(facts.written.row[facts.version_write[by]])
        how = "read that and replaced it by" if facts.versions.parent[by] == version else "replaced it, later, by"
        first = self.name(int(facts.versions.writer[version]))
        return f"{first} {self.written(version)}, and {second} {how} {self.value(row)}."

    def _missed(self, read: int, version: int) -> str:
        facts = self.facts
        row = int(facts.written.row[facts.version_write[version]])
        writer = self.name(int(facts.versions.writer[version]))
        if facts.versions.parent[version] == facts.read_version[read]:
            return f"{self._seen(read)}, which {writer} overwrote with {self.value(row)}."
        return f"{self._seen(read)}, an earlier version than {self.value(row)}, which {writer} wrote."


def tell(found: RegisterFacts, narrator: RegisterNarrator) -> Evidence:
    """All anomalies that are no cycles."""
    telling = _Telling(narrator)
    odd = found.facts.odd
    evidence = Evidence(found.facts.txns.invocation)
    evidence.add_all("cyclic-versions", found.circles, telling.circle)
    evidence.add_all("lost-update", found.lost, telling.lost_update)
    evidence.add_all("G1a", odd["G1a"], telling.aborted)
    evidence.add_all("garbage-read", odd["garbage-read"], telling.garbage)
    evidence.add_all("G1b", odd["G1b"], telling.intermediate)
    evidence.add_all("future-read", odd["future-read"], telling.future)
    evidence.add_all("internal", odd["internal"], telling.internal)
    return evidence


def tell_backwards(
    evidence: Evidence, pairs: tuple[Ints, Ints], found: RegisterFacts, narrator: RegisterNarrator
) -> None:
    """Add the versions that should precede the initial one, because somebody read that later."""
    facts = found.facts

    def sentence(pair: tuple[int, int]) -> Told:
        row = int(facts.written.row[facts.version_write[pair[0]]])
        writer = int(facts.versions.writer[pair[0]])
        wrote = f"{narrator.value(row)} to {narrator.key(row)}"
        text = f"{narrator.describe(writer)} had written {wrote} when it was read as nil."
        return [writer], text

    evidence.add_all("cyclic-versions", list(zip(*(part.tolist() for part in pairs), strict=True)), sentence)


class _Telling(Telling):
    """Sentences on rows and versions."""

    def _writer(self, row: int) -> int:
        return int(self._facts.written.txn[self._facts.written.seen[row]])

    def circle(self, versions: list[int]) -> Told:
        """Versions that replaced each other in a circle."""
        writer = self._facts.versions.writer
        txns = [int(writer[version]) for version in versions]
        steps = " ".join(
            f"{self._words.name(int(writer[a]))} {self._words.written(a)}, and {self._words.name(int(writer[b]))} read "
            f"that and {self._words.written(b)}."
            for a, b in pairwise([*versions, versions[0]])
        )
        return txns, f"versions of one key replaced each other in a circle. {steps}"

    def lost_update(self, versions: list[int]) -> Told:
        """Several transactions that read the same version, and replaced it."""
        facts = self._facts
        txns = [int(facts.versions.writer[version]) for version in versions]
        cycle = rw_cycle(txns[:2], facts.txns.invocation, self._words)
        read = (facts.read_txn == txns[0]) & (facts.read_version == facts.versions.parent[versions[0]])
        row = int(facts.read_row[np.flatnonzero(read)[0]])
        text = (
            f"{len(txns)} transactions read {self._words.key(row)} as {self._words.value(row)}, and each "
            f"replaced it: {self._listed(txns)}. {' '.join(edge.why for edge in cycle)} "
            f"Whichever came first, its update is lost."
        )
        return txns, text, cycle

    def aborted(self, row: int) -> Told:
        """A value of a transaction that failed."""
        writer = self._writer(row)
        text = f"{self._read(row)}, which was written by {self._words.describe(writer)}, which failed."
        return [self._txn(row), writer], text

    def garbage(self, row: int) -> Told:
        """A value that nobody wrote."""
        return [self._txn(row)], f"{self._read(row)}, but nobody wrote {self._words.value(row)} to it."

    def intermediate(self, row: int) -> Told:
        """A value that its writer overwrote in the same transaction."""
        writer = self._writer(row)
        text = f"{self._read(row)}, which is not the last that {self._words.describe(writer)} wrote to it."
        return [self._txn(row), writer], text

    def future(self, row: int) -> Told:
        """A value that its reader wrote later."""
        return [self._txn(row)], f"{self._read(row)}, which it wrote only later."

    def internal(self, pair: list[int]) -> Told:
        """A value that contradicts what its reader had read or written before."""
        row, before = pair
        did = "read it as" if self._facts.ops.what[before] == READ else "written"
        return [self._txn(row)], f"{self._read(row)}, after it had {did} {self._words.value(before)}."
