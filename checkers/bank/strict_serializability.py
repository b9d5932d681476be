"""Strict serializability of the bank, decided exactly, in time linear in the history.

The history is strictly serializable if and only if nothing in it contradicts itself (``checkers.bank.versions``) and
the graph of ww, wr and rw dependencies and realtime order has no cycle. All dependencies are known, since every version
says which one it replaced; so an order that respects all edges explains every read, and an order that explains all
reads respects every edge (Adya 1999; with unknown version orders it is NP-complete, Papadimitriou 1979).
"""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from typing import Any

import numpy as np

from checkers.bank.half_commits import with_own_reads, without_their_guard
from checkers.bank.snapshots import Misread, misread_snapshots, old_snapshots
from checkers.bank.versions import BankFacts, bank_facts
from checkers.bank.words import BankNarrator
from checkers.graph.case import Case
from checkers.graph.dsg import dependencies
from checkers.graph.judge import SHOWN_OF_EACH, Found, judge
from checkers.graph.realtime import NEVER, Intervals
from checkers.models import rules_out
from harness.columns import OK_CODE
from harness.protocols import CheckContext
from harness.verdict import Anomaly, Edge, Verdict


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
        anomalies, counts = _contradictions(facts, narrator)
        misreads = misread_snapshots(history, facts)
        for name, found in misreads.items():
            counts[name] += len(found)
            anomalies += [_misread(name, misread, facts, narrator) for misread in found[:SHOWN_OF_EACH]]

        graph = dependencies(facts.versions, facts.read_txn, facts.read_version)
        process = history.process[facts.txns.invocation]
        case = Case(
            _intervals(history, facts),
            process,
            facts.versions,
            facts.read_txn,
            facts.read_version,
            graph=without_their_guard(graph, facts.half),
        )
        entries = (facts.txns.invocation, facts.txns.completion)
        verdict = judge(self.name, history, case, entries, Found(anomalies, counts), narrator, context)
        verdict.details |= {
            "transactions": int(facts.committed.sum()) - len(facts.half),
            "versions": int((facts.versions.writer >= 0).sum()),
        }
        return verdict


def _contradictions(facts: BankFacts, narrator: BankNarrator) -> tuple[list[Anomaly], Counter[str]]:
    odd = facts.contradictions
    counts: Counter[str] = Counter()
    anomalies = []
    if odd.twice_written:
        counts["lost-update"] = len(odd.twice_written)
    for versions in odd.twice_written[:SHOWN_OF_EACH]:
        writers = sorted(int(facts.versions.writer[version]) for version in versions)
        cycle = _lost_update_cycle(versions, facts, narrator)
        text = narrator.twice_written(versions, [edge.why for edge in cycle])
        anomalies.append(_anomaly("lost-update", facts, writers, text, cycle))
    for name, rows in (("G1a", odd.aborted), ("garbage-read", odd.garbage), ("future-read", odd.future)):
        if len(rows):
            counts[name] = len(rows)
        for row, by_previous in rows[:SHOWN_OF_EACH].tolist():
            concerned, text = narrator.odd_row(row, by_previous=bool(by_previous))
            anomalies.append(_anomaly(name, facts, concerned, f"{name}: {text}"))
    return anomalies, counts


def _lost_update_cycle(versions: list[int], facts: BankFacts, narrator: BankNarrator) -> list[Edge]:
    """The two rw edges between the first two that replaced what both had read: each missed the other's write."""
    writer, parent = facts.versions
    for first, second in combinations(versions, 2):
        readers = facts.read_txn[facts.read_version == parent[first]]
        pair = [int(writer[first]), int(writer[second])]
        if parent[first] == parent[second] and np.isin(pair, readers).all():
            return [
                Edge(
                    int(facts.txns.invocation[source]),
                    int(facts.txns.invocation[target]),
                    "rw",
                    narrator.dependency(source, target, "rw"),
                )
                for source, target in (pair, pair[::-1])
            ]
    return []


def _misread(name: str, misread: Misread, facts: BankFacts, narrator: BankNarrator) -> Anomaly:
    writer = int(facts.versions.writer[misread.witness])
    read = f"{narrator.describe(misread.reader)} read at timestamp {misread.ts} {narrator.version(misread.version)}"
    if name == "future-read":
        why = f"but {narrator.version(misread.witness)} was committed later, at {misread.commit_ts}"
    else:
        why = f"although {narrator.version(misread.witness)} had been committed by then, at {misread.commit_ts}"
    return _anomaly(name, facts, [misread.reader, writer], f"{name}: {read}, {why}, by {narrator.describe(writer)}.")


def _anomaly(name: str, facts: BankFacts, txns: list[int], text: str, cycle: list[Edge] | None = None) -> Anomaly:
    ops = [int(facts.txns.invocation[txn]) for txn in txns]
    return Anomaly(name, ops, text, cycle or [], rules_out(name))


def _intervals(history: Any, facts: BankFacts) -> Intervals:
    txns = facts.txns
    invoked = np.where(facts.committed & ~old_snapshots(history, txns), txns.invocation, NEVER)
    completed = np.where(txns.status == OK_CODE, txns.completion, NEVER)
    return Intervals(invoked.astype(np.int32), completed.astype(np.int32), int(history.n))
