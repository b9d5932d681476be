"""A short cycle in a graph that may be large: first cut it down by breadth-first search, then let networkx finish.

networkx finds shortest paths in whatever graph it is given, but holds a dictionary for each edge. So a component of
100,000 transactions is searched by scipy from a limited number of candidate edges, those between transactions closest
in time, which are the easiest to understand; networkx then gets the cycle found with its surroundings.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order

from checkers.graph.components import matrix, split
from checkers.graph.dsg import Edges, Ints

_SMALL: Final = 400  # vertices that networkx gets at most, about
_CANDIDATES: Final = 256
_CANDIDATES_OF_LARGE: Final = 48


def shortest_cycle(n: int, edges: Edges, candidates: Edges) -> list[int]:
    """A shortest cycle of one candidate edge and, beside it, ``edges`` alone; of many candidates the first are tried.

    Args:
        n: number of vertices; numbers rise with time.
        edges: the graph.
        candidates: edges, of the graph or not, one of which closes the cycle; in order of preference.

    Returns:
        The vertices in order, the last one leading back to the first; empty if no candidate tried is on a cycle.
    """
    count = _CANDIDATES if n <= _SMALL else _CANDIDATES_OF_LARGE
    tried = Edges(candidates.source[:count], candidates.target[:count])
    if not len(tried.source):
        return []
    if n > _SMALL:
        found = _by_scipy(matrix(n, [edges]), tried)
        if not found:
            return []
        keep = _surroundings(found, n)
        edges, tried = (split(part, [keep], n)[0] for part in (edges, tried))
    else:
        keep = np.arange(n, dtype=np.int32)
    return [int(keep[node]) for node in _by_networkx(edges, tried)]


def _by_scipy(graph: csr_array, candidates: Edges) -> list[int]:
    best: list[int] = []
    for source, target in zip(candidates.source.tolist(), candidates.target.tolist(), strict=True):
        _, before = breadth_first_order(graph, target, directed=True, return_predecessors=True)
        if before[source] < 0 and source != target:
            continue
        cycle = [source]
        while cycle[-1] != target:
            cycle.append(int(before[cycle[-1]]))
        if not best or len(cycle) < len(best):
            best = cycle[::-1]
        if len(best) <= 2:
            break
    return best


def _surroundings(cycle: list[int], n: int) -> Ints:
    """The cycle's vertices and those next to it in time, in ascending order."""
    reach = max((_SMALL // len(cycle) - 1) // 2, 0)
    near = {v for node in cycle for v in range(max(node - reach, 0), min(node + reach + 1, n))}
    return np.array(sorted(near), np.int32)


def _by_networkx(edges: Edges, candidates: Edges) -> list[int]:
    # Imported here: its import costs a sixth of a second, and a valid history never needs it.
    import networkx as nx  # noqa: PLC0415

    graph = nx.DiGraph(zip(edges.source.tolist(), edges.target.tolist(), strict=True))
    best: list[int] = []
    for source, target in zip(candidates.source.tolist(), candidates.target.tolist(), strict=True):
        if source not in graph or target not in graph:
            continue
        try:
            path = nx.shortest_path(graph, target, source)
        except nx.NetworkXNoPath:
            continue
        if not best or len(path) < len(best):
            best = path
    return best
