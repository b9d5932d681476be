"""Between which positions each transaction took effect, if time ruled: its interval, drawn in by what must come before.

Whatever precedes a transaction took effect before that did, so before it completed; and the other way round. That holds
along the certain edges, and between versions of a key: those who wrote or read one version come all before those who
wrote or read another, or all after. So if one of A must precede one of B (f(A) <= s(B): the first position by which
something of A had happened, and the last after which something of B did), all of A precede the writer of B. Gibbons and
Korach (*Testing shared memories*, 1997) call [f, s] the zone of a value.

Where that contradicts time, some transactions are moved first (``checkers.graph.displaced``): by certain edges, and by
the probable ones from who read an old version to who wrote the next one and was done by then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from checkers.arrays import first_of_each, last_where, running_maximum
from checkers.graph.case import Case
from checkers.graph.displaced import displace
from checkers.graph.dsg import NONE, Dependencies, Edges
from checkers.graph.levels import joined

Positions = NDArray[np.int64]

_ROUNDS: Final = 2  # more find little more
_ALONG_EDGES: Final = 2  # steps in each


class Chains(NamedTuple):
    """The chains of keys that have unplaced ones, ordered by key, that of the initial version first.

    Attributes:
        key: of each.
        head: its first version.
        tail: its last.
        is_first: whether it begins with the initial version.
    """

    key: NDArray[np.int32]
    head: NDArray[np.int32]
    tail: NDArray[np.int32]
    is_first: NDArray[np.bool_]

    @property
    def are_open(self) -> bool:
        """Whether there is a key with several that could follow each other either way."""
        return len(self.key) > 0 and int(np.bincount(self.key[~self.is_first]).max()) > 1


class Zones(NamedTuple):
    """Of each chain, in positions of the history.

    Attributes:
        first: the first by which something of it had happened; -1 for an initial one.
        last: the last after which something of it happened.
    """

    first: Positions
    last: Positions


class Windows:
    """Of each transaction, the earliest and the latest position, drawn in by a case's chains and certain edges."""

    def __init__(self, case: Case, chains: Chains, known: Dependencies) -> None:
        intervals = case.intervals
        self._known = known
        self._chains = chains
        self._length = intervals.length
        self._head_writer = case.versions.writer[chains.head]
        self._tail_writer = case.versions.writer[chains.tail]
        count = len(case.versions.writer)
        self._head_readers = _readers(case, chains.head, count)
        self._tail_readers = _readers(case, chains.tail, count)
        self.earliest: Positions = intervals.invoked.astype(np.int64)
        self.latest: Positions = np.where(intervals.completed >= 0, intervals.completed, intervals.length).astype(
            np.int64
        )
        self._invoked = intervals.invoked
        edges = joined([*known.values(), self._stale_reads()])
        self.earliest, self.latest = displace(self.earliest, self.latest, edges, self._length)
        for _ in range(_ROUNDS):
            self._draw_in(self._along_edges, _ALONG_EDGES)
            self._draw_in(self._between_chains)
        self._draw_in(self._along_edges, _ALONG_EDGES)

    def zones(self) -> Zones:
        """The zones of the chains."""
        chains, writer = self._chains, self._head_writer
        first = np.full(len(chains.key), self._length, np.int64)
        last = np.full(len(chains.key), -1, np.int64)
        written = writer >= 0
        first[written] = self.latest[writer[written]]
        written = self._tail_writer >= 0
        last[written] = self.earliest[self._tail_writer[written]]
        chain, reader = self._head_readers
        np.minimum.at(first, chain, self.latest[reader])
        chain, reader = self._tail_readers
        np.maximum.at(last, chain, self.earliest[reader])
        first[chains.is_first] = -1
        return Zones(first, last)

    def in_time(self, zones: Zones) -> NDArray[np.int64]:
        """The chains by the middle of their ``zones``; where these are equal, as the writers were invoked."""
        return np.lexsort((self._invoked[self._head_writer], zones.first + zones.last))

    def _stale_reads(self) -> Edges:
        """Who read the end of a chain when another one, begun after that end, was there: before who began that."""
        chains, (chain, reader) = self._chains, self._tail_readers
        there = ~chains.is_first
        begun = np.full(len(chains.key), -1, np.int64)
        done = np.full(len(chains.key), self._length, np.int64)
        begun[there], done[there] = self.earliest[self._head_writer[there]], self.latest[self._head_writer[there]]
        ended = np.where(self._tail_writer >= 0, self.latest[self._tail_writer], -1)
        done = -_best_of_others(chains.key, -begun, -done, -ended - 1)
        writer = np.full(self._length + 1, NONE, np.int32)
        writer[self.latest] = np.arange(len(self.latest), dtype=np.int32)
        stale = done[chain] < self.earliest[reader]
        return Edges(reader[stale], writer[done[chain[stale]]])

    def _draw_in(self, step: Callable[[], None], times: int = 1) -> None:
        """Take a step; what contradicts time after that keeps the window that it had, lest it draw in all others."""
        for _ in range(times):
            earliest, latest = self.earliest.copy(), self.latest.copy()
            step()
            kept = self.earliest > self.latest
            self.earliest[kept], self.latest[kept] = earliest[kept], latest[kept]

    def _along_edges(self) -> None:
        for source, target in self._known.values():
            np.maximum.at(self.earliest, target, self.earliest[source])
            np.minimum.at(self.latest, source, self.latest[target])

    def _between_chains(self) -> None:
        zones, chains = self.zones(), self._chains
        # Of B: the last of all that must come before its writer.
        before = _best_of_others(chains.key, zones.first, zones.last, zones.last)
        settled = ~chains.is_first & (before >= 0)
        np.maximum.at(self.earliest, self._head_writer[settled], before[settled])
        # Of A: the first by which the writer of a chain that must come after had happened.
        latest = np.full(len(chains.key), self._length, np.int64)
        latest[~chains.is_first] = self.latest[self._head_writer[~chains.is_first]]
        after = -_best_of_others(chains.key, -zones.last, -latest, -zones.first)
        settled = (self._tail_writer >= 0) & (after <= self._length)
        np.minimum.at(self.latest, self._tail_writer[settled], after[settled])
        chain, reader = self._tail_readers
        np.minimum.at(self.latest, reader, after[chain])


