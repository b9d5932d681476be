"""A history of transactions as the engine sees it, whatever the data: who ran when, what versions, who read which."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from checkers.arrays import ranges
from checkers.graph.dsg import RW, WW, Dependencies, Edges, Ints, Versions, dependencies
from checkers.graph.realtime import Intervals


class Case(NamedTuple):
    """What is to be judged.

    Attributes:
        intervals: of transactions 0..n-1, numbered by invocation.
        process: of each transaction.
        versions: who installed each, and which one it replaced immediately, or ``NONE``.
        read_txn: of each external read of a version, who read.
        read_version: of each, what.
        key: of each version, its key 0..m-1; None where every version's place is known. A version of a writer in this
            history without a parent is unplaced: the order of its key is open there, but for the versions that lead
            up from the initial one, which come first. Each key has one initial version (writer below 0).
        prefix: whether that is so under every model (a list shows all its elements); else only from snapshot isolation
            on, where nobody may come between a read and the write that follows it.
        before: further knowledge of the order of a key: of pairs of its versions, the earlier and the later.
        graph: the dependencies, where they are not simply those of versions and reads.
    """

    intervals: Intervals
    process: Ints
    versions: Versions
    read_txn: Ints
    read_version: Ints
    key: Ints | None = None
    prefix: bool = False
    before: tuple[Ints, Ints] | None = None
    graph: Dependencies | None = None

    def dependencies(self) -> Dependencies:
        """The edges that are certain."""
        graph = self.graph
        if graph is None:
            graph = dependencies(self.versions, self.read_txn, self.read_version)
        if self.before is None:
            return graph
        return with_orders(graph, self, *self.before)


def with_orders(graph: Dependencies, case: Case, earlier: Ints, later: Ints, label: str = WW) -> Dependencies:
    """Add what follows where some versions precede others of their key.

    A reader of the earlier one comes before the writer of the later one: by rw before who replaced what it read, and
    from there by ww.

    Args:
        graph: the dependencies so far.
        case: whose versions these are.
        earlier: versions.
        later: of each, one that comes after it.
        label: of the edges between the writers.
    """
    writer = case.versions.writer
    order = np.argsort(case.read_version, kind="stable")
    readers = case.read_version[order]
    begin = np.searchsorted(readers, earlier, "left")
    count = np.searchsorted(readers, earlier, "right") - begin
    reader = case.read_txn[order[ranges(begin, count)]]
    graph = {**graph, label: _with(graph[label], writer[earlier], writer[later])}
    return {**graph, RW: _with(graph[RW], reader, np.repeat(writer[later], count))}


def _with(edges: Edges, source: Ints, target: Ints) -> Edges:
    keep = (source >= 0) & (target >= 0) & (source != target)
    return Edges(
        np.concatenate((edges.source, source[keep])).astype(np.int32, copy=False),
        np.concatenate((edges.target, target[keep])).astype(np.int32, copy=False),
    )
