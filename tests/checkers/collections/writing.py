"""Histories of collections, written by hand or drawn."""

from __future__ import annotations

from hypothesis import strategies as st

from checkers.kind import Kind
from harness.history import History
from harness.op import Op
from harness.protocols import CheckContext


class Writer:
    """Writes a history: each call adds an entry."""

    def __init__(self):
        self.ops = []
        self.open = {}

    def begin(self, process, f, value=None):
        self.open[process] = (f, value)
        self.ops.append(Op(len(self.ops), 1000 * len(self.ops), process, "invoke", f, value))
        return self

    def end(self, process, value=None, kind="ok"):
        f, asked = self.open.pop(process)
        self.ops.append(Op(len(self.ops), 1000 * len(self.ops), process, kind, f, asked if value is None else value))
        return self

    def do(self, process, f, value=None, result=None, kind="ok"):
        return self.begin(process, f, value).end(process, result, kind)


def judge(kind: Kind, ops):
    assert all(kind.recognises(op) is not False for op in ops)
    (checker,) = kind.checkers()
    return checker.check(History.from_ops(ops, kind.encoder()), CheckContext())


def only(verdict):
    """The one anomaly of a verdict."""
    assert verdict.valid is False
    assert len(verdict.anomalies) == sum(verdict.counts.values()) == 1
    return verdict.anomalies[0]


@st.composite
def interleaved(draw, begin, finish, *, processes=3, most=8, kinds=("ok",) * 6 + ("info", "fail")):
    """A history of overlapping operations.

    ``begin(draw, number)`` gives f and value, ``finish(draw, f, value, kind)`` the value of the completion.
    """
    world = Writer()
    threads = list(range(processes))
    fresh, made = processes, 0
    for _ in range(draw(st.integers(2, 2 * most))):
        thread = draw(st.integers(0, processes - 1))
        process = threads[thread]
        if process not in world.open:
            if made < most:
                made += 1
                world.begin(process, *begin(draw, made))
            continue
        kind = draw(st.sampled_from(kinds))
        if kind == "info":
            threads[thread], fresh = fresh, fresh + 1
        world.end(process, finish(draw, *world.open[process], kind), kind)
    return world.ops


def calls(ops):
    """Invocation and completion (None: open) of each operation, and their positions (the latter of None: infinite)."""
    running, found = {}, []
    for at, op in enumerate(ops):
        if op.type == "invoke":
            running[op.process] = (op, at)
        else:
            begun, position = running.pop(op.process)
            found.append((begun, op, position, at))
    return found + [(op, None, at, float("inf")) for op, at in running.values()]