def _readers(case: Case, version: NDArray[np.int32], count: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Reads of some versions: of each the place of the version, and who read."""
    place = np.full(count, -1, np.int32)
    place[version] = np.arange(len(version), dtype=np.int32)
    of_read = place[case.read_version]
    wanted = of_read >= 0
    return of_read[wanted], case.read_txn[wanted]


def _best_of_others(key: NDArray[np.int32], at: Positions, value: Positions, until: Positions) -> Positions:
    """Of each, the largest ``value`` among the others of its key that are ``at`` most where it says ``until``.

    Where there is none it is below every value.
    """
    count = len(key)
    low = min(int(value.min()), int(at.min()), int(until.min())) - 1
    span = max(int(value.max()), int(at.max()), int(until.max())) - low + 1
    base = key.astype(np.int64) * span - low
    order = np.argsort(base + at, kind="stable")
    starts = first_of_each(key[order])
    # The keys rise, so that running maxima begin anew with each.
    found = (base + value)[order]
    best, holder = running_maximum(found)
    loser = np.where(starts, -1, np.minimum(found, np.append(found[:1], best[:-1])))
    second = np.maximum.accumulate(loser)
    place = np.empty(count, np.int64)
    place[order] = np.arange(count)
    reach = np.searchsorted((base + at)[order], base + until, side="right") - 1
    none = reach < last_where(starts)[place]
    reach = np.maximum(reach, 0)
    answer = np.where(holder[reach] == place, second[reach], best[reach]) - base
    return np.where(none | (answer <= low), low, answer)
