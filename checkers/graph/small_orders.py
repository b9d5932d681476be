"""The open orders among a few transactions: an exact problem for ``checkers.graph.search``."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import combinations, permutations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from checkers.graph.case import Case
from checkers.graph.components import split
from checkers.graph.dsg import RW, WW, Dependencies, Edges
from checkers.graph.levels import NONADJACENT, REALTIME, edges_of, ordered
from checkers.graph.realtime import Intervals
from checkers.graph.search import Choice, Fan, OutOfTime, Pair, solve
from checkers.graph.windows import Chains
from checkers.models import ORDERS

_AT_MOST: Final = 6_000  # vertices; the bit sets of more get slow


class Touching:
    """Which transactions have to do with which chains, and where the guess puts these."""

    def __init__(self, case: Case, chains: Chains, rank: NDArray[np.int64]) -> None:
        writer = case.versions.writer
        count = len(chains.head)
        self.chains = chains
        self.rank = rank
        self.head_writer = writer[chains.head]
        self.tail_writer = writer[chains.tail]
        chain_of = np.full(len(writer), -1, np.int32)
        own = np.arange(count, dtype=np.int32)
        chain_of[chains.tail] = own
        reads = chain_of[case.read_version] >= 0
        read_chain, read_txn = chain_of[case.read_version[reads]], case.read_txn[reads]
        by_chain = np.argsort(read_chain, kind="stable")
        self._readers = read_txn[by_chain]
        self._reader_start = np.searchsorted(read_chain[by_chain], np.arange(count + 1))
        txn = np.concatenate((self.head_writer, self.tail_writer, read_txn))
        chain = np.concatenate((own, own, read_chain))
        by_txn = np.argsort(txn, kind="stable")
        self._chain = chain[by_txn]
        self._start = np.searchsorted(txn[by_txn], np.arange(len(case.process) + 1))

    def readers(self, chain: int) -> list[int]:
        """Who read the last version of a chain."""
        return self._readers[self._reader_start[chain] : self._reader_start[chain + 1]].tolist()

    def readers_of(self, chains: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """The same for many: of each reader, the place of the chain among those given, and who it is."""
        begin = self._reader_start[chains]
        count = self._reader_start[chains + 1] - begin
        within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        return np.repeat(np.arange(len(chains)), count), self._readers[np.repeat(begin, count) + within]

    def chains_of(self, txns: Iterable[int]) -> dict[int, set[int]]:
        """By key, the chains that these transactions began or ended, or read the end of."""
        found: dict[int, set[int]] = {}
        for txn in txns:
            for chain in self._chain[self._start[txn] : self._start[txn + 1]].tolist():
                found.setdefault(int(self.chains.key[chain]), set()).add(chain)
        return found

    def with_writers(self, group: Sequence[int]) -> set[int]:
        """The group with the writers of all chains that it touches in keys where it touches several."""
        members = set(group)
        for chains in self.chains_of(group).values():
            if len(chains) > 1:
                members.update(int(self.head_writer[chain]) for chain in chains)
                members.update(int(self.tail_writer[chain]) for chain in chains)
        return {txn for txn in members if txn >= 0}

    def whole(self, own: Collection[int]) -> list[list[int]]:
        """Of each key that these transactions touch, the chains whose ends they wrote, the initial one before others.

        Chains of which only readers are there are no part of it: what is decided of a key must be an order.
        """
        is_first, head, tail = self.chains.is_first, self.head_writer, self.tail_writer
        return [
            sorted(chain for chain in chains if is_first[chain] or (head[chain] in own and tail[chain] in own))
            for chains in self.chains_of(own).values()
        ]


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

    @property
    def level(self) -> int:
        """Of ``checkers.models.LEVELS``."""
        return self._level

    def certain(self) -> list[tuple[int, int, str]]:
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
        for one, two in self._pairs_of_keys():
            if touching.chains.is_first[one]:
                found += self._labelled(one, two)
        return found

    def alternatives(
        self,
    ) -> list[tuple[tuple[int, int], list[tuple[int, int, str]], list[tuple[int, int, str]]]]:
        """Of each open pair: who began the one chain and who the other, and what follows either way round."""
        touching = self._touching
        return [
            (
                (int(touching.head_writer[one]), int(touching.head_writer[two])),
                self._labelled(one, two),
                self._labelled(two, one),
            )
            for one, two in self._pairs_of_keys()
            if not touching.chains.is_first[one]
        ]

    def _pairs_of_keys(self) -> Iterator[Pair]:
        for chains in self._touching.whole(self._members.tolist()):
            yield from combinations(chains, 2)

    def _labelled(self, earlier: int, later: int) -> list[tuple[int, int, str]]:
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
