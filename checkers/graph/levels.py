"""Which cycles there are: decides a graph for all levels and orders of ``checkers.models.GRID``, exactly.

A level forbids cycles by their labels, so it is a question of strongly connected components of part of the graph:

| level | forbidden |
|---|---|
| 0 | cycles of ww (and the order's edges, as in all) |
| 1 | also with wr |
| 2 | also with rw, of which no two are adjacent |
| 3 | any |

Level 2 is decided on a graph with two copies of each vertex, entered by an rw edge or not: from the copy entered by rw
no rw edge leads on. A closed walk there is one here without adjacent rw edges, and the other way round.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from checkers.graph.components import components, cyclic, split
from checkers.graph.dsg import RW, WR, WW, Edges, Ints
from checkers.graph.realtime import NEVER, Intervals, realtime_edges
from checkers.models import LEVELS, ORDERS

NONADJACENT: Final = 2  # the level of snapshot isolation
HIGHEST: Final = len(LEVELS) - 1
REALTIME: Final = len(ORDERS) - 1

NOTHING: Final = Edges(np.zeros(0, np.int32), np.zeros(0, np.int32))


class Ordered(NamedTuple):
    """Dependencies with an order: vertices 0..n-1 are transactions, those from n to n + nodes - 1 only carry the order.

    Attributes:
        n: number of transactions.
        nodes: number of further vertices.
        dependencies: ww, wr and rw, between transactions.
        order: edges that every level counts.
    """

    n: int
    nodes: int
    dependencies: Mapping[str, Edges]
    order: Edges


def ordered(
    dependencies: Mapping[str, Edges], intervals: Intervals, process: NDArray[np.integer], order: int
) -> Ordered:
    """Add an order of ``checkers.models.ORDERS`` to dependencies: none, that of processes, or that of time."""
    if order == REALTIME:
        edges, nodes = realtime_edges(intervals)
        return Ordered(len(process), nodes, dependencies, edges)
    return Ordered(len(process), 0, dependencies, process_edges(intervals, process) if order else NOTHING)


def process_edges(intervals: Intervals, process: NDArray[np.integer]) -> Edges:
    """Each transaction to the next of its process; what may take effect later, or earlier, has no edge out, or in."""
    source: list[int] = []
    target: list[int] = []
    waiting: dict[int, list[int]] = {}  # of a process, those that must precede its next
    invoked, completed = intervals.invoked, intervals.completed
    for number, (own, begins, ends) in enumerate(
        zip(process.tolist(), invoked.tolist(), completed.tolist(), strict=True)
    ):
        before = waiting.setdefault(own, [])
        if begins != NEVER:
            source += before
            target += [number] * len(before)
            before.clear()
        if ends != NEVER:
            before.append(number)
    return Edges(np.array(source, np.int32), np.array(target, np.int32))


def edges_of(graph: Ordered, level: int) -> tuple[int, list[Edges]]:
    """The graph whose cycles are those that ``level`` forbids: its number of vertices, and its edges.

    At level 2 the copy of transaction v that rw edges enter is v + n + nodes.
    """
    known = graph.dependencies
    size = graph.n + graph.nodes
    calm = [known[WW], graph.order, *([known[WR]] if level else [])]
    if level < NONADJACENT:
        return size, calm
    rw = known[RW]
    if level == HIGHEST:
        return size, [*calm, rw]
    return size + graph.n, [*calm, *(_from_copies(part, graph) for part in calm), Edges(rw.source, rw.target + size)]


def _from_copies(edges: Edges, graph: Ordered) -> Edges:
    # Nodes of the order have no copies: nothing enters them by rw.
    own = edges.source < graph.n
    source, target = (edges.source, edges.target) if own.all() else (edges.source[own], edges.target[own])
    return Edges(source + (graph.n + graph.nodes), target)


def groups_at(graph: Ordered, level: int) -> list[NDArray[np.int64]]:
    """The transactions of each component that has a forbidden cycle, in ascending order, the earliest first."""
    size, edges = edges_of(graph, level)
    return groups_of(graph, size, edges)


def groups_of(graph: Ordered, size: int, edges: Sequence[Edges]) -> list[NDArray[np.int64]]:
    """The same by some of the edges that ``edges_of`` gave."""
    labels = components(size, edges)
    if size == graph.n + graph.nodes:
        return cyclic(labels, graph.n)
    # A transaction may be there twice, as itself and as its copy.
    found = []
    for group in cyclic(labels):
        own = np.unique(transactions(graph, group))
        found.append(own[own >= 0])
    return found


def transactions(graph: Ordered, vertices: NDArray[np.integer]) -> NDArray[np.int64]:
    """Which transactions vertices of ``edges_of`` are, themselves or as copies; below 0 for nodes of the order."""
    size = graph.n + graph.nodes
    own = np.where(vertices >= size, vertices - size, vertices)
    return np.where(own < graph.n, own, -1).astype(np.int64, copy=False)


def is_cyclic(graph: Ordered, level: int) -> bool:
    """Whether there is a cycle that ``level`` forbids."""
    size, edges = edges_of(graph, level)
    labels = components(size, edges)
    return len(labels) > 0 and int(labels.max()) + 1 < size


def lowest_level(graph: Ordered, below: int = HIGHEST + 1) -> int:
    """The lowest level that is broken; ``below`` if none below that is."""
    level = below
    while level > 0 and is_cyclic(graph, level - 1):
        level -= 1
    return level


def broken(
    dependencies: Mapping[str, Edges], intervals: Intervals, process: Ints, groups: Sequence[NDArray[np.int64]]
) -> list[int]:
    """Of each order, the lowest level that is broken; ``HIGHEST + 1`` where none is.

    Args:
        dependencies: the graph.
        intervals: of each transaction.
        process: of each.
        groups: its components at the highest level and realtime order, from ``groups_at``.
    """
    if not groups:
        return [HIGHEST + 1] * len(ORDERS)
    # Every cycle lies within the components of the whole.
    members = np.sort(np.concatenate(groups))
    inner, own = within(dependencies, intervals, members)
    found: list[int] = []
    for order in range(len(ORDERS)):
        below = found[-1] if found else HIGHEST + 1
        found.append(lowest_level(ordered(inner, own, process[members], order), below))
    return found


def within(
    dependencies: Mapping[str, Edges], intervals: Intervals, members: NDArray[np.integer]
) -> tuple[dict[str, Edges], Intervals]:
    """Dependencies and intervals of some transactions alone (in ascending order), renumbered by their places."""
    n = len(intervals.invoked)
    inner = {label: split(edges, [members], n)[0] for label, edges in dependencies.items()}
    return inner, intervals.of(members)


def joined(parts: Sequence[Edges]) -> Edges:
    """All edges of several parts."""
    return Edges(np.concatenate([part.source for part in parts]), np.concatenate([part.target for part in parts]))
