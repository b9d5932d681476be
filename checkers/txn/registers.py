"""From an rw-register history to versions and external reads.

The version that a transaction installs is its last write to a key. Where it had read the key before, it replaced the
version that it read (write follows read); other places in the order of versions stay open. Only the first read of a
key, before any write of its own, is external; what comes later must agree with it (axiom INT of Cerone, Bernardi and
Gotsman, *A Framework for Transactional Consistency Models with Atomic Visibility*, 2015).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from checkers.arrays import last_of_each
from checkers.graph.dsg import NONE, Ints, Versions
from checkers.txn.columns import READ, WRITE
from checkers.txn.facts import (
    Facts,
    Groups,
    ambiguous_of,
    committed_of,
    groups_of,
    several,
    without_circles,
)
from checkers.txn.micro_ops import Longs, Mask, MicroOps, Transactions, Written, micro_ops_of, transactions_of, written
from harness.columns import FAIL_CODE
from harness.names import NIL


class RegisterFacts(NamedTuple):
    """What is known of registers.

    Attributes:
        facts: as of all transactions. ``odd`` has rows that are reads; of ``internal`` also the row that they
            contradict.
        lost: lost updates: versions that replaced the same one, each a list.
        circles: versions that replaced each other in a circle.
    """

    facts: Facts
    lost: list[list[int]]
    circles: list[list[int]]


class _Installed(NamedTuple):
    writer: Ints
    key: Ints
    write: Ints
    of_write: Ints  # of each write, the version that it installed, or NONE
    place: Longs  # of each but the initial ones, the place of its write in the groups


class _Reads(NamedTuple):
    version: Ints  # of each micro-operation in the groups, the version that it read, or NONE
    internal: Mask  # it contradicts the one before it
    odd: dict[str, NDArray[np.integer]]


def register_facts(history: Any) -> RegisterFacts:
    """Read a history with the columns of ``RegisterEncoder``."""
    txns = transactions_of(history)
    ops = micro_ops_of(history, txns)
    is_read = ops.what == READ
    wrote = written(ops, txns.status, is_read & (ops.value != NIL))
    shown = np.flatnonzero(wrote.seen >= 0)
    committed = committed_of(txns.status, ops.txn[shown], wrote.txn[wrote.seen[shown]])

    groups = groups_of(ops, np.flatnonzero(committed[ops.txn] & (is_read | (ops.what == WRITE))))
    installed = _installed(ops, wrote, groups)
    reads = _reads(ops, txns, wrote, groups, installed)
    first = groups.begin == np.arange(len(groups.row))
    external = np.flatnonzero((reads.version >= 0) & (first | reads.internal))
    replaced = np.where(first, reads.version, NONE)[groups.begin[installed.place]]
    parent = np.concatenate((np.full(len(ops.keys), NONE, np.int32), replaced.astype(np.int32)))
    parent, circles = without_circles(parent)
    children = np.flatnonzero(parent >= 0)
    lost = [children[places].tolist() for places in several(parent[children].astype(np.int64))]
    facts = Facts(
        txns,
        ops,
        wrote,
        committed,
        Versions(installed.writer, parent),
        installed.key,
        installed.write,
        ops.txn[groups.row[external]],
        reads.version[external],
        groups.row[external],
        reads.odd,
        ambiguous_of(wrote),
    )
    return RegisterFacts(facts, lost, circles)


def _installed(ops: MicroOps, wrote: Written, groups: Groups) -> _Installed:
    """The initial versions, and the last write of each group."""
    m = len(ops.keys)
    writes = np.flatnonzero(ops.what[groups.row] == WRITE)
    last = writes[last_of_each(groups.code[writes])]
    write = wrote.of_row[groups.row[last]]
    of_write = np.full(len(wrote.row), NONE, np.int32)
    of_write[write] = np.arange(m, m + len(write), dtype=np.int32)
    initial = np.full(m, NONE, np.int32)
    return _Installed(
        np.concatenate((initial, wrote.txn[write])),
        np.concatenate((np.arange(m, dtype=np.int32), wrote.key[write])),
        np.concatenate((initial, write)),
        of_write,
        last,
    )


def _reads(ops: MicroOps, txns: Transactions, wrote: Written, groups: Groups, installed: _Installed) -> _Reads:
    """What each of them read, and what is odd about it."""
    row = groups.row
    is_read = ops.what[row] == READ
    value, seen, reader = ops.value[row], wrote.seen[row], ops.txn[row]
    found = np.where(seen >= 0, installed.of_write[seen], NONE) if len(wrote.row) else seen
    version = np.where(is_read & (value == NIL), ops.key[row], np.where(is_read, found, NONE)).astype(np.int32)
    writer = np.where(seen >= 0, wrote.txn[seen], NONE) if len(wrote.row) else seen
    own = is_read & (seen >= 0) & (writer == reader)
    version[own] = NONE

    internal = np.zeros(len(row), bool)
    internal[1:] = is_read[1:] & (groups.code[1:] == groups.code[:-1]) & (value[1:] != value[:-1])
    garbage = is_read & (seen < 0) & (value != NIL)
    aborted = is_read & (seen >= 0) & (txns.status[writer] == FAIL_CODE)
    intermediate = is_read & (seen >= 0) & (version < 0) & ~own & ~aborted
    future = own & (wrote.row[seen] > row) if len(wrote.row) else own
    odd: dict[str, NDArray[np.integer]] = {
        "G1a": np.sort(row[aborted]),
        "G1b": np.sort(row[intermediate]),
        "garbage-read": np.sort(row[garbage]),
        "future-read": np.sort(row[future]),
        "internal": _pairs(row, np.flatnonzero(internal)),
    }
    return _Reads(version, internal, odd)


def _pairs(row: Longs, at: Longs) -> Longs:
    """Each of these rows, and the one before it."""
    return np.stack((row[at], row[at - 1]), axis=1)
