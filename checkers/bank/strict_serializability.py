"""Strict serializability of the bank, decided exactly, in time linear in the history.

The history is strictly serializable if and only if nothing in it contradicts itself (``checkers.bank.versions``) and
the graph of ww, wr and rw dependencies and realtime order has no cycle. All dependencies are known, since every version
says which one it replaced; so an order that respects all edges explains every read, and an order that explains all
reads respects every edge (Adya 1999; with unknown version orders it is NP-complete, Papadimitriou 1979).
"""

from __future__ import annotations

from functools import partial
from itertools import combinations
from typing import Any

import numpy as np

from checkers.bank.half_commits import with_own_reads, without_their_guard
from checkers.bank.snapshots import Misread, misread_snapshots, old_snapshots
from checkers.bank.versions import BankFacts, bank_facts
from checkers.bank.words import BankNarrator
from checkers.evidence import Evidence, Told
from checkers.graph.case import Case
from checkers.graph.dsg import dependencies
from checkers.graph.explain import rw_cycle
from checkers.graph.judge import judge
from checkers.graph.realtime import NEVER, Intervals
from harness.columns import OK_CODE
from harness.protocols import CheckContext
from harness.verdict import Edge, Verdict


class StrictSerializability:
    """The bank's main checker; histories have the columns of ``checkers.bank.columns``."""

    name = "strict-serializability"

    def check(self, history: Any, context: CheckContext) -> Verdict:
        """Judge a ``harness.history.History``.

        Raises:
            ValueError: two operations have the same id.
        """
        facts = with_own_reads(bank_facts(history))
        narrator = BankNarrator(history, facts)
        evidence = Evidence(facts.txns.invocation)
        _contradictions(facts, narrator, evidence)
        for name, misreads in misread_snapshots(history, facts).items():
            evidence.add_all(name, misreads, partial(_misread, name, facts, narrator))

        graph = dependencies(facts.versions, facts.read_txn, facts.read_version)
        process = history.process[facts.txns.invocation]
        case = Case(
            intervals_of(history, facts),
            process,
            facts.versions,
            facts.read_txn,
            facts.read_version,
            graph=without_their_guard(graph, facts.half),
        )
        entries = (facts.txns.invocation, facts.txns.completion)
        verdict = judge(self.name, history, case, entries, evidence, narrator, context)
        verdict.details |= {
            "transactions": int(facts.committed.sum()) - len(facts.half),
            "versions": int((facts.versions.writer >= 0).sum()),
        }
        return verdict


def _contradictions(facts: BankFacts, narrator: BankNarrator, evidence: Evidence) -> None:
    odd = facts.contradictions

    def lost(versions: list[int]) -> Told:
        writers = sorted(int(facts.versions.writer[version]) for version in versions)
        cycle = _lost_update_cycle(versions, facts, narrator)
        return writers, narrator.twice_written(versions, [edge.why for edge in cycle]), cycle

    evidence.add_all("lost-update", odd.twice_written, lost)
    for name, rows in (("G1a", odd.aborted), ("garbage-read", odd.garbage), ("future-read", odd.future)):
        evidence.add_all(name, rows, narrator.odd_row)


def _lost_update_cycle(versions: list[int], facts: BankFacts, narrator: BankNarrator) -> list[Edge]:
    """The two rw edges between the first two that replaced what both had read: each missed the other's write."""
    writer, parent = facts.versions
    for first, second in combinations(versions, 2):
        readers = facts.read_txn[facts.read_version == parent[first]]
        pair = [int(writer[first]), int(writer[second])]
        if parent[first] == parent[second] and np.isin(pair, readers).all():
            return rw_cycle(pair, facts.txns.invocation, narrator)
    return []


def _misread(name: str, facts: BankFacts, narrator: BankNarrator, misread: Misread) -> Told:
    writer = int(facts.versions.writer[misread.witness])
    read = f"{narrator.describe(misread.reader)} read at timestamp {misread.ts} {narrator.version(misread.version)}"
    if name == "future-read":
        why = f"but {narrator.version(misread.witness)} was committed later, at {misread.commit_ts}"
    else:
        why = f"although {narrator.version(misread.witness)} had been committed by then, at {misread.commit_ts}"
    return [misread.reader, writer], f"{read}, {why}, by {narrator.describe(writer)}."


def intervals_of(history: Any, facts: BankFacts) -> Intervals:
    """When each transaction took effect; real time asks nothing of the beginning of a read at an old timestamp."""
    txns = facts.txns
    invoked = np.where(facts.committed & ~old_snapshots(history, txns), txns.invocation, NEVER)
    completed = np.where(txns.status == OK_CODE, txns.completion, NEVER)
    return Intervals(invoked.astype(np.int32), completed.astype(np.int32), int(history.n))
