"""Cycles that need the order in time: of a level that dependencies and the order of processes alone do not reach.

One realtime edge is always enough. Let a cycle have two, A -> B and C -> D. If A completes before D is invoked, A -> D
leaves out what is between B and C. If not, C completes before D is invoked, hence before A completes, hence before
B is invoked, and C -> B leaves out the rest. (Interval orders have no two unrelated chains of two.) What is
left out only takes rw edges away, so the level does not get worse.

So there is a cycle where a path of dependencies leads from B to A although A completed before B was invoked. Which
transactions A these are, and of which level the best path is, follows from the latest invocation on any path to a
transaction, of each level. It is carried along the edges until nothing changes any more: once in topological order
where dependencies close no cycle, a few times where they do.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np

from checkers.graph.dsg import RW, WR, WW, Edges
from checkers.graph.realtime import NEVER, Intervals
from checkers.graph.topological import topological
from checkers.models import CYCLES

Step = tuple[int, int, str]

_KINDS: Final = ("G0", "G1c", "G-single", "G-nonadjacent", "G2-item")
_ENDS_TRIED: Final = 16
_VISITED_AT_MOST: Final = 50_000


class _Graph(NamedTuple):
    """Incoming edges of each vertex, as (source, label)."""

    incoming: list[list[tuple[int, str]]]
    invoked: list[int]
    completed: list[int]


def realtime_cycle(
    dependencies: Mapping[str, Edges], process: Edges, intervals: Intervals, below: int
) -> tuple[str, list[Step]] | None:
    """The lowest cycle with one realtime edge, a short one; None if there is none of a level below ``below``.

    Args:
        dependencies: ww, wr and rw.
        process: the order of processes.
        intervals: of the transactions.
        below: a level of ``checkers.models.LEVELS``, at most the lowest that a cycle without realtime reaches.
    """
    graph = _graph({WW: dependencies[WW], WR: dependencies[WR], "process": process, RW: dependencies[RW]}, intervals)
    kind, ends = _lowest_kind(graph)
    if not ends or CYCLES[_KINDS[kind]] >= below:
        return None
    path = _shortest(graph, kind, ends)
    return _KINDS[kind], [*path, (path[-1][1], path[0][0], "realtime")]


def _graph(edges: Mapping[str, Edges], intervals: Intervals) -> _Graph:
    incoming: list[list[tuple[int, str]]] = [[] for _ in range(len(intervals.invoked))]
    for label, (source, target) in edges.items():
        for a, b in zip(source.tolist(), target.tolist(), strict=True):
            incoming[b].append((a, label))
    return _Graph(incoming, intervals.invoked.tolist(), intervals.completed.tolist())


def _sorted(graph: _Graph) -> list[int]:
    """Sources first; what lies on cycles, and behind them, comes at the end in the order of invocations."""
    outgoing: list[list[int]] = [[] for _ in graph.incoming]
    for target, edges in enumerate(graph.incoming):
        for source, _ in edges:
            outgoing[source].append(target)
    order, rest = topological(outgoing)
    return order + rest


def _latest(graph: _Graph) -> list[list[int]]:
    """Of each vertex, the latest invocation on a path to it.

    By ww; also by wr; with one rw; with rw not adjacent and not last; the same with rw last; any.
    """
    latest = [[invoked] * 6 for invoked in graph.invoked]
    order = _sorted(graph)
    place = {vertex: at for at, vertex in enumerate(order)}
    # Only what one of these learns can reach further in another pass.
    lead_back = {
        source for target, edges in enumerate(graph.incoming) for source, _ in edges if place[source] > place[target]
    }
    changed = True
    while changed:
        changed = False
        for vertex in order:
            own = latest[vertex]
            before = own.copy() if vertex in lead_back else own
            for source, label in graph.incoming[vertex]:
                _extend(own, latest[source], label)
            changed |= own != before
    return latest


def _lowest_kind(graph: _Graph) -> tuple[int, list[int]]:
    """The lowest kind of path that contradicts realtime, and where such paths end."""
    lowest = len(_KINDS)
    ends: list[int] = []
    for vertex, own in enumerate(_latest(graph)):
        completed = graph.completed[vertex]
        if completed == NEVER:
            continue
        best = (own[0], own[1], own[2], max(own[3], own[4]), own[5])
        kind = next((kind for kind, invoked in enumerate(best) if invoked > completed), len(_KINDS))
        if kind < lowest:
            lowest, ends = kind, []
        if kind == lowest < len(_KINDS):
            ends.append(vertex)
    return lowest, ends


def _extend(own: list[int], before: list[int], label: str) -> None:
    if label == RW:
        own[2] = max(own[2], before[1])
        own[4] = max(own[4], before[3])
    else:
        if label != WR:
            own[0] = max(own[0], before[0])
        own[1] = max(own[1], before[1])
        own[2] = max(own[2], before[2])
        own[3] = max(own[3], before[3], before[4])
    own[5] = max(own[5], before[5])


def _shortest(graph: _Graph, level: int, ends: list[int]) -> list[Step]:
    """The shortest path found that ends in one of a few ``ends`` and begins after that was over."""
    spread = np.linspace(0, len(ends) - 1, min(len(ends), _ENDS_TRIED)).astype(int)
    best: list[Step] = []
    for end in dict.fromkeys(ends[at] for at in spread.tolist()):
        # The first is searched without bound: what proves the level must be found.
        path = _backwards(graph, level, end, _VISITED_AT_MOST if best else len(graph.incoming) * 2)
        if path and (not best or len(path) < len(best)):
            best = path
        if len(best) == 1:
            break
    return best


def _backwards(graph: _Graph, level: int, end: int, visits: int) -> list[Step]:
    """Breadth-first from ``end`` against the edges, until something that was invoked after ``end`` completed."""
    completed = graph.completed[end]
    start: tuple[int, int] = (end, 0)
    came: dict[tuple[int, int], tuple[tuple[int, int], str]] = {}
    queue: deque[tuple[int, int]] = deque([start])
    while queue and len(came) <= visits:
        here = queue.popleft()
        if graph.invoked[here[0]] > completed:
            return _walk(came, start, here)
        for source, label in graph.incoming[here[0]]:
            state = _next_state(level, here[1], label)
            there = (source, state)
            if state >= 0 and there not in came and there != start:
                came[there] = (here, label)
                queue.append(there)
    return []


def _next_state(level: int, state: int, label: str) -> int:
    """What is used up with one more edge: the one rw edge, or the right to an rw edge next; -1: not allowed."""
    if label == RW:
        if level <= 1:
            return -1
        return 0 if level == len(_KINDS) - 1 else (-1 if state else 1)
    if level == 0 and label == WR:
        return -1
    return state if level == 2 else 0


def _walk(
    came: dict[tuple[int, int], tuple[tuple[int, int], str]], start: tuple[int, int], here: tuple[int, int]
) -> list[Step]:
    steps = []
    while here != start:
        following, label = came[here]
        steps.append((here[0], following[0], label))
        here = following
    return steps
