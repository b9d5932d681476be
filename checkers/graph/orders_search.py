"""Looks for an order of the versions that a model allows, or shows that there is none.

First the guess of ``checkers.graph.open_orders``: if the graph that it makes has no forbidden cycle, the history is
proved valid. Where it has some, a few times the pair of versions on each that is closest is exchanged. What cycles are
left then are decided exactly: their transactions, with all who wrote what is open among them, are taken out
(``checkers.graph.small_orders``). These few are a relaxation of the whole: what has no order among them has none at
all, and the history is proved invalid. If they have one, the guess is changed accordingly and tried again; a new cycle
must lead through others, who are added. So it ends, at the latest when all transactions were taken out; in practice
after a few rounds. It is the way of solvers modulo theories, and of Cobra and PolySI.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from checkers.arrays import first_of_each
from checkers.graph.case import Case
from checkers.graph.dsg import Dependencies
from checkers.graph.levels import groups_at, ordered, within
from checkers.graph.open_orders import guessed, in_order, neighbours
from checkers.graph.parts import parts_of
from checkers.graph.refutation import Argument, argue
from checkers.graph.search import OutOfTime
from checkers.graph.small_orders import taken_out
from checkers.graph.touching import Touching
from checkers.graph.windows import Chains, Windows

_EXCHANGES: Final = 2  # rounds of exchanging neighbours; later ones gain little
_WHOLE: Final = 100  # transactions of a component that are taken out all at once


class Refutation(NamedTuple):
    """Transactions among which no order of the versions avoids a forbidden cycle.

    Attributes:
        level: of ``checkers.models.LEVELS``.
        order: of ``checkers.models.ORDERS``.
        members: a few transactions, in ascending order; without any one of them there would be an order.
        argument: why there is none; None where it is too long to be followed.
    """

    level: int
    order: int
    members: list[int]
    argument: Argument | None


class Orders:
    """The open orders of a case, for one level and order of ``checkers.models`` after the other."""

    def __init__(self, case: Case, chains: Chains, known: Dependencies) -> None:
        self._case = case
        self._chains = chains
        self._known = known
        windows = Windows(case, chains, known)
        self._zones = windows.zones()
        self._rank = np.empty(len(chains.key), np.int64)
        self._rank[windows.in_time(self._zones)] = np.arange(len(chains.key))
        self._touching = Touching(case, chains, self._rank)

    def settle(self, level: int, order: int, deadline: float) -> Refutation | None:
        """Find an order of the versions that the model allows: then None.

        Raises:
            OutOfTime: the deadline has passed, or too much would have to be searched.
        """
        rank = self._rank.copy()
        exchanged = np.zeros(0, np.int64)
        for _ in range(_EXCHANGES):
            groups = self._groups(rank, level, order)
            if not groups:
                return None
            if time.monotonic() > deadline:
                raise OutOfTime
            exchanged = self._exchange(rank, groups, exchanged)
        return self._decide_rest(rank, level, order, deadline)

    def _groups(self, rank: NDArray[np.int64], level: int, order: int) -> list[NDArray[np.int64]]:
        """Disjoint groups of transactions with forbidden cycles among each; none if there is no such cycle at all."""
        case = self._case
        graph = guessed(case, self._chains, in_order(self._chains, rank))
        found = []
        for group in groups_at(ordered(graph, case.intervals, case.process, order), level):
            if len(group) <= _WHOLE:
                found.append(group)
                continue
            inner, intervals = within(graph, case.intervals, group)
            parts = parts_of(ordered(inner, intervals, case.process[group], order), level, _WHOLE)
            found += [group[part] for part in parts]
        return found

    def _exchange(
        self,
        rank: NDArray[np.int64],
        groups: Sequence[NDArray[np.int64]],
        exchanged: NDArray[np.int64],
    ) -> NDArray[np.int64]:
        """In each group, give the two neighbours that are closest each other's rank, unless that was done before."""
        group = np.full(len(self._case.process), -1, np.int64)
        for number, members in enumerate(groups):
            group[members] = number
        chains, touching = self._chains, self._touching
        before, after = neighbours(chains, in_order(chains, rank))
        of_pair = group[touching.head_writer[after]]
        possible = (of_pair >= 0) & ~chains.is_first[before] & (self._zones.first[before] > self._zones.last[after])
        before, after, of_pair = before[possible], after[possible], of_pair[possible]
        inside = group[touching.tail_writer[before]] == of_pair
        pair, reader = touching.readers_of(before)
        inside[pair[group[reader] == of_pair[pair]]] = True
        pairs = np.minimum(before, after) * len(rank) + np.maximum(before, after)
        inside &= ~np.isin(pairs, exchanged)
        before, after, of_pair, pairs = before[inside], after[inside], of_pair[inside], pairs[inside]
        nearest = np.lexsort((rank[after] - rank[before], of_pair))
        chosen = nearest[first_of_each(of_pair[nearest])]
        one, two = before[chosen], after[chosen]
        rank[one], rank[two] = rank[two], rank[one]
        rank[np.argsort(rank, kind="stable")] = np.arange(len(rank))  # a chain may have been exchanged twice
        return np.concatenate((exchanged, pairs[chosen]))

    def _decide_rest(self, rank: NDArray[np.int64], level: int, order: int, deadline: float) -> Refutation | None:
        sets = _Sets()
        while True:
            groups = self._groups(rank, level, order)
            if not groups:
                return None
            for group in groups:
                sets.add(self._touching.with_writers(group.tolist()))
            for small in taken_out(sets.fresh(), self._case, self._known, self._touching, (level, order)):
                answer = small.solve(deadline)
                if answer is None:
                    few = small.shrunk(deadline)
                    return Refutation(level, order, few.members, argue(few.certain(), few.alternatives(), level))
                for chains in answer:
                    rank[chains] = np.sort(rank[chains])


class _Sets:
    """Disjoint sets of transactions; those that meet become one."""

    def __init__(self) -> None:
        self._owner: dict[int, set[int]] = {}
        self._fresh: dict[int, set[int]] = {}

    def add(self, members: set[int]) -> None:
        """Take a set, with all those that it meets."""
        met = {id(owner): owner for owner in map(self._owner.get, members) if owner is not None}
        for each in met.values():
            members |= each
            self._fresh.pop(id(each), None)
        self._owner.update(dict.fromkeys(members, members))
        self._fresh[id(members)] = members

    def fresh(self) -> list[set[int]]:
        """The sets that are new since this was last asked."""
        found = list(self._fresh.values())
        self._fresh.clear()
        return found
