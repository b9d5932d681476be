"""From a list-append history to versions and external reads.

Of each key the timeline tells the order of versions: what a transaction appended without another's element in between
is one version. What nobody saw comes after all that somebody saw, in an order that stays open.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from checkers.arrays import first_of_each, last_of_each, last_where
from checkers.graph.dsg import NONE, Ints, Versions
from checkers.txn.append_anomalies import Reads, odd_groups, odd_lists
from checkers.txn.columns import DIVERGING, ELEMENT, READ, WRITE
from checkers.txn.facts import Facts, Groups, ambiguous_of, committed_of, groups_of, several
from checkers.txn.micro_ops import Longs, Mask, MicroOps, Written, micro_ops_of, transactions_of, written
from checkers.txn.timeline import Lists, lists_of


class AppendFacts(NamedTuple):
    """What is known of lists.

    Attributes:
        facts: as of all transactions.
        lists: what was read.
        lost: lost updates: rows of the reads of transactions that read the same list and appended to it, each a list.
    """

    facts: Facts
    lists: Lists
    lost: list[Longs]


class _Placed(NamedTuple):
    """Versions whose place is known, the initial ones first."""

    writer: Ints
    parent: Ints
    key: Ints
    last: Ints  # the last write in each
    newest: Ints  # of each key, the last version


class _Chain(NamedTuple):
    """The timelines' elements as versions.

    Attributes:
        shown: of each element, the version that a list which ends with it shows, or NONE.
        first: of each write, the place of its element in the timelines, or NONE.
        kept: of each element, whether it is part of a version that is placed.
    """

    shown: Ints
    first: Ints
    kept: Mask


def append_facts(history: Any) -> AppendFacts:
    """Read a history with the columns of ``ListAppendEncoder``."""
    txns = transactions_of(history)
    ops = micro_ops_of(history, txns)
    wrote = written(ops, txns.status, ops.what == ELEMENT)
    visible = np.flatnonzero(wrote.seen >= 0)
    committed = committed_of(txns.status, ops.txn[visible], wrote.txn[wrote.seen[visible]])
    lists = lists_of(ops, committed)
    acts = (lists.what == WRITE) | (lists.what == READ) | (lists.what == DIVERGING)
    groups = groups_of(ops, np.flatnonzero(acts & committed[ops.txn]))

    versions, key, last, chain = _versions(ops, wrote, committed, lists)
    intermediate = _intermediate(ops, wrote, groups)
    context = Reads(txns, ops, wrote, committed, lists, groups, chain.first, chain.kept, intermediate)
    odd = odd_lists(context)
    inside, seen_inside = odd_groups(context)
    read_row, read_version = _external_reads(ops, lists, groups, chain, seen_inside)
    own = versions.writer[read_version] == ops.txn[read_row]
    facts = Facts(
        txns,
        ops,
        wrote,
        committed,
        versions,
        key,
        last,
        ops.txn[read_row[~own]],
        read_version[~own],
        read_row[~own],
        odd | inside,
        ambiguous_of(wrote),
    )
    return AppendFacts(facts, lists, _lost(ops, lists, groups))


def _versions(ops: MicroOps, wrote: Written, committed: Mask, lists: Lists) -> tuple[Versions, Ints, Ints, _Chain]:
    """The versions, of each its key and its last write, and what lists show of them."""
    line = lists.timelines
    write = wrote.seen[line.element]
    places = np.arange(len(write), dtype=np.int32)
    first = np.full(len(wrote.row), NONE, np.int32)
    there = np.flatnonzero(write >= 0)[::-1]
    first[write[there]] = there
    trusted = places - line.start[line.key] < line.trusted[line.key]
    kept = trusted & (write >= 0)
    kept[kept] = committed[wrote.txn[write[kept]]] & (first[write[kept]] == places[kept])

    at = np.flatnonzero(kept)
    placed, number = _placed(line.key[at], wrote.txn[write[at]], write[at], len(ops.keys))
    of_write = np.full(len(wrote.row), NONE, np.int32)
    of_write[write[at]] = number
    open_writes = np.flatnonzero(committed[wrote.txn] & (of_write < 0))
    further = _unplaced(wrote, open_writes, placed, of_write)

    shown = np.full(len(places), NONE, np.int32)
    shown[at] = number
    # What is not part of a version shows the one before it; where nothing is trusted, its own.
    before = last_where(kept)
    inside = np.flatnonzero(trusted & ~kept)
    has = before[inside] >= line.start[line.key[inside]]
    shown[inside] = np.where(has, shown[before[inside]], line.key[inside])
    outside = np.flatnonzero(~trusted & (write >= 0))
    shown[outside] = of_write[write[outside]]

    parent = np.concatenate((placed.parent, np.full(len(further), NONE, np.int32)))
    versions = Versions(np.concatenate((placed.writer, wrote.txn[further])), parent)
    key = np.concatenate((placed.key, wrote.key[further]))
    return versions, key, np.concatenate((placed.last, further)), _Chain(shown, first, kept)


def _placed(key: Ints, writer: Ints, write: Ints, m: int) -> tuple[_Placed, Ints]:
    """The initial versions and those of these elements, which stand in the order of their keys' timelines.

    Returns:
        The versions, and of each element the version that it is in.
    """
    begins = first_of_each(key, writer)
    number = (m - 1 + np.cumsum(begins)).astype(np.int32)
    own_key = key[begins]
    parent = np.arange(m - 1, m - 1 + len(own_key), dtype=np.int32)
    opens = first_of_each(own_key)
    parent[opens] = own_key[opens]
    keys = np.arange(m, dtype=np.int32)
    newest = keys.copy()
    newest[own_key] = np.arange(m, m + len(own_key), dtype=np.int32)
    initial = np.full(m, NONE, np.int32)
    placed = _Placed(
        np.concatenate((initial, writer[begins])),
        np.concatenate((initial, parent)),
        np.concatenate((keys, own_key)),
        np.concatenate((initial, write[last_of_each(number)])),
        newest,
    )
    return placed, number


def _unplaced(wrote: Written, writes: Longs, placed: _Placed, of_write: Ints) -> Ints:
    """The last write of each version whose place is open; enters the versions of all these writes into ``of_write``.

    What a transaction appended right after the last element that was seen, which is its own too, belongs to that
    version.
    """
    tail = placed.newest[wrote.key[writes]]
    same = placed.writer[tail] == wrote.txn[writes]
    same[same] = wrote.row[placed.last[tail[same]]] < wrote.row[writes[same]]
    of_write[writes[same]] = tail[same]
    rest = writes[~same]
    rest = rest[np.argsort(wrote.row[rest], kind="stable")]
    code = wrote.txn[rest].astype(np.int64) * len(placed.newest) + wrote.key[rest]
    order = np.argsort(code, kind="stable")
    ends = last_of_each(code[order])
    number = len(placed.writer) + np.cumsum(ends) - ends
    of_write[rest[order]] = number
    return rest[order[ends]].astype(np.int32)


def _intermediate(ops: MicroOps, wrote: Written, groups: Groups) -> Mask:
    """Of each write, whether its transaction appended to the same key again."""
    writes = np.flatnonzero(ops.what[groups.row] == WRITE)
    found = np.zeros(len(ops.what), bool)
    found[groups.row[writes[~last_of_each(groups.code[writes])]]] = True
    return found[wrote.row]


def _external_reads(
    ops: MicroOps, lists: Lists, groups: Groups, chain: _Chain, seen_inside: Longs
) -> tuple[Longs, Ints]:
    """Rows of external reads that are no divergence, and the version that each shows."""
    row = groups.row[groups.begin == np.arange(len(groups.row))]
    row = np.concatenate((row[lists.what[row] == READ], seen_inside))
    length, key = ops.value[row], ops.key[row]
    version = key.copy()
    some = np.flatnonzero(length > 0)
    version[some] = chain.shown[lists.timelines.start[key[some]] + length[some] - 1]
    return row[version >= 0], version[version >= 0]


def _lost(ops: MicroOps, lists: Lists, groups: Groups) -> list[Longs]:
    writes = np.flatnonzero(ops.what[groups.row] == WRITE)
    begin = groups.begin[writes]
    first = begin[last_of_each(begin)]
    read: NDArray[np.int64] = groups.row[first]
    read = read[lists.what[read] == READ]
    place = lists.timelines.start[ops.key[read]] + ops.key[read] + ops.value[read]
    count = np.bincount(place, minlength=1)
    some = count[place] > 1
    read, place = read[some], place[some]
    return sorted((read[same] for same in several(place)), key=lambda rows: int(rows[0]))
