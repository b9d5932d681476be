"""Either-or constraints over a small graph: is there a choice of edges that leaves it without a cycle?

Where the order of two versions is not known, either one's edges are in the graph or the other's. That is the problem of
Cobra (Tan and others, OSDI 2020) and PolySI (Huang and others, VLDB 2023), NP-complete in general. Here it is decided
by search with propagation: what is reachable is kept for every vertex as a bit set; an alternative that would close a
cycle is ruled out, so the other one is taken, which rules out more. Where nothing follows any more, what is preferred
is taken of all that is left, as far as that goes; if it does not go to the end, something is tried, first where most
has failed before.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

Pair = tuple[int, int]  # an edge


class Fan(NamedTuple):
    """Edges from several vertices, given as a bit set, to one."""

    sources: int
    target: int

    def edges(self) -> list[Pair]:
        """One by one."""
        return [(source, self.target) for source in _bits(self.sources)]


class Choice(NamedTuple):
    """Two sets of edges of which one must be taken; the first is preferred."""

    first: Sequence[Fan]
    second: Sequence[Fan]


class OutOfTime(Exception):
    """The deadline has passed before there was an answer."""


class Reach:
    """An acyclic graph under growth: of each vertex, what it reaches and what reaches it, itself included."""

    def __init__(self, down: list[int], up: list[int]) -> None:
        self._down = down
        self._up = up

    @staticmethod
    def of(n: int, edges: Sequence[Pair]) -> Reach | None:
        """The graph of these edges over vertices 0..n-1; None if it has a cycle."""
        outgoing: list[list[int]] = [[] for _ in range(n)]
        for a, b in edges:
            outgoing[a].append(b)
        order = _topological(outgoing)
        if order is None:
            return None
        down = [1 << vertex for vertex in range(n)]
        up = down.copy()
        for vertex in reversed(order):
            for target in outgoing[vertex]:
                down[vertex] |= down[target]
        for vertex in order:
            for target in outgoing[vertex]:
                up[target] |= up[vertex]
        return Reach(down, up)

    def copy(self) -> Reach:
        """Another one, to try something on."""
        return Reach(self._down.copy(), self._up.copy())

    def closes(self, fans: Sequence[Fan]) -> bool:
        """Whether one of these edges, alone, would close a cycle."""
        for sources, target in fans:  # noqa: SIM110 (the innermost loop of all; a generator takes twice as long)
            if self._down[target] & sources:
                return True
        return False

    def has(self, fans: Sequence[Fan]) -> bool:
        """Whether all of these edges follow already."""
        for sources, target in fans:  # noqa: SIM110
            if sources & ~self._up[target]:
                return False
        return True

    def add(self, fans: Sequence[Fan]) -> bool:
        """Add them, until one closes a cycle; then the answer is False, and this object of no more use."""
        down, up = self._down, self._up
        for sources, target in fans:
            below = down[target]
            if below & sources:
                return False
            above = 0
            for source in _bits(sources & ~up[target]):
                above |= up[source]
            for vertex in _bits(above & ~up[target]):
                down[vertex] |= below
            if above:
                for vertex in _bits(below):
                    up[vertex] |= above
        return True


def _topological(outgoing: Sequence[Sequence[int]]) -> list[int] | None:
    missing = [0] * len(outgoing)
    for targets in outgoing:
        for target in targets:
            missing[target] += 1
    order = [vertex for vertex, count in enumerate(missing) if not count]
    for vertex in order:  # which grows as its vertices are done
        for target in outgoing[vertex]:
            missing[target] -= 1
            if not missing[target]:
                order.append(target)
    return order if len(order) == len(outgoing) else None


def _bits(word: int) -> Iterator[int]:
    while word:
        lowest = word & -word
        yield lowest.bit_length() - 1
        word ^= lowest


class _State:
    """What is reachable, what was chosen (0: first, 1: second), and what is open, at one point of the search."""

    def __init__(self, reach: Reach, taken: list[int], left: list[int]) -> None:
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
    start = _State(reach, [0] * len(choices), list(range(len(choices))))
    stack: list[tuple[_State, Pair | None]] = [(start, None)]  # states, and what to take there
    while stack:
        state, step = stack.pop()
        if step is not None:
            chosen, way = step
            if not state.reach.add(choices[chosen][way]):
                failures[chosen] += 1
                continue
            state.taken[chosen] = way
            state.left.remove(chosen)
        if not _propagate(state, choices, failures, deadline):
            continue
        attempt = state.copy()
        if _prefer(attempt, choices, failures, deadline):
            return attempt.taken
        chosen = max(state.left, key=lambda place: failures[place])
        stack.append((state.copy(), (chosen, 1)))
        stack.append((state, (chosen, 0)))
    return None


def _check(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise OutOfTime


def _propagate(state: _State, choices: Sequence[Choice], failures: list[int], deadline: float) -> bool:
    """Take whatever has no alternative, until nothing follows any more; False if something has none at all."""
    reach = state.reach
    changed = True
    while changed:
        changed = False
        left = []
        for place in state.left:
            _check(deadline)
            first, second = choices[place]
            if reach.closes(first):
                if reach.closes(second) or not reach.add(second):
                    failures[place] += 1
                    return False
                state.taken[place] = 1
                changed = True
            elif reach.closes(second):
                if not reach.add(first):
                    failures[place] += 1
                    return False
                changed = True
            elif reach.has(second):
                state.taken[place] = 1
            elif not reach.has(first):
                left.append(place)
        state.left = left
    return True


def _prefer(state: _State, choices: Sequence[Choice], failures: list[int], deadline: float) -> bool:
    """Take of all that is left what is preferred, else the other; False if neither is possible any more."""
    reach = state.reach
    for place in state.left:
        _check(deadline)
        first, second = choices[place]
        way = int(reach.closes(first))
        if not reach.add(second if way else first):
            failures[place] += 1
            return False
        state.taken[place] = way
    return True
