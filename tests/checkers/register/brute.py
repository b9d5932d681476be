"""What holds, by trying all orders. For histories of a few operations."""

from __future__ import annotations

from typing import NamedTuple


class Done(NamedTuple):
    """An operation that is not a failed one."""

    f: str
    key: object
    value: object  # read or written
    old: object
    process: object
    invoked: int
    completed: int | None  # None: it may have happened, at any time, or never


def done(ops):
    """The operations of a history with independent keys; reads of unknown outcome say nothing."""
    running, found = {}, []
    for at, op in enumerate(ops):
        if op.process == "nemesis":
            continue
        if op.type == "invoke":
            running[op.process] = (at, op)
            continue
        begun, invocation = running.pop(op.process)
        if op.type == "fail" or (op.type == "info" and op.f == "read"):
            continue
        found.append(_done(invocation, op, begun, at if op.type == "ok" else None))
    found += [_done(op, op, at, None) for at, op in running.values() if op.f != "read"]
    return sorted(found, key=lambda each: each.invoked)


def _done(invocation, completion, invoked, completed):
    key, value = (completion if invocation.f == "read" else invocation).value
    old, value = value if invocation.f == "cas" else (None, value)
    return Done(invocation.f, key, value, old, invocation.process, invoked, completed)


def step(state, each):
    """The state after it, None if it cannot be."""
    now = dict(state).get(each.key)
    if each.f == "read":
        return state if now == each.value else None
    if each.f == "cas" and now != each.old:
        return None
    return tuple(sorted({**dict(state), each.key: each.value}.items()))


def linearizable(operations):
    """Whether some order of them, with or without those of unknown outcome, fits realtime and the registers."""
    return _ordered(operations, lambda a, b: a.completed is not None and a.completed < b.invoked)


def sequential(operations):
    """The same with the order of each process in place of realtime."""
    return _ordered(operations, lambda a, b: a.process == b.process and a.invoked < b.invoked)


def _ordered(operations, before):
    n = len(operations)
    must = [[j for j in range(n) if before(operations[j], operations[i])] for i in range(n)]
    needed = frozenset(i for i in range(n) if operations[i].completed is not None)
    seen = set()
    stack = [(frozenset(), ())]
    while stack:
        config = stack.pop()
        if config in seen:
            continue
        seen.add(config)
        taken, state = config
        if needed <= taken:
            return True
        for i in range(n):
            if i in taken or not all(j in taken or operations[j].completed is None for j in must[i]):
                continue
            if (after := step(state, operations[i])) is not None:
                stack.append((taken | {i}, after))
    return False
