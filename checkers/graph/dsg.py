"""The direct serialization graph, over flat arrays.

Vertices are transactions, numbered 0..n-1. What is known of the data is a forest of versions: who installed each, and
which version it replaced. From that and from who read what follow Adya's three dependencies (Adya, *Weak Consistency*,
1999, section 4.2), all of item kind:

- ww: a transaction installed a version, the target replaced it;
- wr: a transaction installed a version, the target read it;
- rw: a transaction read a version, the target replaced it.

Nothing here knows what a version is, so that every workload whose versions are known or inferred can use it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from checkers.arrays import ranges

Ints = NDArray[np.int32]

NONE: Final = -1  # no version, or no transaction
WW: Final = "ww"
WR: Final = "wr"
RW: Final = "rw"


class Edges(NamedTuple):
    """Edges of one label: ``source[i] -> target[i]``, as int32."""

    source: Ints
    target: Ints


Dependencies = Mapping[str, Edges]


class Versions(NamedTuple):
    """The forest of versions.

    Attributes:
        writer: of each version, the transaction that installed it; below 0: none in this history (the initial state).
        parent: of each version, the version that it replaced, or ``NONE``.
    """

    writer: Ints
    parent: Ints


class Children(NamedTuple):
    """The forest turned round. A version has one child, or it was replaced twice: a lost update.

    Attributes:
        first: of each version, one child, or ``NONE``.
        extra_parent: sorted; of each further child, its parent.
        extra_child: the further children.
    """

    first: Ints
    extra_parent: Ints
    extra_child: Ints


def children_of(versions: Versions) -> Children:
    """Turn the forest round, in time linear in the versions."""
    child = np.flatnonzero(versions.parent >= 0).astype(np.int32)
    parent = versions.parent[child]
    first = np.full(len(versions.writer), NONE, np.int32)
    first[parent] = child
    further = first[parent] != child
    extra_parent, extra_child = parent[further], child[further]
    by_parent = np.argsort(extra_parent, kind="stable")
    return Children(first, extra_parent[by_parent], extra_child[by_parent])


def dependencies(versions: Versions, read_txn: Ints, read_version: Ints) -> Dependencies:
    """All dependencies between transactions, none from a transaction to itself.

    A read of what the same transaction then replaces is left out: its wr edge is there as ww, and its rw edges lead to
    other transactions that replaced the same version, which is a lost update and to be told as such.

    Args:
        versions: the forest.
        read_txn: who read, one entry a read.
        read_version: which version, in the same order.
    """
    children = children_of(versions)
    child = np.flatnonzero(versions.parent >= 0)
    ww = _proper(versions.writer[versions.parent[child]], versions.writer[child])

    other = ~_replaced_by_reader(versions, children, read_txn, read_version)
    if not other.all():
        read_txn, read_version = read_txn[other], read_version[other]
    wr = _proper(versions.writer[read_version], read_txn)

    child = children.first[read_version]
    overwritten = child >= 0
    rw = _proper(read_txn[overwritten], versions.writer[child[overwritten]])
    if len(children.extra_parent):
        more = _proper(*_extra_overwrites(versions, children, read_txn, read_version))
        rw = Edges(np.concatenate((rw.source, more.source)), np.concatenate((rw.target, more.target)))
    return {WW: ww, WR: wr, RW: rw}


def _replaced_by_reader(versions: Versions, children: Children, txn: Ints, version: Ints) -> NDArray[np.bool_]:
    child = children.first[version]
    replaced = (child >= 0) & (versions.writer[child] == txn)
    if len(children.extra_parent):
        # Few versions are replaced twice, so pairs of numbers in Python's hands are cheap enough.
        pairs = set(zip(children.extra_parent.tolist(), versions.writer[children.extra_child].tolist(), strict=True))
        forked = np.flatnonzero(_is_in(version, children.extra_parent, len(versions.writer)))
        also = [pair in pairs for pair in zip(version[forked].tolist(), txn[forked].tolist(), strict=True)]
        replaced[forked] |= np.array(also, bool)
    return replaced


def _extra_overwrites(versions: Versions, children: Children, txn: Ints, version: Ints) -> tuple[Ints, Ints]:
    forked = np.flatnonzero(_is_in(version, children.extra_parent, len(versions.writer)))
    begin = np.searchsorted(children.extra_parent, version[forked], "left")
    count = np.searchsorted(children.extra_parent, version[forked], "right") - begin
    child = children.extra_child[ranges(begin, count)]
    return np.repeat(txn[forked], count), versions.writer[child]


def _is_in(values: Ints, wanted: Ints, size: int) -> NDArray[np.bool_]:
    member = np.zeros(size, bool)
    member[wanted] = True
    return member[values]


def _proper(source: Ints, target: Ints) -> Edges:
    """Drop the edges from or to the initial state, and from a transaction to itself."""
    keep = (source >= 0) & (target >= 0) & (source != target)
    if keep.all():
        return Edges(source, target)
    return Edges(source[keep], target[keep])
