"""The search for an interleaving: sequential consistency where values repeat, so that nobody knows who wrote what.

Depth first over how far each process has come and the values of all keys, each combination once. A read that is next
in its process and fits takes effect at once: it changes nothing, and all that must precede it has taken effect.
"""

from __future__ import annotations

import time
from typing import Final

from checkers.graph.search import OutOfTime
from checkers.register.columns import READ
from checkers.register.machines import IMPOSSIBLE, Action, Machine

_LOOKS: Final = 256
_MEMO: Final = 2_000_000  # combinations; more would be gigabytes

Step = tuple[int, Action, bool, int]  # key, what is done, whether it certainly happened, when it was invoked
_State = tuple[tuple[int, ...], tuple[int, ...]]


def interleave(processes: list[list[Step]], machines: list[Machine], deadline: float) -> bool:
    """Whether the steps of all processes have a common order that every key's machine allows.

    Args:
        processes: the steps of each, in order; one that may not have happened is the last of its process.
        machines: of each key.
        deadline: when to give up, of ``time.monotonic()``.

    Raises:
        OutOfTime: the deadline has passed, or there is too much to remember.
    """
    start = _with_reads(processes, machines, (0,) * len(processes), tuple(machine.initial for machine in machines))
    stack, seen = [start], {start}
    rounds = 0
    while stack:
        rounds += 1
        if rounds % _LOOKS == 0 and (time.monotonic() > deadline or len(seen) > _MEMO):
            raise OutOfTime
        places, values = stack.pop()
        if all(at == len(own) or not own[at][2] for at, own in zip(places, processes, strict=True)):
            return True
        further: list[tuple[int, _State]] = []
        for process, own in enumerate(processes):
            at = places[process]
            if at == len(own) or own[at][1][0] == READ:
                continue
            key, action, _, invoked = own[at]
            after = machines[key].step(values[key], action)
            if after is IMPOSSIBLE:
                continue
            reached = (*places[:process], at + 1, *places[process + 1 :])
            state = _with_reads(processes, machines, reached, (*values[:key], after, *values[key + 1 :]))
            if state not in seen:
                seen.add(state)
                further.append((invoked, state))
        # What was invoked first is tried first: the truth is rarely far from the order of time.
        stack += [state for _, state in sorted(further, reverse=True)]
    return False


def _with_reads(
    processes: list[list[Step]], machines: list[Machine], places: tuple[int, ...], values: tuple[int, ...]
) -> _State:
    reached = list(places)
    for process, own in enumerate(processes):
        at = reached[process]
        while at < len(own) and own[at][1][0] == READ:
            key, action, _, _ = own[at]
            if machines[key].step(values[key], action) is IMPOSSIBLE:
                break
            at += 1
        reached[process] = at
    return tuple(reached), values
