"""Strongly connected components: the parts of the graph in which there are cycles.

Everything that is on no cycle, which in a valid history is everything, is thrown away here, by scipy's linear-time
algorithm (Pearce, *An improved algorithm for finding the strongly connected components of a directed graph*, 2005).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from checkers.graph.dsg import Edges, Ints


def matrix(size: int, parts: Sequence[Edges]) -> csr_array:
    """Sparse adjacency of all these edges over vertices 0..size-1; the values mean nothing."""
    source = np.concatenate([part.source for part in parts]) if parts else np.zeros(0, np.int32)
    target = np.concatenate([part.target for part in parts]) if parts else np.zeros(0, np.int32)
    # csgraph computes in float64 and would convert anything else once more.
    coo = coo_array((np.ones(len(source)), (source, target)), shape=(size, size))
    # Parallel edges are merged here, and must be: scipy's strong components never end on a matrix that has them.
    return coo.tocsr()


def components(size: int, parts: Sequence[Edges]) -> Ints:
    """Of each vertex, the label of its component."""
    _, labels = connected_components(matrix(size, parts), directed=True, connection="strong")
    return labels


def cyclic(labels: Ints, vertices: int | None = None) -> list[NDArray[np.int64]]:
    """The members of each component of at least two vertices, each in ascending order, the earliest component first.

    Args:
        labels: from ``components``.
        vertices: count and return only the first so many vertices (transactions come before time nodes).
    """
    labels = labels[:vertices]
    if not len(labels):
        return []
    large = np.bincount(labels) > 1
    members = np.flatnonzero(large[labels])
    if not len(members):
        return []
    grouped = members[np.argsort(labels[members], kind="stable")]
    groups = np.split(grouped, np.flatnonzero(np.diff(labels[grouped])) + 1)
    return sorted(groups, key=lambda group: int(group[0]))


def split(edges: Edges, groups: Sequence[NDArray[np.integer]], size: int) -> list[Edges]:
    """The edges inside each group, renumbered by the members' places in their group.

    Args:
        edges: over vertices 0..size-1.
        groups: disjoint groups of vertices, each in ascending order.
        size: number of vertices in all.
    """
    if not groups:
        return []
    group = np.full(size, -1, np.int32)
    place = np.zeros(size, np.int32)
    for number, members in enumerate(groups):
        group[members] = number
        place[members] = np.arange(len(members), dtype=np.int32)
    of_source = group[edges.source]
    kept = np.flatnonzero((of_source >= 0) & (of_source == group[edges.target]))
    kept = kept[np.argsort(of_source[kept], kind="stable")]
    bounds = np.searchsorted(of_source[kept], np.arange(1, len(groups)))
    parts = np.split(kept, bounds)
    return [Edges(place[edges.source[part]], place[edges.target[part]]) for part in parts]
