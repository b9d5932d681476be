"""Strict serializability of the bank, decided exactly, in time linear in the history.

The history is strictly serializable if and only if nothing in it contradicts itself (``checkers.bank.versions``) and
the graph of ww, wr and rw dependencies and realtime order has no cycle. All dependencies are known, since every version
says which one it replaced; so an order that respects all edges explains every read, and an order that explains all
reads respects every edge (Adya 1999; with unknown version orders it is NP-complete, Papadimitriou 1979).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import combinations, islice
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from checkers.bank.half_commits import with_own_reads, without_their_guard
from checkers.bank.snapshots import Misread, misread_snapshots, old_snapshots
from checkers.bank.versions import BankFacts, bank_facts
from checkers.bank.words import BankNarrator
from checkers.graph.components import components, cyclic, split
from checkers.graph.cycles import Cycle, telling_cycles
from checkers.graph.dsg import Dependencies, Edges, dependencies
from checkers.graph.explain import explain_cycle
from checkers.graph.realtime import NEVER, Intervals, realtime_edges
from checkers.models import rank, rules_out
from harness.columns import OK_CODE
from harness.protocols import CheckContext
from harness.verdict import Anomaly, Edge, Verdict

SHOWN_OF_EACH: Final = 10
_CYCLES_NAMED: Final = 300  # naming takes milliseconds each; a broken system makes thousands alike


class StrictSerializability:
    """The bank's main checker; histories have the columns of ``checkers.bank.columns``."""

    name = "strict-serializability"

    def check(self, history: Any, context: CheckContext) -> Verdict:
        """Judge a ``harness.history.History``.

        Raises:
            ValueError: two operations have the same id.
        """
        del context
        facts = with_own_reads(bank_facts(history))
        narrator = BankNarrator(history, facts)
        anomalies, counts = _contradictions(facts, narrator)
        misreads = misread_snapshots(history, facts)
        for name, found in misreads.items():
            counts[name] += len(found)
            anomalies += [_misread(name, misread, facts, narrator) for misread in found[:SHOWN_OF_EACH]]

        graph = dependencies(facts.versions, facts.read_txn, facts.read_version)
        graph = without_their_guard(graph, facts.half)
        intervals = _intervals(history, facts)
        groups, sizes = _cyclic_groups(graph, intervals)
        note = ""
        if groups:
            found = _cycles(history, facts, graph, intervals, groups)
            entries = (facts.txns.invocation, facts.txns.completion)
            for cycle in islice(found, _CYCLES_NAMED):
                counts[cycle.name] += 1
                if counts[cycle.name] <= SHOWN_OF_EACH:
                    anomalies.append(explain_cycle(cycle.name, cycle.steps, history, entries, narrator))
            if next(found, None) is not None:
                note = f"there are more cycles than the {_CYCLES_NAMED} that were named and counted"
        anomalies.sort(key=lambda anomaly: rank(anomaly.name))
        return Verdict(
            self.name,
            valid=not counts,
            anomalies=anomalies,
            counts=dict(counts),
            details={
                "transactions": int(facts.committed.sum()) - len(facts.half),
                "versions": int((facts.versions.writer >= 0).sum()),
                "edges": {label: len(edges.source) for label, edges in graph.items()} | sizes,
                "components": len(groups),
                "largest_component": max((len(group) for group in groups), default=0),
            },
            note=note,
        )


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


def _cyclic_groups(graph: Dependencies, intervals: Intervals) -> tuple[list[NDArray[np.int64]], dict[str, int]]:
    order, time_nodes = realtime_edges(intervals)
    n = len(intervals.invoked)
    labels = components(n + time_nodes, [*graph.values(), order])
    return cyclic(labels, n), {"realtime": len(order.source)}


def _cycles(
    history: Any, facts: BankFacts, graph: Dependencies, intervals: Intervals, groups: list[NDArray[np.int64]]
) -> Iterator[Cycle]:
    n = len(intervals.invoked)
    inner: dict[str, list[Edges]] = {label: split(edges, groups, n) for label, edges in graph.items()}
    process = history.process[facts.txns.invocation]
    for place, group in enumerate(groups):
        own = Intervals(intervals.invoked[group], intervals.completed[group], intervals.length)
        parts = {label: pieces[place] for label, pieces in inner.items()}
        yield from telling_cycles(parts, own, process[group], group.tolist())
