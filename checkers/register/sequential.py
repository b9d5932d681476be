"""Sequential consistency of all registers together: one order of all operations that keeps each process's own.

It is not local, and NP-complete. An operation on a register is a transaction of one step, and then it is what the
engine calls strong session serializability: what must precede what is propagated, and the order of writes that is left
open is searched under the deadline. Where observed values repeat, nobody knows what must precede what: then
interleavings are searched.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from checkers.graph.case import Case, with_orders
from checkers.graph.cycles import telling_cycles
from checkers.graph.dsg import NONE, Versions
from checkers.graph.levels import groups_at, ordered, within
from checkers.graph.open_orders import chains_of, prefix_pairs
from checkers.graph.orders_search import Orders
from checkers.graph.realtime import NEVER, Intervals
from checkers.models import LEVELS, ORDERS, SERIALIZABLE
from checkers.register.causal import observers
from checkers.register.columns import CAS, READ
from checkers.register.interleaving import Step, interleave
from checkers.register.machines import register
from checkers.register.operations import Operations, Sources

_LEVEL = LEVELS.index(SERIALIZABLE)
_ORDER = ORDERS.index("process")


class Contradiction(NamedTuple):
    """Why there is no order: numbers of operations.

    Attributes:
        steps: a circle of what must come before what: earlier, later, label; the last leads back to the first.
        members: a few operations among which there is no order, where there is no such circle.
    """

    steps: list[tuple[int, int, str]]
    members: list[int]


def sequential(ops: Operations, found: Sources, n: int, deadline: float) -> Contradiction | None:
    """Why there is no such order; None if there is.

    Args:
        ops: the operations that happened. No two cas replaced the same value.
        found: who wrote what they observed.
        n: the length of the history.
        deadline: when to give up, of ``time.monotonic()``.

    Raises:
        OutOfTime: the deadline has passed.
    """
    if found.ambiguous.any():
        return None if _interleaves(ops, n, deadline) else Contradiction([], [])
    case = _case(ops, found, n)
    graph = case.dependencies()
    chains = chains_of(case)
    if chains is not None:
        graph = with_orders(graph, case, *prefix_pairs(case, chains))
    groups = groups_at(ordered(graph, case.intervals, case.process, _ORDER), _LEVEL)
    if groups:
        group = min(groups, key=len)
        inner, intervals = within(graph, case.intervals, group)
        cycle = next(telling_cycles(inner, intervals, case.process[group], group.tolist()))
        return Contradiction(cycle.steps, [])
    if chains is None or not chains.are_open:
        return None
    refuted = Orders(case, chains, graph).settle(_LEVEL, _ORDER, deadline)
    return Contradiction([], refuted.members) if refuted else None


def _interleaves(ops: Operations, n: int, deadline: float) -> bool:
    processes: dict[int, list[Step]] = {}
    columns = (ops.process, ops.key, ops.kind, ops.slot, ops.old_slot, ops.completed, ops.invoked)
    for process, key, kind, slot, old, completed, invoked in zip(*(each.tolist() for each in columns), strict=True):
        processes.setdefault(process, []).append((key, (kind, slot, old), completed < n, invoked))
    return interleave(list(processes.values()), [register(slot) for slot in ops.initial.tolist()], deadline)


def _case(ops: Operations, found: Sources, n: int) -> Case:
    """Each operation a transaction; versions are the beginnings of the keys, and then what was written."""
    keys = len(ops.initial)
    writes = np.flatnonzero(ops.kind != READ)
    version_of = np.full(len(ops.kind) + keys, NONE, np.int32)
    version_of[len(ops.kind) :] = np.arange(keys)
    version_of[writes] = keys + np.arange(len(writes))
    parent = np.full(keys + len(writes), NONE, np.int32)
    cas = np.flatnonzero((ops.kind == CAS) & (found.writer >= 0))
    parent[version_of[cas]] = version_of[found.writer[cas]]
    readers = observers(ops, found)
    return Case(
        Intervals(ops.invoked.astype(np.int32), np.where(ops.completed < n, ops.completed, NEVER).astype(np.int32), n),
        ops.process.astype(np.int32),
        Versions(np.concatenate((np.full(keys, NONE, np.int32), writes.astype(np.int32))), parent),
        readers.astype(np.int32),
        version_of[found.writer[readers]],
        np.concatenate((np.arange(keys), ops.key[writes])).astype(np.int32),
    )
