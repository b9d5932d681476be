"""Keys whose order of versions is not wholly known: what is open, a good guess, and what a guess makes of the graph.

What is known of a key are chains: versions that replaced each other immediately. The chain from the initial version
comes first; between the others every order is possible until the graph says otherwise.

The guess. A version was there from when it was written until, at least, its last read was invoked. Let f be the first
completion among its writer and readers, and s their last invocation. Of two versions A and B, A must come first in
real time where f(A) < s(B). Unless that holds both ways, f(A) + s(A) < f(B) + s(B) follows: from f(A) < s(B) and
s(A) <= f(B). So sorting by f + s respects all that time demands of a key alone (Gibbons and Korach, *Testing shared
memories*, 1997, call [f, s] the zone of a value). Before that, the times are drawn in along the known edges: what
precedes something took effect before it completed, and so on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from checkers.graph.case import Case, with_orders
from checkers.graph.dsg import NONE, Dependencies, Ints, Versions, children_of, dependencies
from checkers.graph.realtime import Intervals

_ROUNDS: Final = 4  # of drawing times in; more help little
_EDGES_EACH: Final = 8  # edges for each transaction that may be spent on what follows from the initial versions
_EDGES: Final = 1_000
Decided = Mapping[tuple[int, int], bool]  # of two chains of a key: whether the first named comes first


class Chains(NamedTuple):
    """The chains of keys that have unplaced ones, ordered by key, that of the initial version first.

    Attributes:
        key: of each.
        head: its first version.
        tail: its last.
        is_first: whether it begins with the initial version.
        rank: where the guess puts it among those of its key, the lower the earlier.
    """

    key: Ints
    head: Ints
    tail: Ints
    is_first: NDArray[np.bool_]
    rank: NDArray[np.int64]

    @property
    def are_open(self) -> bool:
        """Whether there is a key with several that could follow each other either way."""
        return len(self.key) > 0 and int(np.bincount(self.key[~self.is_first]).max()) > 1


def chains_of(case: Case) -> Chains | None:
    """The chains of keys with unplaced ones; None if there is no such key.

    A key in which a version was replaced twice is left out: that is a lost update, and told as such.
    """
    if case.key is None:
        return None
    roots, tails = _ends(case)
    unplaced = case.versions.writer[roots] >= 0
    count = np.bincount(case.key[roots[unplaced]], minlength=_keys(case))
    count[case.key[children_of(case.versions).extra_parent]] = 0
    roots = roots[count[case.key[roots]] > 0]
    if not len(roots):
        return None
    is_first = case.versions.writer[roots] < 0
    roots = roots[np.lexsort((~is_first, case.key[roots]))]
    is_first = case.versions.writer[roots] < 0
    return Chains(case.key[roots], roots, tails[roots], is_first, np.zeros(len(roots), np.int64))


def prefix_pairs(case: Case, chains: Chains) -> tuple[Ints, Ints]:
    """Of the chains, as many as time allows: the last version of the initial one of the key, and their own first.

    That the one precedes the other is true of all. But where many read the initial version and many replace it that is
    too many edges, and the search knows it anyway.
    """
    readers = np.bincount(case.read_version, minlength=len(case.versions.writer))
    size = np.bincount(chains.key, minlength=_keys(case))  # chains of each key
    initial = np.flatnonzero(chains.is_first)
    cost = (readers[chains.tail[initial]] + 1) * (size[chains.key[initial]] - 1)
    by_cost = np.argsort(cost, kind="stable")
    cheap = initial[by_cost[np.cumsum(cost[by_cost]) <= _EDGES_EACH * len(case.process) + _EDGES]]
    initial_tail = np.full(_keys(case), NONE, np.int32)
    initial_tail[chains.key[cheap]] = chains.tail[cheap]
    later = ~chains.is_first & (initial_tail[chains.key] >= 0)
    return initial_tail[chains.key[later]], chains.head[later]


def _keys(case: Case) -> int:
    assert case.key is not None
    return int(case.key.max()) + 1 if len(case.key) else 0


def _ends(case: Case) -> tuple[Ints, Ints]:
    """The versions without a parent, and of each of these (at its own place) the last version of its chain."""
    parent = case.versions.parent
    own = np.arange(len(parent), dtype=np.int32)
    root = np.where(parent >= 0, parent, own)
    for _ in range(len(parent).bit_length()):  # a circle of parents would never end, and has no root
        further = root[root]
        if np.array_equal(further, root):
            break
        root = further
    last = np.flatnonzero(children_of(case.versions).first == NONE).astype(np.int32)
    tails = own.copy()
    tails[root[last]] = last
    return np.flatnonzero(parent < 0).astype(np.int32), tails


def ranked(chains: Chains, case: Case, known: Dependencies) -> Chains:
    """The same chains with the guess."""
    earliest, latest = _drawn_in(case.intervals, known)
    writer, count = case.versions.writer, len(case.versions.writer)
    written = writer >= 0
    first = np.full(count, -1, np.int64)
    last = np.full(count, -1, np.int64)
    first[written], last[written] = latest[writer[written]], earliest[writer[written]]
    np.minimum.at(first, case.read_version, latest[case.read_txn])
    np.maximum.at(last, case.read_version, earliest[case.read_txn])
    return chains._replace(rank=first[chains.head] + last[chains.tail])


def _drawn_in(intervals: Intervals, known: Dependencies) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of each transaction, the earliest and the latest position at which it can have taken effect, about."""
    earliest = intervals.invoked.astype(np.int64)
    latest = np.where(intervals.completed >= 0, intervals.completed, intervals.length).astype(np.int64)
    for _ in range(_ROUNDS):
        for edges in known.values():
            np.maximum.at(earliest, edges.target, earliest[edges.source])
            np.minimum.at(latest, edges.source, latest[edges.target])
    return earliest, latest


def guessed(case: Case, chains: Chains, decided: Decided) -> Dependencies:
    """The dependencies when the chains follow each other as ranked, and as was decided where that says otherwise."""
    order = np.lexsort((chains.rank, ~chains.is_first, chains.key))
    if decided:
        order = _as_decided(order, chains, decided)
    before, after = order[:-1], order[1:]
    same = chains.key[before] == chains.key[after]
    parent = case.versions.parent.copy()
    parent[chains.head[after[same]]] = chains.tail[before[same]]
    graph = dependencies(Versions(case.versions.writer, parent), case.read_txn, case.read_version)
    return graph if case.before is None else with_orders(graph, case, *case.before)


def _as_decided(order: NDArray[np.int64], chains: Chains, decided: Decided) -> NDArray[np.int64]:
    """Take in each key the lowest ranked of those that nothing left must precede."""
    order = order.copy()
    concerned = {int(chains.key[chain]) for chain, _ in decided}
    keys = chains.key[order]
    after: dict[int, list[int]] = {}
    missing: dict[int, int] = {}
    for (one, two), is_first in decided.items():
        source, target = (one, two) if is_first else (two, one)
        after.setdefault(source, []).append(target)
        missing[target] = missing.get(target, 0) + 1
    for key in concerned:
        begin, end = np.searchsorted(keys, [key, key + 1])
        left = order[begin:end].tolist()
        for place in range(begin, end):
            taken = next((chain for chain in left if not missing.get(chain)), left[0])
            left.remove(taken)
            order[place] = taken
            for target in after.get(taken, ()):
                missing[target] -= 1
    return order
