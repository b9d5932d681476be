"""The causal order of operations on registers whose observed values have one writer each, as vector clocks.

One operation comes causally before another if its process did it earlier, or it wrote what the other observed, or by a
chain of such steps. A clock says of each process how many of its operations come before. It changes only where an
operation observes what another process wrote; so a row is kept for these, and all between share it. Memory: four bytes
for each of these and each process.
"""

from __future__ import annotations

import time
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from checkers.register.operations import NOBODY, Ints, Operations, Sources

_CELLS: Final = 1 << 27  # half a gigabyte
_LOOKS: Final = 1 << 14  # operations between two looks at the clock


class TooMuch(Exception):
    """There is not enough time or memory."""


class Place(NamedTuple):
    """Where each operation stands.

    Attributes:
        process: dense numbers from 0.
        turn: its place in its process, from 1.
        previous: the operation of its process before it, or -1.
        writer: who wrote what it observed, or -1: nobody, or the beginning of the key.
        processes: how many.
    """

    process: Ints
    turn: Ints
    previous: Ints
    writer: Ints
    processes: int


def places(ops: Operations, found: Sources) -> Place:
    """Find them; operations are in the order of their invocations, so those of a process are in its order."""
    n = len(ops.kind)
    names, process = np.unique(ops.process, return_inverse=True)
    order = np.argsort(process, kind="stable")
    starts = np.searchsorted(process[order], np.arange(len(names)))
    index = np.empty(n, np.int64)
    index[order] = np.arange(n) - starts[process[order]] + 1
    previous = np.full(n, -1, np.int64)
    previous[order[1:]] = order[:-1]
    previous[index == 1] = -1
    writer = np.where(found.writer < n, found.writer, NOBODY)
    return Place(process.astype(np.int64), index, previous, writer, len(names))


def in_order(place: Place) -> tuple[list[int], list[int]]:
    """The operations in an order that respects the causal one; and if it is circular, those of a circle."""
    n = len(place.turn)
    following = np.full(n, -1, np.int64)
    has = place.previous >= 0
    following[place.previous[has]] = np.flatnonzero(has)
    after, writer = following.tolist(), place.writer.tolist()
    ready = np.flatnonzero(~has).tolist()[::-1]
    done = bytearray(n)
    waiting: dict[int, list[int]] = {}
    order: list[int] = []
    while ready:
        at = ready.pop()
        while at >= 0:
            source = writer[at]
            if source >= 0 and not done[source]:
                waiting.setdefault(source, []).append(at)
                break
            done[at] = 1
            order.append(at)
            if at in waiting:
                ready += waiting.pop(at)
            at = after[at]
    return order, [] if len(order) == n else _circle(place, done)


def _circle(place: Place, done: bytearray) -> list[int]:
    """Back from an operation that waits, always to one that waits too, until one comes again."""
    at = next(at for at in range(len(done)) if not done[at])
    path: dict[int, None] = {}
    while at not in path:
        path[at] = None
        writer = int(place.writer[at])
        at = writer if writer >= 0 and not done[writer] else int(place.previous[at])
    walk = list(path)
    return walk[walk.index(at) :][::-1]


class Clocks:
    """What comes before what."""

    def __init__(self, place: Place, order: list[int], deadline: float) -> None:
        """Go through the operations in ``order``.

        Raises:
            TooMuch: the deadline passed, or there are too many processes for so many operations.
        """
        self.place = place
        process, writer = place.process, place.writer
        merges = (writer >= 0) & (process[np.maximum(writer, 0)] != process)
        by_process = np.lexsort((place.turn, process))
        rank = np.cumsum(merges[by_process])
        starts = np.searchsorted(process[by_process], np.arange(place.processes))
        before = rank - merges[by_process]
        base = before[starts][process[by_process]] if len(rank) else rank
        # Row 0 is the beginning of all; an operation before the first merge of its process has it too.
        self._row = np.zeros(len(process), np.int64)
        self._row[by_process] = np.where(rank > base, rank, 0)
        rows = int(merges.sum()) + 1
        if rows * place.processes > _CELLS:
            raise TooMuch
        self._table = np.zeros((rows, place.processes), np.int32)
        self._fill(order, merges, deadline)

    def _fill(self, order: list[int], merges: NDArray[np.bool_], deadline: float) -> None:
        place = self.place
        taken = np.array(order, np.int64)
        taken = taken[merges[taken]]
        source = place.writer[taken]
        own_before = np.where(place.previous[taken] >= 0, self._row[np.maximum(place.previous[taken], 0)], 0)
        columns = (
            self._row[taken], own_before, self._row[source], place.process[source], place.turn[source]
        )  # fmt: skip
        table, maximum = self._table, np.maximum
        steps = zip(*(column.tolist() for column in columns), strict=True)
        for step, (row, left, right, process, index) in enumerate(steps):
            if step % _LOOKS == 0 and time.monotonic() > deadline:
                raise TooMuch
            own = table[row]
            maximum(table[left], table[right], out=own)
            own[process] = max(own[process], index)

    def at(self, ops: Any, process: Any) -> Ints:
        """How many operations of ``process`` come before each of ``ops``, itself counted."""
        own = self.place.process[ops] == process
        return np.where(own, self.place.turn[ops], self._table[self._row[ops], process])

    def before(self, first: Any, second: Any) -> NDArray[np.bool_]:
        """Whether each of ``first`` comes before that of ``second``."""
        index, process = self.place.turn[first], self.place.process[first]
        return (self.at(second, process) >= index) & (first != second)


class Latest:
    """Of some operations: which was the latest of a process and a key, up to an index."""

    def __init__(self, ops: Operations, place: Place, chosen: Ints) -> None:
        self._stride = int(place.turn.max(initial=0)) + 1
        self._keys = len(ops.initial)
        code = (place.process[chosen] * self._keys + ops.key[chosen]) * self._stride + place.turn[chosen]
        order = np.argsort(code, kind="stable")
        self.sorted = chosen[order]
        self._code = code[order]

    def find(self, process: Any, key: Ints, index: Ints) -> Ints:
        """Places in ``sorted``, or -1 where there is none."""
        group = (process * self._keys + key) * self._stride
        if not len(self._code):
            return np.full(len(key), -1, np.int64)
        at = np.searchsorted(self._code, group + index, side="right") - 1
        return np.where((at >= 0) & (self._code[np.maximum(at, 0)] > group), at, -1)

    def operation(self, at: Ints) -> Ints:
        """The operations at these places, whatever stands there where there is none."""
        return self.sorted[at] if len(self.sorted) else at
