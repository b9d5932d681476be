"""The four session guarantees of registers whose observed values have one writer each.

Terry and others (*Session guarantees for weakly consistent replicated data*, 1994) say of each guarantee what a server
must have seen before it may answer. Here, as Jepsen words them, what a read must reflect:

- read your writes: what its process wrote before;
- monotonic reads: what its process had read before;
- monotonic writes: where its process has read w, all that w's process wrote before w ("all observe w1 before w2");
- writes follow reads: where its process has read w, all that w's process had read before w.

A guarantee is kept if for every read the writes can be put in an order that extends the causal one, so that of those to
its key among the one that it saw and those that it must reflect, the one that it saw is the last. Such an order exists
unless one that must be reflected comes causally after the one that was seen; the beginning of a key comes before all
writes. A cas reads what it expects, and then writes.

All that must be reflected comes causally before the read, so causal consistency implies all four. They are checked on
their own: a history may break one and keep another. (Viotti and Vukolić, *Consistency in non-transactional distributed
storage systems*, 2016, ask for one order of all writes that fits all reads at once, which CC does not.) What nobody
wrote is left out: it has no place in any order.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from checkers.arrays import first_of_each
from checkers.models import MONOTONIC_READS, MONOTONIC_WRITES, READ_YOUR_WRITES, WRITES_FOLLOW_READS
from checkers.register.causal import Misses, observers, older
from checkers.register.causal_order import Clocks, Latest, TooMuch
from checkers.register.columns import READ
from checkers.register.operations import Bools, Ints, Operations, Sources


def session_misses(ops: Operations, found: Sources, clocks: Clocks, deadline: float) -> dict[str, Misses]:
    """Of each guarantee the observers that break it.

    ``missed`` is a write that must be reflected, of monotonic reads and writes follow reads an operation that observed
    one that must be.

    Raises:
        TooMuch: the deadline has passed.
    """
    return _Check(ops, found, clocks, deadline).all()


class _Check:
    def __init__(self, ops: Operations, found: Sources, clocks: Clocks, deadline: float) -> None:
        self._ops, self._clocks, self._deadline = ops, clocks, deadline
        self._place = place = clocks.place
        self._reads = Latest(ops, place, observers(ops, found))
        self._writes = Latest(ops, place, np.flatnonzero(ops.kind != READ))
        # Observers by process, key and place; columns of what they have observed together so far.
        self._observers = self._reads.sorted
        self._writer = place.writer[self._observers]
        self._reflected = self._reflected_so_far()

    def all(self) -> dict[str, Misses]:
        return {
            READ_YOUR_WRITES: self._own_writes(),
            MONOTONIC_READS: self._own_reads(),
            MONOTONIC_WRITES: self._of_others(self._writes_before),
            WRITES_FOLLOW_READS: self._of_others(self._reads_before),
        }

    def _in_time(self) -> None:
        if time.monotonic() > self._deadline:
            raise TooMuch

    def _misses(self, wrong: Ints, missed: Ints) -> Misses:
        return Misses(self._observers[wrong], self._writer[wrong], missed)

    def _reflected_so_far(self) -> NDArray[np.int32]:
        """Of each observer and process, how many of its operations come before a write that was observed so far.

        So far: by this one and those of its process and key before it. The beginning observed counts as 0, a write of
        nothing but itself before it as 0 too; that something was observed is kept in a last column.
        """
        place, own = self._place, self._observers
        written = np.maximum(self._writer, 0)
        real = self._writer >= 0
        group = place.process[own] * len(self._ops.initial) + self._ops.key[own]
        table = np.empty((len(own), place.processes + 1), np.int32)
        for process in range(place.processes):
            self._in_time()
            count = self._clocks.at(written, process) - (place.process[written] == process)
            table[:, process] = _running_max(group, np.where(real, count, 0))
        table[:, -1] = _running_max(group, real.astype(np.int64))
        return table

    def _stands_before(self, at: Ints) -> Bools:
        """Whether what each observer saw comes before a write observed up to the place ``at`` of another (-1: none)."""
        written = np.maximum(self._writer, 0)
        column = np.where(self._writer >= 0, self._place.process[written], self._place.processes)
        needed = np.where(self._writer >= 0, self._place.turn[written], 1)
        return (at >= 0) & (self._reflected[np.maximum(at, 0), column] >= needed)

    def _own_writes(self) -> Misses:
        place, own = self._place, self._observers
        at = self._writes.find(place.process[own], self._ops.key[own], place.turn[own] - 1)
        write = self._writes.operation(at)
        wrong = np.flatnonzero((at >= 0) & older(self._clocks, self._writer, write))
        return self._misses(wrong, write[wrong])

    def _own_reads(self) -> Misses:
        place, own = self._place, self._observers
        at = self._reads.find(place.process[own], self._ops.key[own], place.turn[own] - 1)
        wrong = np.flatnonzero(self._stands_before(at))
        return self._misses(wrong, own[at[wrong]])

    def _of_others(self, missed_by: Callable[[int, Ints], tuple[Ints, Ints]]) -> Misses:
        """For each other process: up to where its operations were read before, and what follows from that."""
        place, own = self._place, self._observers
        by_process = np.lexsort((place.turn[own], place.process[own]))
        written = np.maximum(self._writer, 0)
        missed = np.full(len(own), -1, np.int64)
        for process in range(place.processes):
            self._in_time()
            read = np.where((self._writer >= 0) & (place.process[written] == process), place.turn[written], 0)
            until = np.empty(len(own), np.int64)
            groups = place.process[own[by_process]]
            until[by_process] = _before(groups, _running_max(groups, read[by_process]))
            wrong, what = missed_by(process, until)
            missed[wrong] = np.where(missed[wrong] < 0, what, missed[wrong])
        wrong = np.flatnonzero(missed >= 0)
        return self._misses(wrong, missed[wrong])

    def _writes_before(self, process: int, until: Ints) -> tuple[Ints, Ints]:
        at = self._writes.find(process, self._ops.key[self._observers], until - 1)
        write = self._writes.operation(at)
        wrong = np.flatnonzero((at >= 0) & older(self._clocks, self._writer, write))
        return wrong, write[wrong]

    def _reads_before(self, process: int, until: Ints) -> tuple[Ints, Ints]:
        at = self._reads.find(process, self._ops.key[self._observers], until)
        wrong = np.flatnonzero(self._stands_before(at))
        return wrong, self._observers[at[wrong]]


def _running_max(group: Ints, values: Ints) -> Ints:
    """The greatest value so far within runs of one group; values are not negative."""
    stride = int(values.max(initial=0)) + 1
    base = np.cumsum(first_of_each(group)) * stride
    return np.maximum.accumulate(base + values) - base


def _before(group: Ints, values: Ints) -> Ints:
    """The value of the one before in the same run; 0 for the first."""
    shifted = np.zeros(len(values), np.int64)
    shifted[1:] = np.where(group[1:] == group[:-1], values[:-1], 0)
    return shifted
