"""What holds, by trying all orders. For histories of a few operations."""

from __future__ import annotations

from itertools import permutations
from typing import NamedTuple

from tests.checkers.some_order import some_order


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
    return _ordered(operations, lambda a, b: a.completed < b.invoked)


def sequential(operations):
    """The same with the order of each process in place of realtime."""
    return _ordered(operations, lambda a, b: a.process == b.process and a.invoked < b.invoked)


def _ordered(operations, before):
    return some_order(operations, lambda each: each.completed is not None, before, step)


# Below linearizability, for values that were written once: causality as a set of pairs, and all orders of the writes.


class Causality:
    """The causal order of operations that happened; unseen ones of unknown outcome must not be among them."""

    def __init__(self, operations):
        self.ops = operations
        self.n = len(operations)
        self.writer = {i: self._writer(i) for i in range(self.n) if operations[i].f != "write"}
        pairs = {(i, j) for i in range(self.n) for j in range(i + 1, self.n) if self.session(i, j)}
        pairs |= {(j, i) for i, j in self.writer.items() if j is not None and j != "nobody"}
        while True:
            more = pairs | {(a, d) for a, b in pairs for c, d in pairs if b == c}
            if more == pairs:
                break
            pairs = more
        self.before = pairs
        self.circular = any(a == b for a, b in pairs)

    def session(self, i, j):
        return self.ops[i].process == self.ops[j].process and i < j

    def observed(self, i):
        return self.ops[i].value if self.ops[i].f == "read" else self.ops[i].old

    def _writer(self, i):
        mine, seen = self.ops[i], self.observed(i)
        found = [
            j for j in range(self.n) if self.writes(j) and (self.ops[j].key, self.ops[j].value) == (mine.key, seen)
        ]
        return found[0] if found else None if seen is None else "nobody"

    def writes(self, i):
        return self.ops[i].f != "read"

    def observers(self):
        return [i for i, writer in self.writer.items() if writer != "nobody"]

    def can_be_last(self, i, reflected):
        """Whether an order of the writes that extends the causal one has what i saw as the last of these of the key."""
        key = self.ops[i].key
        concerned = {j for j in reflected if self.writes(j) and self.ops[j].key == key and j != i}
        if self.writer[i] is None:
            return not concerned
        concerned.add(self.writer[i])
        return any(
            order[-1] == self.writer[i]
            for order in permutations(sorted(concerned))
            if not any((b, a) in self.before for x, a in enumerate(order) for b in order[x + 1 :])
        )

    def causal(self):
        return (
            not self.circular
            and "nobody" not in self.writer.values()
            and all(self.can_be_last(i, {j for j in range(self.n) if (j, i) in self.before}) for i in self.observers())
        )

    def reads_before(self, i):
        """Who wrote what the process of i had read before i."""
        return {self.writer[j] for j in self.observers() if self.session(j, i)} - {None}

    def guarantees(self):
        def kept(reflected):
            return all(self.can_be_last(i, reflected(i)) for i in self.observers())

        def read_with(j):
            own = {self.writer[j]} if j in self.writer and self.writer[j] != "nobody" else set()
            return (self.reads_before(j) | own) - {None}

        return {
            "read-your-writes": kept(lambda i: {j for j in range(self.n) if self.writes(j) and self.session(j, i)}),
            "monotonic-reads": kept(self.reads_before),
            "monotonic-writes": kept(
                lambda i: {
                    j for w in self.reads_before(i) for j in range(self.n) if self.writes(j) and self.session(j, w)
                }
            ),
            "writes-follow-reads": kept(lambda i: {j for w in self.reads_before(i) for j in read_with(w)}),
        }


def that_were_seen(operations):
    """Without those of unknown outcome that nobody saw who was seen."""
    while True:
        seen = {(each.key, each.value if each.f == "read" else each.old) for each in operations if each.f != "write"}
        left = [each for each in operations if each.completed is not None or (each.key, each.value) in seen]
        if left == operations:
            return left
        operations = left
