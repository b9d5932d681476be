"""Causal consistency (CC) of registers, by the bad patterns that rule it out.

After Bouajjani, Enea, Guerraoui and Hamza (*On verifying causal consistency*, POPL 2017), for histories in which each
observed value has one writer: such a history is causally consistent if and only if it has none of

- CyclicCO: the causal order is circular;
- ThinAirRead: a value was observed that nobody wrote;
- WriteCOInitRead: the initial value was observed although a write to the key comes causally before;
- WriteCORead: w1 was observed although w2, another write to the key, comes causally between w1 and the observer.

A successful cas observes, and then writes. To find the last two it is enough to look, for each observer and process, at
the latest write to the key that comes before the observer: an earlier one comes before that.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np

from checkers.register.causal_order import Clocks, Latest, TooMuch
from checkers.register.columns import READ, WRITE
from checkers.register.operations import NOBODY, Bools, Ints, Operations, Sources


class Misses(NamedTuple):
    """Observers that saw an old value: arrays of one length.

    Attributes:
        observer: the operations.
        written: who wrote what they saw, -1 for the beginning of the key.
        missed: a later write to the key, which comes before the observer.
    """

    observer: Ints
    written: Ints
    missed: Ints


def observers(ops: Operations, found: Sources) -> Ints:
    """The operations that saw a value that somebody wrote, or that of the beginning."""
    return np.flatnonzero((ops.kind != WRITE) & (found.writer != NOBODY))


def causal_misses(ops: Operations, found: Sources, clocks: Clocks, deadline: float) -> Misses:
    """All of WriteCOInitRead (written below 0) and WriteCORead, one for each observer.

    Raises:
        TooMuch: the deadline has passed.
    """
    place = clocks.place
    chosen = observers(ops, found)
    latest = Latest(ops, place, np.flatnonzero(ops.kind != READ))
    missed = np.full(len(chosen), -1, np.int64)
    for process in range(place.processes):
        if time.monotonic() > deadline:
            raise TooMuch
        count = clocks.at(chosen, process) - (place.process[chosen] == process)
        look = np.flatnonzero((missed < 0) & (count > 0))
        own = chosen[look]
        at = latest.find(process, ops.key[own], count[look])
        write = latest.operation(at)
        wrong = (at >= 0) & older(clocks, place.writer[own], write)
        missed[look[wrong]] = write[wrong]
    bad = missed >= 0
    return Misses(chosen[bad], place.writer[chosen[bad]], missed[bad])


def older(clocks: Clocks, written: Ints, write: Ints) -> Bools:
    """Whether what was written comes before another write to its key; the beginning (below 0) comes before all."""
    return (written < 0) | ((written != write) & clocks.before(np.maximum(written, 0), write))
