"""Which completion belongs to which invocation, for millions of operations at once.

In the order of its process and then of time, a process's operations must take turns: invocation, completion, and so on.
Sorting by process is therefore all the work there is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from harness.columns import NEMESIS_CODE, TYPE_CODES
from harness.op import INFO, INVOKE

Ints = npt.NDArray[Any]


class Unpaired(ValueError):
    """An operation that does not fit those before it."""

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(reason)
        self.index = index
        self.reason = reason


def pair_up(process: Ints, kind: Ints, f: Ints) -> Ints:
    """Return for each operation the index of its other half, -1 where it is open (int64).

    Args:
        process: of each operation; ``NEMESIS_CODE`` for the nemesis, whose operations pair by order.
        kind: the type's code.
        f: a code of what is done.

    Raises:
        Unpaired: a completion without invocation, two open operations of one process, a process that goes on after
            ``info``, halves of a different ``f``; the first one of them.
    """
    n = len(process)
    pair = np.full(n, -1, np.int64)
    order = np.argsort(process, kind="stable")
    sorted_process = process[order]
    same = np.zeros(n, bool)  # the one before is of the same process
    same[1:] = sorted_process[1:] == sorted_process[:-1]
    begins = kind[order] == TYPE_CODES[INVOKE]
    nemesis = sorted_process == NEMESIS_CODE
    begins[nemesis] = np.arange(np.count_nonzero(nemesis)) % 2 == 0  # -1 sorts first, so positions are parities
    begins_before = np.zeros(n, bool)
    begins_before[1:] = begins[:-1] & same[1:]
    retired = np.zeros(n, bool)
    retired[1:] = (kind[order[:-1]] == TYPE_CODES[INFO]) & same[1:] & ~nemesis[1:]
    at = np.flatnonzero(~begins & begins_before)
    second, first = order[at], order[at - 1]
    _refuse_first(
        (order[~begins & ~begins_before], "completes an operation that was never invoked"),
        (order[begins & begins_before], "is invoked while another operation of its process is open"),
        (order[begins & retired], "is of a process that ended by an info before"),
        (second[f[second] != f[first]], "completes an operation that does something else"),
    )
    pair[second] = first
    pair[first] = second
    return pair


def _refuse_first(*problems: tuple[Ints, str]) -> None:
    found = [(int(indices.min()), reason) for indices, reason in problems if len(indices)]
    if found:
        raise Unpaired(*min(found))


def pair_up_foreign(process: Ints, kind: Ints, f: Ints) -> Ints:
    """The same for a history of another harness, whose nemeses do not take turns: theirs pair by what they do.

    Raises:
        Unpaired: see ``pair_up``; the nemesis can do no wrong.
    """
    pair = np.full(len(process), -1, np.int64)
    clients = np.flatnonzero(process != NEMESIS_CODE)
    try:
        of_clients = pair_up(process[clients], kind[clients], f[clients])
    except Unpaired as error:
        raise Unpaired(int(clients[error.index]), error.reason) from None
    pair[clients] = np.where(of_clients < 0, -1, clients[of_clients])
    begun: dict[int, int] = {}
    nemesis = np.flatnonzero(process == NEMESIS_CODE)
    for index, what in zip(nemesis.tolist(), f[nemesis].tolist(), strict=True):
        first = begun.pop(what, None)
        if first is None:
            begun[what] = index
        else:
            pair[first], pair[index] = index, first
    return pair
