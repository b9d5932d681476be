"""The longest list of each key, against which all reads are held.

A list that is read shows all that had been appended until then, in order. So of two reads of one key one is a beginning
of the other, and the longest tells the order of all elements that anybody saw. Where two reads diverge, only what all
of them begin with is trusted.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from checkers.arrays import running_total
from checkers.graph.dsg import Ints
from checkers.txn.columns import DIVERGING, ELEMENT, READ, RECORDED
from checkers.txn.micro_ops import Longs, Mask, MicroOps

Codes = NDArray[np.int8]


class Timelines(NamedTuple):
    """Elements of all keys in one array, those of one key together, in their order.

    Attributes:
        element: row of each element among the micro-operations.
        key: of each element.
        start: of each key, where its elements begin; m + 1 entries.
        trusted: of each key, how many elements all reads agree on.
    """

    element: Ints
    key: Ints
    start: Longs
    trusted: Longs


class Lists(NamedTuple):
    """What was read.

    Attributes:
        what: of each row, as in the columns; what was ``RECORDED`` by transactions that count has become ``READ`` or
            ``DIVERGING``.
        common: of each row that diverges, how many elements it has in common with the timeline; else 0.
        tail: of each row that diverges, the rows of its other elements: from this row on ...
        tail_end: ... to before this one.
        timelines: of all keys.
    """

    what: Codes
    common: Ints
    tail: Ints
    tail_end: Ints
    timelines: Timelines

    def elements(self, ops: MicroOps, row: int) -> Longs:
        """The rows of the elements of a list that was read."""
        key, length = int(ops.key[row]), int(ops.value[row])
        start = int(self.timelines.start[key])
        if self.what[row] == READ:
            return self.timelines.element[start : start + length]
        own = np.arange(self.tail[row], self.tail_end[row])
        return np.concatenate((self.timelines.element[start : start + int(self.common[row])], own))


def lists_of(ops: MicroOps, committed: Mask) -> Lists:
    """Put together what was read."""
    rows = np.arange(len(ops.what), dtype=np.int32)
    is_element = ops.what == ELEMENT
    heads = np.flatnonzero(~is_element).astype(np.int32)
    tail_end = np.zeros(len(rows), np.int32)
    tail_end[heads] = np.append(heads[1:], len(rows))
    head = heads[np.cumsum(~is_element, dtype=np.int32) - 1]
    extending = np.flatnonzero(is_element & (ops.what[head] == READ)).astype(np.int32)
    what, common, tail = ops.what.copy(), np.zeros(len(rows), np.int32), rows + 1
    diverging = np.flatnonzero(what == DIVERGING)
    common[diverging] = ops.value[diverging] - (tail_end[diverging] - tail[diverging])

    recorded = np.flatnonzero((ops.what == RECORDED) & committed[ops.txn])
    if len(recorded):
        extending = _settle(recorded, ops, extending, (what, common, tail, tail_end))
    order = np.argsort(ops.key[extending], kind="stable")
    element = extending[order]
    start = running_total(np.bincount(ops.key[element], minlength=len(ops.keys)))
    trusted = np.diff(start)
    diverging = np.flatnonzero((what == DIVERGING) & committed[ops.txn])
    np.minimum.at(trusted, ops.key[diverging], common[diverging])
    return Lists(what, common, tail, tail_end, Timelines(element, ops.key[element], start, trusted))


def _settle(recorded: Longs, ops: MicroOps, extending: Ints, into: tuple[Codes, Ints, Ints, Ints]) -> Ints:
    """Hold what operations of unknown outcome have read against the longest lists, which they may extend.

    Returns:
        The elements that make up the longest lists, in order.
    """
    what, common, tail, tail_end = into
    concerned = np.zeros(len(ops.keys), bool)
    concerned[ops.key[recorded]] = True
    longest: dict[int, list[int]] = {}
    some = extending[concerned[ops.key[extending]]]
    for key, value in zip(ops.key[some].tolist(), ops.value[some].tolist(), strict=True):
        longest.setdefault(key, []).append(value)
    more = []
    for row in recorded.tolist():
        key = int(ops.key[row])
        known = longest.setdefault(key, [])
        given = ops.value[row + 1 : tail_end[row]].tolist()
        pairs = zip(known, given, strict=False)
        alike = next((at for at, (one, other) in enumerate(pairs) if one != other), min(len(known), len(given)))
        if alike == min(len(known), len(given)):
            what[row] = READ
            more += range(row + 1 + alike, row + 1 + len(given))
            known += given[alike:]
        else:
            what[row] = DIVERGING
            common[row] = alike
            tail[row] = row + 1 + alike
    return np.concatenate((extending, np.array(more, np.int32)))
