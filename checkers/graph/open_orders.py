"""Keys whose order of versions is not wholly known: what is open, a good guess, and what a guess makes of the graph.

What is known of a key are chains: versions that replaced each other immediately. The chain from the initial version
comes first; between the others every order is possible until the graph says otherwise.

The guess is the order of f + s (``checkers.graph.windows``). A must precede B in time where f(A) <= s(B). Unless that
holds both ways, f(A) + s(A) < f(B) + s(B) follows, from f(A) <= s(B) and s(A) < f(B). So sorting by the sum respects
all that time demands of a key.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from checkers.graph.case import Case, with_orders
from checkers.graph.dsg import NONE, Dependencies, Ints, Versions, children_of, dependencies
from checkers.graph.windows import Chains

_EDGES_EACH: Final = 8  # edges for each transaction that may be spent on what follows from the initial versions
_EDGES: Final = 1_000


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
    return Chains(case.key[roots], roots, tails[roots], is_first)


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


def in_order(chains: Chains, rank: NDArray[np.number]) -> NDArray[np.int64]:
    """The chains, key by key, as ranked."""
    # In one number, which sorts twice as fast as three keys do; the keys rise already.
    return np.argsort(chains.key * np.int64(len(rank)) + np.where(chains.is_first, -1, rank), kind="stable")


def neighbours(chains: Chains, order: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of chains of one key that follow each other."""
    before, after = order[:-1], order[1:]
    same = chains.key[before] == chains.key[after]
    return before[same], after[same]


def guessed(case: Case, chains: Chains, order: NDArray[np.int64]) -> Dependencies:
    """The dependencies when the chains follow each other in this order."""
    before, after = neighbours(chains, order)
    parent = case.versions.parent.copy()
    parent[chains.head[after]] = chains.tail[before]
    graph = dependencies(Versions(case.versions.writer, parent), case.read_txn, case.read_version)
    return graph if case.before is None else with_orders(graph, case, *case.before)
