"""The operations on registers that count, as arrays; and which write each of them observed.

What failed did not happen. An operation of unknown outcome happened if its value was seen. What nobody saw may never
have happened, and it can be left out of any explanation of the history, since only a write can come right after it; so
it constrains nothing. A cas observes: what was seen by nothing but an unseen cas was not seen. This is a fixed point.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from checkers.calls import calls_of
from checkers.register.columns import CAS, READ, REGISTER_F, WRITE
from harness.columns import FAIL_CODE, INFO_CODE, OK_CODE
from harness.names import NIL

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

NOBODY: Final = -1  # wrote this value
_DENSE: Final = 1 << 31  # ranges of numbers up to this need no sorting


class Operations(NamedTuple):
    """Operations in the order of their invocations; arrays of one length.

    Attributes:
        kind: READ, WRITE or CAS.
        key: dense numbers from 0.
        slot: a number for key and value: what was read or written.
        old_slot: the same for what a cas expects; elsewhere that of nil.
        invoked: position in the history.
        completed: the same; ``n``, the length of the history, where there is no completion that counts.
        process: who did it.
        initial: of each key, the slot of the value that it has at first.
    """

    kind: NDArray[np.int8]
    key: Ints
    slot: Ints
    old_slot: Ints
    invoked: Ints
    completed: Ints
    process: Ints
    initial: Ints

    def where(self, mask: Any) -> Operations:
        """Some of them."""
        return Operations._make([*(column[mask] for column in self[:-1]), self.initial])

    @property
    def observed(self) -> Ints:
        """The slot that each read or cas saw; of writes, no slot."""
        return np.where(self.kind == READ, self.slot, np.where(self.kind == CAS, self.old_slot, -1))


def operations_of(
    history: Any, codes: Mapping[str, int] = REGISTER_F, initial: int = NIL
) -> tuple[Operations, Operations]:
    """The operations that may have happened (of reads, those that were ok), and the failed writes and cas.

    Args:
        history: with the columns of ``checkers.register.columns``.
        codes: what each ``f`` does.
        initial: code of the value that every register has at first.
    """
    invoked, pair, outcome = calls_of(history)
    kind = np.array([codes.get(name, WRITE) for name in history.f_names] or [0], np.int8)[history.f[invoked]]
    counts = (outcome == OK_CODE) | ((outcome == INFO_CODE) & (kind != READ))
    failed = (outcome == FAIL_CODE) & (kind != READ)
    wanted = counts | failed
    invoked, pair, kind = invoked[wanted], pair[wanted], kind[wanted]
    outcome, failed = outcome[wanted], failed[wanted]
    fields = history.fields
    key = _dense(fields["key"][invoked])
    value = fields["value"][np.where(kind == READ, pair, invoked)]
    keys = int(key.max(initial=-1)) + 1
    numbers = _dense(np.concatenate((value, fields["old"][invoked], np.array([initial], np.int64))))
    stride = int(numbers.max()) + 1
    n = len(key)
    ops = Operations(
        kind,
        key,
        key * stride + numbers[:n],
        key * stride + numbers[n:-1],
        invoked,
        np.where(outcome == OK_CODE, pair, history.n),
        history.process[invoked],
        np.arange(keys, dtype=np.int64) * stride + numbers[-1],
    )
    return ops.where(~failed), ops.where(failed)


def _dense(codes: Ints) -> Ints:
    """Small numbers that tell these apart; numbered without gaps only if they lie far apart."""
    real = codes != NIL
    low = int(codes[real].min()) if real.any() else 0
    if real.any() and int(codes[real].max()) - low >= _DENSE:
        return np.unique(codes, return_inverse=True)[1].astype(np.int64)
    dense = codes - low + (0 if real.all() else 1)
    dense[~real] = 0
    if len(dense) and int(dense.max()) > 4 * len(dense):
        return np.unique(dense, return_inverse=True)[1].astype(np.int64)
    return dense


def seen(ops: Operations, n: int) -> Bools:
    """Which operations on registers did happen: what has completed, and what was seen by one that did."""
    happened = ops.completed < n
    open_ones = np.flatnonzero(~happened)
    if not len(open_ones):
        return happened
    observed = ops.observed
    by_slot: defaultdict[int, list[int]] = defaultdict(list)
    for at, slot in zip(open_ones.tolist(), ops.slot[open_ones].tolist(), strict=True):
        by_slot[slot].append(at)
    slots = np.unique(ops.slot[open_ones])
    at = np.minimum(np.searchsorted(slots, observed), len(slots) - 1)
    asked = np.isin(ops.slot[open_ones], slots[at[happened & (slots[at] == observed)]])
    waiting = open_ones[asked].tolist()
    happened[waiting] = True
    while waiting:
        for at in by_slot.get(int(observed[waiting.pop()]), ()):
            if not happened[at]:
                happened[at] = True
                waiting.append(at)
    return happened


class Sources(NamedTuple):
    """Who wrote what was observed.

    Attributes:
        writer: of each operation, the one that wrote the value it observed; ``n + key`` stands for the beginning of
            the key; ``NOBODY`` where no operation that counts did, and where it observed nothing.
        ambiguous: of each key, whether a value was observed that several have written.
    """

    writer: Ints
    ambiguous: Bools


def sources(ops: Operations) -> Sources:
    """Find the writer of all that was observed; O(n log n)."""
    n, keys = len(ops.kind), len(ops.initial)
    writers = np.concatenate((np.flatnonzero(ops.kind != READ), n + np.arange(keys)))
    slots = np.concatenate((ops.slot[ops.kind != READ], ops.initial))
    order = np.argsort(slots)
    writers, slots = writers[order], slots[order]
    writer = np.full(n, NOBODY, np.int64)
    ambiguous = np.zeros(keys, bool)
    observers = np.flatnonzero(ops.kind != WRITE)
    if not len(observers):
        return Sources(writer, ambiguous)
    observed = ops.observed[observers]
    at = np.searchsorted(slots, observed)
    at[at == len(slots)] = 0
    found = slots[at] == observed
    after = np.minimum(at + 1, len(slots) - 1)
    twice = found & (after > at) & (slots[after] == observed)
    writer[observers[found]] = writers[at[found]]
    ambiguous[ops.key[observers[twice]]] = True
    return Sources(writer, ambiguous)
