"""Why a few transactions have no order of versions that a model allows: step by step.

Of two versions of a key one came first. Where one way round closes a cycle, the other way holds, and what follows from
that may rule out the next. In the end neither way is left for some pair. Where nothing follows any more, one way is
supposed: if that ends so, the other one holds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

from checkers.graph.dsg import RW
from checkers.graph.levels import HIGHEST, NONADJACENT

_SUPPOSED: Final = 3  # suppositions within each other; nobody follows more

Edge = tuple[int, int, str]  # source, target, label; of transactions
Alternative = tuple[tuple[int, int], Sequence[Edge], Sequence[Edge]]


class Step(NamedTuple):
    """One conclusion.

    Attributes:
        first: who wrote before ``second``.
        second: whose version is the later one.
        cycle: what the other way round would close; or none, and then:
        otherwise: where it would end.
    """

    first: int
    second: int
    cycle: list[Edge]
    otherwise: Argument | None = None


class Argument(NamedTuple):
    """The steps, and the two cycles of the pair for which neither way is left then."""

    steps: list[Step]
    pair: tuple[int, int]
    cycles: tuple[list[Edge], list[Edge]]

    @property
    def length(self) -> int:
        """Steps in all, those of suppositions too."""
        return sum(1 + (step.otherwise.length if step.otherwise else 0) for step in self.steps)


def argue(edges: Sequence[Edge], alternatives: Sequence[Alternative], level: int) -> Argument | None:
    """Find the steps, with as few suppositions within each other as possible.

    Args:
        edges: those that are there in any case.
        alternatives: of each open pair who wrote the one and who the other, and the edges if the first wrote earlier,
            and if the second did.
        level: of ``checkers.models.LEVELS``: what cycles are forbidden.

    Returns:
        None if there is no contradiction, or none without more suppositions than anybody can follow.
    """
    for supposed in range(_SUPPOSED + 1):
        found = _argue(edges, alternatives, level, supposed)
        if found:
            return found
    return None


def _argue(edges: Sequence[Edge], alternatives: Sequence[Alternative], level: int, supposed: int) -> Argument | None:
    edges, left = list(edges), list(alternatives)
    steps: list[Step] = []
    while True:
        before = len(left)
        for alternative in list(left):
            (first, second), one_way, other_way = alternative
            closed = _closed(edges, one_way, level), _closed(edges, other_way, level)
            if closed[0] and closed[1]:
                return Argument(steps, (first, second), closed)
            if closed[0] or closed[1]:
                left.remove(alternative)
                edges += other_way if closed[0] else one_way
                pair = (second, first) if closed[0] else (first, second)
                steps.append(Step(*pair, closed[0] or closed[1]))
        if len(left) < before:
            continue
        found = _suppose(edges, left, level, supposed - 1) if supposed else None
        if found is None:
            return None
        step, alternative, certain = found
        left.remove(alternative)
        edges += certain
        steps.append(step)


def _suppose(
    edges: Sequence[Edge], left: Sequence[Alternative], level: int, supposed: int
) -> tuple[Step, Alternative, Sequence[Edge]] | None:
    """The supposition that is refuted in the fewest steps: what follows, of which pair, with which edges."""
    found: list[tuple[Step, Alternative, Sequence[Edge]]] = []
    for alternative in left:
        (first, second), one_way, other_way = alternative
        others = [other for other in left if other is not alternative]
        for pair, edges_if, edges_else in (
            ((second, first), one_way, other_way),
            ((first, second), other_way, one_way),
        ):
            argument = _argue([*edges, *edges_if], others, level, supposed)
            if argument:
                found.append((Step(*pair, [], argument), alternative, edges_else))
    return min(found, key=lambda each: each[0].otherwise.length if each[0].otherwise else 0, default=None)


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
