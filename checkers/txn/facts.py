"""What list-append and rw-register have in common once a history is read: who counts, who wrote what, what is odd."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from checkers.arrays import first_of_each, last_where
from checkers.graph.dsg import NONE, Ints, Versions
from checkers.txn.micro_ops import Longs, Mask, MicroOps, Transactions, Written
from harness.columns import INFO_CODE, OK_CODE


class Facts(NamedTuple):
    """Versions, external reads, and what is no cycle.

    Attributes:
        txns: the transactions.
        ops: their micro-operations.
        written: all that was written.
        committed: of each transaction, whether it counts.
        versions: the first are the initial ones, one of each key.
        version_key: of each version, its key.
        version_write: of each version, the last write that is in it; -1 for the initial ones.
        read_txn: of each external read, who read.
        read_version: which version.
        read_row: by which micro-operation.
        odd: by anomaly, what shows it: rows of the micro-operations, or of tables of them.
        ambiguous: writes whose value was written twice to the key and was read: nobody can say who wrote it.
    """

    txns: Transactions
    ops: MicroOps
    written: Written
    committed: Mask
    versions: Versions
    version_key: Ints
    version_write: Ints
    read_txn: Ints
    read_version: Ints
    read_row: Longs
    odd: dict[str, NDArray[np.integer]]
    ambiguous: Ints


class Groups(NamedTuple):
    """The micro-operations of one transaction on one key, one group after the other, each in its order.

    Attributes:
        row: rows of the micro-operations.
        code: of each, a number of its group.
        begin: of each, the place in ``row`` of the first one of its group.
    """

    row: Longs
    code: Longs
    begin: Longs


def groups_of(ops: MicroOps, rows: Longs) -> Groups:
    """Group these rows."""
    code = ops.txn[rows].astype(np.int64) * len(ops.keys) + ops.key[rows]
    order = np.argsort(code, kind="stable")
    code = code[order]
    return Groups(rows[order], code, last_where(first_of_each(code)))


def committed_of(status: NDArray[np.int8], reader: Ints, writer: Ints) -> Mask:
    """Which transactions count: ok ones, and info ones of which a transaction that counts saw a write.

    Args:
        status: of each transaction.
        reader: who saw something, one entry for each thing seen.
        writer: who wrote it, NONE where nobody did.
    """
    committed = status == OK_CODE
    matters = (writer >= 0) & (status[writer] == INFO_CODE)
    reader, writer = reader[matters], writer[matters]
    while True:
        shown = writer[committed[reader] & ~committed[writer]]
        if not len(shown):
            return committed
        committed[shown] = True


def several(what: Longs) -> list[Longs]:
    """The places of what occurs several times, those of one thing together, in the order of first appearance."""
    order = np.argsort(what, kind="stable")
    ordered = what[order]
    same = np.zeros(len(order) + 1, bool)
    same[1:-1] = ordered[1:] == ordered[:-1]
    kept = np.flatnonzero(same[:-1] | same[1:])
    if not len(kept):
        return []
    bounds = np.flatnonzero(np.diff(ordered[kept])) + 1
    return sorted(np.split(order[kept], bounds), key=lambda places: int(places[0]))


def ambiguous_of(written: Written) -> Ints:
    """Writes that wrote again what was written to the key before, and was read."""
    if not len(written.twice):
        return written.twice
    was_seen = np.zeros(len(written.row), bool)
    was_seen[written.seen[written.seen >= 0]] = True
    first = written.twice.copy()
    while True:
        earlier = first - 1
        same = (first > 0) & (written.key[earlier] == written.key[first])
        same &= written.value[earlier] == written.value[first]
        if not same.any():
            return written.twice[was_seen[first]]
        first[same] -= 1


def without_circles(parent: Ints) -> tuple[Ints, list[list[int]]]:
    """Cut the circles out of a forest.

    Returns:
        The parents, NONE for those in a circle; and the circles, each from a version to its child and so on.
    """
    reach = parent.copy()
    for _ in range(max(len(parent).bit_length(), 1)):
        going = reach >= 0
        if not going.any():
            return parent, []
        reach[going] = reach[reach[going]]
    parent = parent.copy()
    circles = []
    passed: set[int] = set()
    for start in np.flatnonzero(reach >= 0).tolist():
        path: list[int] = []
        at = start
        while at not in passed and at != NONE:
            passed.add(at)
            path.append(at)
            at = int(parent[at])
        if at in path:
            circles.append(path[path.index(at) :][::-1])
    for circle in circles:
        parent[circle] = NONE
    return parent, circles
