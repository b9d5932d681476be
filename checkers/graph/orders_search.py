"""Looks for an order of the versions that a model allows, or shows that there is none.

First the guess of ``checkers.graph.open_orders``: if the graph that it makes has no forbidden cycle, the history is
proved valid. Else the transactions on its cycles, with all who wrote or read what is open among them, are taken out and
decided exactly (``checkers.graph.search``). These few are a relaxation of the whole: what has no order among them has
none at all, and the history is proved invalid. If they have one, the guess is changed accordingly and tried again; a
new cycle must lead through others, who are added. So it ends, at the latest when all transactions were taken out; in
practice after a few rounds. This is the way of solvers modulo theories, and of Cobra and PolySI.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from itertools import combinations
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from checkers.graph.case import Case
from checkers.graph.dsg import Dependencies, Edges
from checkers.graph.levels import NONADJACENT, edges_of, groups_at, joined, ordered, within
from checkers.graph.open_orders import Chains, guessed
from checkers.graph.paths import shortest_cycle
from checkers.graph.search import Choice, OutOfTime, Pair, solve

_WHOLE: Final = 400  # transactions of a component that are taken out all at once
_AT_MOST: Final = 6_000  # vertices of a small problem; bit sets of more get slow


class Refutation(NamedTuple):
    """Transactions among which no order of the versions avoids a forbidden cycle.

    Attributes:
        level: of ``checkers.models.LEVELS``.
        order: of ``checkers.models.ORDERS``.
        members: a few transactions, in ascending order; without any one of them there would be an order.
    """

    level: int
    order: int
    members: list[int]


class Small(NamedTuple):
    """The problem among a few transactions: how many vertices, which edges, and which pairs of chains are open."""

    n: int
    edges: list[Pair]
    choices: list[Choice]
    pairs: list[tuple[int, int]]


class Orders:
    """The open orders of a case, for one level and order of ``checkers.models`` after the other."""

    def __init__(self, case: Case, chains: Chains, known: Dependencies) -> None:
        self._case = case
        self._chains = chains
        self._known = known
        self._touching = _Touching(case, chains)

    def settle(self, level: int, order: int, deadline: float) -> Refutation | None:
        """Find an order of the versions that the model allows: then None.

        Raises:
            OutOfTime: the deadline has passed.
        """
        decided: dict[tuple[int, int], bool] = {}
        taken_out: list[set[int]] = []
        while True:
            graph = guessed(self._case, self._chains, decided)
            groups = groups_at(ordered(graph, self._case.intervals, self._case.process, order), level)
            if not groups:
                return None
            for group in groups:
                if time.monotonic() > deadline:
                    raise OutOfTime
                members = self._enlarged(self._few(group, graph, level, order), taken_out)
                small = self.small(members, level, order)
                if small.n > _AT_MOST:
                    raise OutOfTime
                answer = solve(small.n, small.edges, small.choices, deadline)
                if answer is None:
                    return self._shrunk(members, level, order, deadline)
                decided.update((pair, not way) for pair, way in zip(small.pairs, answer, strict=True))

    def _few(self, group: NDArray[np.int64], graph: Dependencies, level: int, order: int) -> NDArray[np.int64]:
        """The group, or where it is too large one short cycle of it."""
        if len(group) <= _WHOLE:
            return group
        inner, intervals = within(graph, self._case.intervals, group)
        part = ordered(inner, intervals, self._case.process[group], order)
        size, edges = edges_of(part, level)
        together = joined(edges)
        own = together.source < len(group)
        by_distance = np.argsort(np.abs(together.target[own] - together.source[own]), kind="stable")
        candidates = Edges(together.source[own][by_distance], together.target[own][by_distance])
        nodes = np.array(shortest_cycle(size, together, candidates), np.int64)
        nodes = np.where(nodes >= part.n + part.nodes, nodes - part.n - part.nodes, nodes)
        return group[np.unique(nodes[nodes < part.n])]

    def _enlarged(self, group: NDArray[np.int64], taken_out: list[set[int]]) -> NDArray[np.int64]:
        """The group, those whose versions are open beside its own, and all taken out before that it meets."""
        members = self._touching.with_writers(group)
        met = [each for each in taken_out if not members.isdisjoint(each)]
        for each in met:
            members |= each
            taken_out.remove(each)
        taken_out.append(members)
        return np.array(sorted(members), np.int64)

    def small(self, members: NDArray[np.int64], level: int, order: int) -> Small:
        """The problem among these transactions (in ascending order)."""
        inner, intervals = within(self._known, self._case.intervals, members)
        graph = ordered(inner, intervals, self._case.process[members], order)
        size, parts = edges_of(graph, level)
        edges = _pairs(parts)
        place = {txn: at for at, txn in enumerate(members.tolist())}
        copies = graph.n + graph.nodes if level == NONADJACENT else None
        pairs, choices = [], []
        for one, two in self._touching.pairs(place):
            first = self._edges(one, two, place, copies)
            if self._chains.is_first[one]:
                edges += first
                continue
            second = self._edges(two, one, place, copies)
            if self._chains.rank[one] > self._chains.rank[two]:
                one, two, first, second = two, one, second, first  # noqa: PLW2901 (the guess is tried first)
            pairs.append((one, two))
            choices.append(Choice(first, second))
        return Small(size, edges, choices, pairs)

    def _edges(self, earlier: int, later: int, place: dict[int, int], copies: int | None) -> list[Pair]:
        """What follows among these transactions where one chain precedes another."""
        head = place.get(self._touching.head_writer[later])
        if head is None:
            return []
        edges = []
        tail = place.get(self._touching.tail_writer[earlier])
        if tail is not None:
            edges.append((tail, head))
            if copies is not None:
                edges.append((tail + copies, head))
        for txn in self._touching.readers(earlier):
            reader = place.get(txn)
            if reader is not None and reader != head:
                edges.append((reader, head if copies is None else head + copies))
        return edges

    def _shrunk(self, members: NDArray[np.int64], level: int, order: int, deadline: float) -> Refutation:
        """As few of them as can be had in the time: whoever is not needed for the contradiction is left out."""
        left = members.tolist()
        size = max(len(left) // 2, 1)
        try:
            while size:
                at = 0
                while at < len(left):
                    fewer = left[:at] + left[at + size :]
                    small = self.small(np.array(fewer, np.int64), level, order)
                    if fewer and solve(small.n, small.edges, small.choices, deadline) is None:
                        left = fewer
                    else:
                        at += size
                size //= 2
        except OutOfTime:
            pass
        return Refutation(level, order, left)


class _Touching:
    """Which transactions have to do with which open chains."""

    def __init__(self, case: Case, chains: Chains) -> None:
        writer = case.versions.writer
        self._chains = chains
        self.head_writer: list[int] = writer[chains.head].tolist()
        self.tail_writer: list[int] = writer[chains.tail].tolist()
        chain_of = np.full(len(writer), -1, np.int32)
        count = len(chains.head)
        chain_of[chains.tail] = np.arange(count, dtype=np.int32)
        reads = chain_of[case.read_version] >= 0
        self._read_txn = case.read_txn[reads]
        read_chain = chain_of[case.read_version[reads]]
        by_chain = np.argsort(read_chain, kind="stable")
        self._readers = self._read_txn[by_chain]
        self._reader_start = np.searchsorted(read_chain[by_chain], np.arange(count + 1))
        own = np.arange(count, dtype=np.int32)
        txn = np.concatenate((writer[chains.head], writer[chains.tail], self._read_txn))
        chain = np.concatenate((own, own, read_chain))
        by_txn = np.argsort(txn, kind="stable")
        self._txn, self._chain = txn[by_txn], chain[by_txn]

    def readers(self, chain: int) -> list[int]:
        """Who read the last version of a chain."""
        return self._readers[self._reader_start[chain] : self._reader_start[chain + 1]].tolist()

    def _chains_of(self, txns: Iterable[int]) -> dict[int, set[int]]:
        """By key, the chains that these transactions wrote to or read the end of."""
        wanted = np.array(list(txns), np.int64)
        begin = np.searchsorted(self._txn, wanted, "left")
        end = np.searchsorted(self._txn, wanted, "right")
        found: dict[int, set[int]] = {}
        for a, b in zip(begin.tolist(), end.tolist(), strict=True):
            for chain in self._chain[a:b].tolist():
                found.setdefault(int(self._chains.key[chain]), set()).add(chain)
        return found

    def with_writers(self, group: NDArray[np.int64]) -> set[int]:
        """The group with the writers of all chains that it touches in keys where it touches several."""
        members = set(group.tolist())
        for chains in self._chains_of(group.tolist()).values():
            if len(chains) > 1:
                members.update(self.head_writer[chain] for chain in chains)
                members.update(self.tail_writer[chain] for chain in chains)
        return {txn for txn in members if txn >= 0}

    def pairs(self, txns: Iterable[int]) -> Iterable[tuple[int, int]]:
        """Pairs of chains of one key whose ends these transactions wrote, the initial chain before others.

        Chains of which only readers are there are no part of it: what is decided of a key must be an order.
        """
        own = set(txns)
        for chains in self._chains_of(own).values():
            whole = sorted(
                chain
                for chain in chains
                if self._chains.is_first[chain] or {self.head_writer[chain], self.tail_writer[chain]} <= own
            )
            yield from combinations(whole, 2)


def _pairs(parts: list[Edges]) -> list[Pair]:
    return [pair for part in parts for pair in zip(part.source.tolist(), part.target.tolist(), strict=True)]
