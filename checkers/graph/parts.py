"""Small parts of a large component, each with a cycle of its own.

A component of 100,000 transactions mostly consists of many cycles that have little to do with each other, tied together
by few edges that lead far back in time. Without these it falls apart.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from checkers.graph.components import components
from checkers.graph.dsg import Edges
from checkers.graph.levels import Ordered, edges_of, groups_of, joined, transactions
from checkers.graph.paths import shortest_cycle


def parts_of(graph: Ordered, level: int, at_most: int) -> list[NDArray[np.int64]]:
    """Disjoint sets of transactions with a forbidden cycle in each, in ascending order.

    Of sets with more than ``at_most`` transactions there is only one, and it is one short cycle.

    Args:
        graph: of one component.
        level: that it breaks.
        at_most: how many transactions a set should have.
    """
    size, parts = edges_of(graph, level)
    edges = joined(parts)
    source, target = transactions(graph, edges.source), transactions(graph, edges.target)
    back = np.where((source >= 0) & (target >= 0), source - target, 0)
    span = int(back.max())
    while True:  # each cycle has an edge that leads back, so that none is left in the end
        nearer = span // 4
        kept = back <= nearer
        groups = groups_of(graph, size, [Edges(edges.source[kept], edges.target[kept])])
        small = [group for group in groups if len(group) <= at_most]
        if small:
            return small
        if not groups:
            return [_cycle(graph, size, edges, back, (nearer, span))]
        span = nearer


def _cycle(
    graph: Ordered, size: int, edges: Edges, back: NDArray[np.integer], spans: tuple[int, int]
) -> NDArray[np.int64]:
    """The transactions of a short cycle, by edges that lead back over at most so many, and one that does over more."""
    nearer, span = spans
    kept = back <= span
    within = Edges(edges.source[kept], edges.target[kept])
    labels = components(size, [within])
    closing = np.flatnonzero((back[kept] > nearer) & (labels[within.source] == labels[within.target]))
    closing = closing[np.argsort(back[kept][closing], kind="stable")]
    cycle = shortest_cycle(size, within, Edges(within.source[closing], within.target[closing]))
    own = np.unique(transactions(graph, np.array(cycle, np.int64)))
    return own[own >= 0].astype(np.int64)
