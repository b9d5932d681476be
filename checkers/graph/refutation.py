"""Why a few transactions have no order of versions that a model allows: step by step, where steps suffice.

Of two versions of a key one came first. Where one way round closes a cycle, the other way holds, and what follows from
that may rule out the next. In the end neither way is left for some pair. Where that is not reached without trying,
there is no short argument, and only the fact is told.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from checkers.graph.dsg import RW, WR
from checkers.graph.levels import HIGHEST, NONADJACENT
from checkers.graph.small_orders import SmallOrders

Edge = tuple[int, int, str]  # source, target, label; of transactions


class Step(NamedTuple):
    """One conclusion: ``first`` wrote before ``second``, since the other way round the cycle would be closed."""

    first: int
    second: int
    cycle: list[Edge]


class Argument(NamedTuple):
    """The steps, and the two cycles of the pair for which neither way is left; none where steps do not suffice."""

    steps: list[Step]
    pair: tuple[int, int] | None
    cycles: tuple[list[Edge], list[Edge]] | None


def argue(small: SmallOrders) -> Argument:
    """Find the steps, by taking what has no alternative until nothing is left."""
    edges = [edge for edge in small.certain() if small.level or edge[2] != WR]
    left = small.alternatives()
    steps: list[Step] = []
    progress = True
    while progress:
        progress = False
        for alternative in list(left):
            (first, second), one_way, other_way = alternative
            closed = _closed(edges, one_way, small.level), _closed(edges, other_way, small.level)
            if closed[0] and closed[1]:
                return Argument(steps, (first, second), closed)
            if closed[0] or closed[1]:
                left.remove(alternative)
                edges += other_way if closed[0] else one_way
                pair = (second, first) if closed[0] else (first, second)
                steps.append(Step(*pair, closed[0] or closed[1]))
                progress = True
    return Argument([], None, None)


def _closed(edges: Sequence[Edge], more: Sequence[Edge], level: int) -> list[Edge]:
    """The shortest cycle that the model forbids, by one of ``more`` and any others; empty if there is none."""
    outgoing: dict[int, list[Edge]] = {}
    for edge in (*edges, *more):
        outgoing.setdefault(edge[0], []).append(edge)
    found = [_back(edge, outgoing, level) for edge in more]
    return min((cycle for cycle in found if cycle), key=len, default=[])


def _back(edge: Edge, outgoing: dict[int, list[Edge]], level: int) -> list[Edge]:
    """The shortest way from the edge's target to its source, with the edge itself."""
    calm = level == NONADJACENT
    assert level in (NONADJACENT, HIGHEST)
    start = (edge[1], edge[2] == RW)
    came: dict[tuple[int, bool], tuple[tuple[int, bool], Edge] | None] = {start: None}
    queue = deque([start])
    while queue:
        here = queue.popleft()
        if here[0] == edge[0] and not (calm and here[1] and edge[2] == RW):
            path = [edge]
            while (step := came[here]) is not None:
                here, taken = step
                path.insert(1, taken)
            return path
        for taken in outgoing.get(here[0], ()):
            there = (taken[1], taken[2] == RW)
            if there not in came and not (calm and here[1] and there[1]):
                came[there] = (here, taken)
                queue.append(there)
    return []
