"""Cycles that need the order in time: of a level that dependencies and the order of processes alone do not reach.

One realtime edge is always enough. Let a cycle have two, A -> B and C -> D. If A completes before D is invoked, A -> D
leaves out what is between B and C. If not, C completes before D is invoked, hence before A completes, hence before
B is invoked, and C -> B leaves out the rest. (Interval orders have no two unrelated chains of two.) What is
left out only takes rw edges away, so the level does not get worse.

So there is a cycle where a path of dependencies leads from B to A although A completed before B was invoked. Which
transactions A these are follows from the latest invocation on any path to a transaction, of one level after the other:
whoever was invoked last is followed first, and what was reached before needs not be followed again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from checkers.graph.dsg import RW, WR, WW, Edges, Ints
from checkers.graph.levels import joined
from checkers.graph.realtime import NEVER, Intervals
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
    labelled = {WW: dependencies[WW], WR: dependencies[WR], "process": process, RW: dependencies[RW]}
    for kind, name in enumerate(_KINDS):
        if CYCLES[name] >= below:
            break
        ends = _ends(kind, labelled, intervals)
        if len(ends):
            path = _shortest(_graph(labelled, intervals), kind, ends)
            return name, [*path, (path[-1][1], path[0][0], "realtime")]
    return None


def _graph(edges: Mapping[str, Edges], intervals: Intervals) -> _Graph:
    incoming: list[list[tuple[int, str]]] = [[] for _ in range(len(intervals.invoked))]
    for label, (source, target) in edges.items():
        for a, b in zip(source.tolist(), target.tolist(), strict=True):
            incoming[b].append((a, label))
    return _Graph(incoming, intervals.invoked.tolist(), intervals.completed.tolist())


def _ends(kind: int, labelled: Mapping[str, Edges], intervals: Intervals) -> list[int]:
    """Where paths end that contradict realtime, of one kind."""
    n = len(intervals.invoked)
    latest = _latest(*_states(kind, labelled, n), intervals.invoked)
    latest = latest.reshape(-1, n).max(axis=0)
    return np.flatnonzero((intervals.completed != NEVER) & (latest > intervals.completed)).tolist()


def _states(kind: int, labelled: Mapping[str, Edges], n: int) -> tuple[int, Edges]:
    """The graph whose paths are of a kind: its number of vertices, and its edges.

    Where the number of rw edges counts, or that none follows another, transaction v is also there as v + n: after one.
    """
    calm = joined([edges for label, edges in labelled.items() if label != RW and (kind or label != WR)])
    rw = labelled[RW]
    if kind <= _KINDS.index("G1c"):
        return n, calm
    if kind == len(_KINDS) - 1:
        return n, joined([calm, rw])
    back = 0 if kind == _KINDS.index("G-nonadjacent") else n
    return 2 * n, joined([calm, Edges(calm.source + n, calm.target + back), Edges(rw.source, rw.target + n)])


def _latest(size: int, edges: Edges, invoked: Ints) -> NDArray[np.int64]:
    """Of each vertex, the latest invocation of the vertices from which a path leads to it; -1 if there is none."""
    by_source = np.argsort(edges.source, kind="stable")
    begin = np.searchsorted(edges.source[by_source], np.arange(size + 1)).tolist()
    targets = edges.target[by_source].tolist()
    latest = [NEVER] * size
    begun = np.flatnonzero(invoked != NEVER)
    for start in begun[np.argsort(-invoked[begun], kind="stable")].tolist():
        if latest[start] != NEVER:
            continue
        latest[start] = found = int(invoked[start])
        stack = [start]
        while stack:
            here = stack.pop()
            for target in targets[begin[here] : begin[here + 1]]:
                if latest[target] == NEVER:
                    latest[target] = found
                    stack.append(target)
    return np.array(latest, np.int64)


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
