"""What is odd about lists without any cycle: in single reads, and inside single transactions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from checkers.arrays import first_of_each, last_where, next_where, ranges, running_total
from checkers.graph.dsg import NONE, Ints
from checkers.txn.columns import DIVERGING, ELEMENT, READ, WRITE
from checkers.txn.facts import Groups
from checkers.txn.micro_ops import Longs, Mask, MicroOps, Transactions, Written
from checkers.txn.timeline import Lists
from harness.columns import FAIL_CODE

Odd = dict[str, NDArray[np.integer]]


class Reads(NamedTuple):
    """What reads have shown, and all that they can be held against.

    Attributes:
        txns: the transactions.
        ops: their micro-operations.
        wrote: all that was written.
        committed: which transactions count.
        lists: what was read.
        groups: the micro-operations of transactions that count, by transaction and key.
        first: of each write, the place of its element in the timelines, or NONE.
        kept: of each place in the timelines, whether it is part of a version.
        intermediate: of each write, whether its transaction appended to the key again.
    """

    txns: Transactions
    ops: MicroOps
    wrote: Written
    committed: Mask
    lists: Lists
    groups: Groups
    first: Ints
    kept: Mask
    intermediate: Mask


def odd_lists(here: Reads) -> Odd:
    """Lists that cannot be, as rows of reads; ``dirty-update`` and ``own-order`` as pairs of rows."""
    ops, wrote, lists, line = here.ops, here.wrote, here.lists, here.lists.timelines
    counted = here.committed[ops.txn]
    seen = wrote.seen
    is_element = ops.what == ELEMENT
    writer = np.where(seen >= 0, wrote.txn[seen], NONE) if len(wrote.row) else seen
    failed = is_element & (seen >= 0) & (here.txns.status[writer] == FAIL_CODE)
    garbage = is_element & (seen < 0)
    diverging = np.flatnonzero((lists.what == DIVERGING) & counted)
    return {
        "G1a": _showing(here, failed, diverging),
        "G1b": _intermediate_reads(here, diverging),
        "garbage-read": _showing(here, garbage, diverging),
        "duplicate-elements": _showing(here, _duplicates(here, diverging), diverging),
        "incompatible-order": diverging,
        "own-order": _own_order(here),
        "dirty-update": _dirty(here, failed[line.element]),
    }


def _showing(here: Reads, odd: Mask, diverging: Longs) -> Longs:
    """Reads of transactions that count in which one of these elements is."""
    if not odd.any():
        return np.zeros(0, np.int64)
    ops, lists, line = here.ops, here.lists, here.lists.timelines
    none = len(line.element) + 1
    earliest = np.full(len(ops.keys), none, np.int64)
    at = np.flatnonzero(odd[line.element])
    np.minimum.at(earliest, line.key[at], at - line.start[line.key[at]])
    rows = np.flatnonzero((lists.what == READ) & here.committed[ops.txn])
    found = rows[ops.value[rows] > earliest[ops.key[rows]]]
    among = lists.common[diverging] > earliest[ops.key[diverging]]
    before = running_total(odd)
    among |= before[lists.tail_end[diverging]] > before[lists.tail[diverging]]
    return np.sort(np.concatenate((found, diverging[among])))


def _duplicates(here: Reads, diverging: Longs) -> Mask:
    """Elements that were in their list before."""
    lists, line = here.lists, here.lists.timelines
    odd = np.zeros(len(here.ops.what), bool)
    write = here.wrote.seen[line.element]
    there = np.flatnonzero(write >= 0)
    odd[line.element[there]] = here.first[write[there]] != there
    count = (lists.tail_end - lists.tail)[diverging]
    head = np.repeat(diverging, count)
    own = ranges(lists.tail[diverging], count)
    write = here.wrote.seen[own]
    known = write >= 0
    head, own, write = head[known], own[known], write[known]
    shared = here.first[write]
    odd[own] = (shared >= 0) & (shared - line.start[here.ops.key[head]] < lists.common[head])
    code = head * len(here.wrote.row) + write
    order = np.argsort(code, kind="stable")
    odd[own[order[~first_of_each(code[order])]]] = True
    return odd


def _intermediate_reads(here: Reads, diverging: Longs) -> Longs:
    """Reads that end with what another transaction appended before it was done with the key."""
    if not here.intermediate.any():
        return np.zeros(0, np.int64)
    ops, lists, line = here.ops, here.lists, here.lists.timelines
    rows = np.flatnonzero((lists.what == READ) & here.committed[ops.txn] & (ops.value > 0))
    end = line.element[line.start[ops.key[rows]] + ops.value[rows] - 1]
    rows = np.concatenate((rows, diverging))
    write = here.wrote.seen[np.concatenate((end, lists.tail_end[diverging] - 1))]
    odd = write >= 0
    odd[odd] = here.intermediate[write[odd]] & (here.wrote.txn[write[odd]] != ops.txn[rows[odd]])
    return np.sort(rows[odd])


def _own_order(here: Reads) -> Longs:
    """Two appends of one transaction to one key, the later of which was seen before the earlier one, or without it."""
    ops, groups = here.ops, here.groups
    writes = np.flatnonzero(ops.what[groups.row] == WRITE)
    one, other = writes[:-1], writes[1:]
    same = groups.code[one] == groups.code[other]
    one, other = groups.row[one[same]], groups.row[other[same]]
    of_row = here.wrote.of_row
    earlier, later = here.first[of_row[one]], here.first[of_row[other]]
    odd = (later >= 0) & ((earlier < 0) | (earlier > later))
    return np.stack((one[odd], other[odd]), axis=1)


def _dirty(here: Reads, failed: Mask) -> Longs:
    """Elements of transactions that failed, and the next one of a transaction that counts."""
    line = here.lists.timelines
    if not failed.any():
        return np.zeros((0, 2), np.int64)
    following = next_where(here.kept)
    at = np.flatnonzero(failed)
    at = at[following[at] < len(failed)]
    at = at[line.key[at] == line.key[following[at]]]
    _, first = np.unique(following[at], return_index=True)
    at = at[first]
    return np.stack((line.element[at], line.element[following[at]]), axis=1)


def odd_groups(here: Reads) -> tuple[Odd, Longs]:
    """What is odd inside transactions, as rows of reads; and reads that contradict their own transaction.

    The latter show what others wrote, if they show nothing else.
    """
    internal: list[int] = []
    future: list[int] = []
    for rows in _suspicious(here):
        for name, row, _ in contradictions(rows.tolist(), here.ops, here.lists):
            (internal if name == "internal" else future).append(row)
    internal.sort()
    future.sort()
    contradicting = np.array(internal, np.int64)
    plain = contradicting[here.lists.what[contradicting] == READ]
    return {"internal": contradicting, "future-read": np.array(future, np.int64)}, plain


def _suspicious(here: Reads) -> Iterator[Longs]:
    """The groups that a look at lengths and places does not clear; all that are odd are among them."""
    groups, ops, lists, line = here.groups, here.ops, here.lists, here.lists.timelines
    sizes = np.bincount(groups.begin, minlength=1)
    some = np.flatnonzero(sizes[groups.begin] > 1)
    if not len(some):
        return
    row, code = groups.row[some], groups.code[some]
    key, length = ops.key[row], ops.value[row]
    is_write = lists.what[row] == WRITE
    appended = np.cumsum(is_write) - is_write  # before each, in all groups
    last_read = last_where(~is_write)
    previous = np.concatenate((np.full(1, NONE), last_read[:-1]))
    previous[(previous < 0) | (code[previous] != code)] = NONE
    following = next_where(~is_write)
    following[following == len(row)] = NONE
    following[(following < 0) | (code[following] != code)] = NONE

    of_row = here.wrote.of_row
    odd = lists.what[row] == DIVERGING
    again = np.flatnonzero(~is_write & (previous >= 0))
    before = previous[again]
    odd[again] |= length[again] != length[before] + appended[again] - appended[before]
    # Each append should stand where the next read must show it, and not in what was read before.
    at = np.flatnonzero(is_write & (following >= 0))
    due = length[following[at]] - (appended[following[at]] - appended[at])
    fits = due >= 0
    shown = np.minimum(line.start[key[at[fits]]] + due[fits], len(line.element) - 1)
    fits[fits] = here.wrote.seen[line.element[shown]] == of_row[row[at[fits]]]
    odd[at] |= ~fits
    at = np.flatnonzero(is_write & (previous >= 0))
    place = here.first[of_row[row[at]]]
    odd[at] |= (place >= 0) & (place - line.start[key[at]] < length[previous[at]])
    bad = np.unique(code[odd])
    for begin, end in zip(np.searchsorted(code, bad), np.searchsorted(code, bad, "right"), strict=True):
        yield row[begin:end]


def contradictions(rows: list[int], ops: MicroOps, lists: Lists) -> Iterator[tuple[str, int, list[int]]]:
    """Walk through what one transaction did to one key.

    Yields:
        ``internal``, the row of a read, and what it should have shown: all, or the end if nothing was read before;
        ``future-read``, the row of a read, and the element that its transaction appended only later.
    """
    expected: list[int] | None = None
    whole = False
    reads: list[tuple[int, set[int]]] = []
    for row in rows:
        if lists.what[row] == WRITE:
            value = int(ops.value[row])
            yield from [("future-read", read, [value]) for read, seen in reads if value in seen][:1]
            expected = [*(expected or []), value]
            continue
        given = ops.value[lists.elements(ops, row)].tolist()
        if expected is not None and (given if whole else given[-len(expected) :]) != expected:
            yield "internal", row, expected
        expected, whole = given, True
        reads.append((row, set(given)))
