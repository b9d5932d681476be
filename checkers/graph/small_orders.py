"""The open orders among a few transactions: an exact problem for ``checkers.graph.search``."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, permutations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from checkers.graph.case import Case
from checkers.graph.components import split
from checkers.graph.dsg import RW, WW, Dependencies, Edges
from checkers.graph.levels import NONADJACENT, REALTIME, edges_of, ordered
from checkers.graph.realtime import Intervals
from checkers.graph.refutation import Alternative, Edge
from checkers.graph.search import Choice, Fan, OutOfTime, Pair, solve
from checkers.graph.touching import Touching
from checkers.models import ORDERS

_AT_MOST: Final = 6_000  # vertices; the bit sets of more get slow


class _Ends:
    """In the graph of a few transactions, what follows where one chain precedes another."""

    def __init__(self, touching: Touching, place: dict[int, int], copies: int | None) -> None:
        """``place`` numbers the transactions; vertex ``v`` has a copy ``v + copies`` (``checkers.graph.levels``)."""
        self._touching = touching
        self._place = place
        self._copies = copies
        self._sources: dict[int, tuple[int, int]] = {}

    def through(self, chain: int) -> list[Pair]:
        """From the writer that begins a chain to the one that ends it."""
        head = self._place[int(self._touching.head_writer[chain])]
        tail = self._place[int(self._touching.tail_writer[chain])]
        if head == tail:
            return []
        return [(head, tail)] if self._copies is None else [(head, tail), (head + self._copies, tail)]

    def fans(self, earlier: int, later: int) -> list[Fan]:
        """What follows where the one chain precedes the other."""
        wrote, read = self._sources.get(earlier) or self._find(earlier)
        head = self._place[int(self._touching.head_writer[later])]
        read &= ~(1 << head)
        copies = self._copies
        fans = (Fan(wrote | read, head),) if copies is None else (Fan(wrote, head), Fan(read, head + copies))
        return [fan for fan in fans if fan.sources]

    def _find(self, chain: int) -> tuple[int, int]:
        """Who wrote the last version of a chain, and who read it, as bit sets."""
        place, copies = self._place, self._copies
        tail = place.get(int(self._touching.tail_writer[chain]))
        wrote = 0 if tail is None else 1 << tail
        if copies is not None:
            wrote |= wrote << copies
        read = 0
        for txn in self._touching.readers(chain):
            if txn in place:
                read |= 1 << place[txn]
        self._sources[chain] = wrote, read
        return wrote, read


class SmallOrders:
    """The problem among a few transactions, for one level and order of ``checkers.models``."""

    def __init__(  # noqa: PLR0917 (a case, cut out)
        self,
        members: NDArray[np.int64],
        inner: Dependencies,
        intervals: Intervals,
        process: NDArray[np.integer],
        touching: Touching,
        cell: tuple[int, int],
    ) -> None:
        """Take the members (in ascending order), and the certain edges, intervals and processes of these alone."""
        self._members = members
        self._inner = inner
        self._intervals = intervals
        self._process = process
        self._touching = touching
        self._level, self._order = cell
        self._pairs: list[tuple[int, int]] = []

    def solve(self, deadline: float) -> list[list[int]] | None:
        """The order of the chains in each key, so that no forbidden cycle is left; None if there always is one.

        Raises:
            OutOfTime: the deadline has passed, or the problem is too large.
        """
        n, edges, choices = self._problem()
        if n > _AT_MOST:
            raise OutOfTime
        answer = solve(n, edges, choices, deadline)
        if answer is None:
            return None
        # The chains of a key are in a line, so the number of those before tells the place.
        before: dict[int, int] = {}
        for (one, two), way in zip(self._pairs, answer, strict=True):
            before[one] = before.get(one, 0) + (way == 1)
            before[two] = before.get(two, 0) + (way == 0)
        keys: dict[int, list[int]] = {}
        for chain in sorted(before, key=before.__getitem__):
            keys.setdefault(int(self._touching.chains.key[chain]), []).append(chain)
        return list(keys.values())

    def _problem(self) -> tuple[int, list[Pair], list[Choice]]:
        graph = ordered(self._inner, self._intervals, self._process, self._order)
        size, parts = edges_of(graph, self._level)
        edges = [pair for part in parts for pair in zip(part.source.tolist(), part.target.tolist(), strict=True)]
        place = {txn: at for at, txn in enumerate(self._members.tolist())}
        ends = _Ends(self._touching, place, graph.n + graph.nodes if self._level == NONADJACENT else None)
        self._pairs = []
        choices = []
        rank, is_first = self._touching.rank, self._touching.chains.is_first
        for chains in self._touching.whole(place):
            for chain in chains:
                if not is_first[chain]:
                    # Who wrote in between may not be among the members.
                    edges += ends.through(chain)
            for one, two in combinations(chains, 2):
                if is_first[one]:
                    edges += [edge for fan in ends.fans(one, two) for edge in fan.edges()]
                    continue
                pair = (two, one) if rank[one] > rank[two] else (one, two)
                self._pairs.append(pair)
                choices.append(Choice(ends.fans(*pair), ends.fans(pair[1], pair[0])))
        return size, edges, choices

    @property
    def members(self) -> list[int]:
        """The transactions, in ascending order."""
        return self._members.tolist()

    def certain(self) -> list[Edge]:
        """The edges that are there in any case, between transactions, with their labels; order edges written out."""
        own = self._members.tolist()
        found = [
            (own[a], own[b], label)
            for label, edges in self._inner.items()
            for a, b in zip(edges.source.tolist(), edges.target.tolist(), strict=True)
        ]
        invoked, completed = self._intervals.invoked.tolist(), self._intervals.completed.tolist()
        for a, b in permutations(range(len(own)), 2) if self._order else ():
            if 0 <= completed[a] < invoked[b] and (self._order == REALTIME or self._process[a] == self._process[b]):
                found.append((own[a], own[b], ORDERS[self._order]))
        touching = self._touching
        for chains in touching.whole(own):
            for place, chain in enumerate(chains):
                if touching.chains.is_first[chain]:
                    found += [edge for later in chains[place + 1 :] for edge in self._labelled(chain, later)]
                elif touching.head_writer[chain] != touching.tail_writer[chain]:
                    # Who wrote in between may not be among the members.
                    found.append((int(touching.head_writer[chain]), int(touching.tail_writer[chain]), WW))
        return found

    def alternatives(self) -> list[Alternative]:
        """Of each open pair: who began the one chain and who the other, and what follows either way round."""
        touching = self._touching
        return [
            (
                (int(touching.head_writer[one]), int(touching.head_writer[two])),
                self._labelled(one, two),
                self._labelled(two, one),
            )
            for chains in touching.whole(self._members.tolist())
            for one, two in combinations(chains, 2)
            if not touching.chains.is_first[one]
        ]

    def _labelled(self, earlier: int, later: int) -> list[Edge]:
        own = set(self._members.tolist())
        head, tail = int(self._touching.head_writer[later]), int(self._touching.tail_writer[earlier])
        edges = [(tail, head, WW)] if tail in own else []
        return edges + [(txn, head, RW) for txn in self._touching.readers(earlier) if txn in own and txn != head]

    def shrunk(self, deadline: float) -> SmallOrders:
        """As few of the members as can be had in the time: whoever the contradiction does not need is left out."""
        left = np.arange(len(self._members))
        size = max(len(left) // 2, 1)
        try:
            while size:
                at = 0
                while at < len(left):
                    fewer = np.concatenate((left[:at], left[at + size :]))
                    if len(fewer) and self._only(fewer).solve(deadline) is None:
                        left = fewer
                    else:
                        at += size
                size //= 2
        except OutOfTime:
            pass
        return self._only(left)

    def _only(self, some: NDArray[np.int64]) -> SmallOrders:
        inner = {label: split(edges, [some], len(self._members))[0] for label, edges in self._inner.items()}
        return SmallOrders(
            self._members[some],
            inner,
            self._intervals.of(some),
            self._process[some],
            self._touching,
            (self._level, self._order),
        )


def taken_out(
    sets: Sequence[set[int]], case: Case, known: Dependencies, touching: Touching, cell: tuple[int, int]
) -> list[SmallOrders]:
    """The problems among disjoint sets of transactions."""
    groups = [np.array(sorted(members), np.int64) for members in sets]
    inner: dict[str, list[Edges]] = {label: split(edges, groups, len(case.process)) for label, edges in known.items()}
    return [
        SmallOrders(
            group,
            {label: parts[number] for label, parts in inner.items()},
            case.intervals.of(group),
            case.process[group],
            touching,
            cell,
        )
        for number, group in enumerate(groups)
    ]
