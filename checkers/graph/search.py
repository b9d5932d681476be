"""Either-or constraints over a small graph: is there a choice of edges that leaves it without a cycle?

Where the order of two versions is not known, either one's edges are in the graph or the other's. That is the problem of
Cobra (Tan and others, OSDI 2020) and PolySI (Huang and others, VLDB 2023), NP-complete in general. Here it is decided
by search with propagation: what is reachable is kept for every vertex as a bit set; an alternative that would close a
cycle is ruled out, so the other one is taken, which rules out more. Only where nothing follows any more is something
tried, first where most has failed before.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

Pair = tuple[int, int]  # an edge


class Choice(NamedTuple):
    """Two sets of edges of which one must be taken; the first is tried first."""

    first: Sequence[Pair]
    second: Sequence[Pair]


class OutOfTime(Exception):
    """The deadline has passed before there was an answer."""


class Reach:
    """An acyclic graph under growth: of each vertex, what it reaches and what reaches it, as bit sets."""

    def __init__(self, down: list[int], up: list[int]) -> None:
        self._down = down
        self._up = up

    @staticmethod
    def of(n: int, edges: Sequence[Pair]) -> Reach | None:
        """The graph of these edges over vertices 0..n-1; None if it has a cycle."""
        outgoing: list[list[int]] = [[] for _ in range(n)]
        incoming: list[list[int]] = [[] for _ in range(n)]
        for a, b in edges:
            outgoing[a].append(b)
            incoming[b].append(a)
        order = _topological(outgoing, incoming)
        if order is None:
            return None
        down, up = [0] * n, [0] * n
        for vertex in reversed(order):
            for target in outgoing[vertex]:
                down[vertex] |= down[target] | 1 << target
        for vertex in order:
            for source in incoming[vertex]:
                up[vertex] |= up[source] | 1 << source
        return Reach(down, up)

    def copy(self) -> Reach:
        """Another one, to try something on."""
        return Reach(self._down.copy(), self._up.copy())

    def reaches(self, a: int, b: int) -> bool:
        """Whether there is a path of at least one edge from ``a`` to ``b``."""
        return bool(self._down[a] >> b & 1)

    def closes(self, edges: Sequence[Pair]) -> bool:
        """Whether one of these edges, alone, would close a cycle."""
        return any(a == b or self._down[b] >> a & 1 for a, b in edges)

    def has(self, edges: Sequence[Pair]) -> bool:
        """Whether all of these edges follow already."""
        return all(self._down[a] >> b & 1 for a, b in edges)

    def add(self, edges: Sequence[Pair]) -> bool:
        """Add them, until one closes a cycle; then the answer is False, and this object of no more use."""
        down, up = self._down, self._up
        for a, b in edges:
            if a == b or down[b] >> a & 1:
                return False
            if down[a] >> b & 1:
                continue
            below, above = down[b] | 1 << b, up[a] | 1 << a
            for vertex in _bits(above):
                down[vertex] |= below
            for vertex in _bits(below):
                up[vertex] |= above
        return True


def _topological(outgoing: list[list[int]], incoming: list[list[int]]) -> list[int] | None:
    missing = [len(sources) for sources in incoming]
    order = [vertex for vertex, count in enumerate(missing) if not count]
    for vertex in order:  # which grows as its vertices are done
        for target in outgoing[vertex]:
            missing[target] -= 1
            if not missing[target]:
                order.append(target)
    return order if len(order) == len(missing) else None


def _bits(word: int) -> Iterator[int]:
    while word:
        lowest = word & -word
        yield lowest.bit_length() - 1
        word ^= lowest


class _State:
    """What is reachable, what was chosen (0: first, 1: second), and what is open, at one point of the search."""

    def __init__(self, reach: Reach, taken: dict[int, int], left: list[int]) -> None:
        self.reach = reach
        self.taken = taken
        self.left = left

    def copy(self) -> _State:
        return _State(self.reach.copy(), self.taken.copy(), self.left.copy())


def solve(n: int, edges: Sequence[Pair], choices: Sequence[Choice], deadline: float) -> list[int] | None:
    """Choose, so that there is no cycle.

    Args:
        n: number of vertices.
        edges: those that are there in any case.
        choices: what to choose.
        deadline: when to give up, in seconds of ``time.monotonic()``.

    Returns:
        Of each choice 0 for the first alternative, 1 for the second; None if there is always a cycle.

    Raises:
        OutOfTime: the deadline has passed.
    """
    reach = Reach.of(n, edges)
    if reach is None:
        return None
    failures = [0] * len(choices)
    stack = [_State(reach, {}, list(range(len(choices))))]
    untried: list[tuple[int, int] | None] = [None]  # what to take when coming back to this state
    while stack:
        if time.monotonic() > deadline:
            raise OutOfTime
        state = stack.pop()
        step = untried.pop()
        if step is not None:
            chosen, way = step
            if not state.reach.add(choices[chosen][way]):
                failures[chosen] += 1
                continue
            state.taken[chosen] = way
            state.left.remove(chosen)
        if not _propagate(state, choices, failures):
            continue
        if not state.left:
            return [state.taken[place] for place in range(len(choices))]
        chosen = max(state.left, key=lambda place: failures[place])
        for way in (1, 0):  # the last one is tried first
            stack.append(state.copy())
            untried.append((chosen, way))
    return None


def _propagate(state: _State, choices: Sequence[Choice], failures: list[int]) -> bool:
    """Take whatever has no alternative, until nothing follows any more; False if something has none at all."""
    changed = True
    while changed:
        changed = False
        left = []
        for place in state.left:
            first, second = choices[place]
            closed = (state.reach.closes(first), state.reach.closes(second))
            if all(closed):
                failures[place] += 1
                return False
            if any(closed):
                way = closed.index(False)
                if not state.reach.add(choices[place][way]):
                    failures[place] += 1
                    return False
                changed = True
            elif state.reach.has(first):
                way = 0
            elif state.reach.has(second):
                way = 1
            else:
                left.append(place)
                continue
            state.taken[place] = way
        state.left = left
    return True
