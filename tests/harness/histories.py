"""Random histories of a small workload that has an encoder of its own, and what must be true of any history."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from harness.history import History
from harness.op import FAIL, INFO, INVOKE, NEMESIS, OK, Op
from harness.recorder import Recorder
from harness.rng import Stream


class RegisterEncoder:
    """A write of a number, or a read of several: one field, and two integers for each row."""

    name = "register"
    version = 1
    fields: tuple[str, ...] = ("key",)
    row_fields: tuple[str, ...] = ("position", "number")

    def encode(self, op: Op) -> tuple[Sequence[int], Sequence[int]]:
        if op.process == NEMESIS:
            return (-1,), ()
        if not isinstance(op.value, list) or not all(isinstance(number, int) for number in op.value):
            raise ValueError("the value is not a list of numbers")
        if not op.value:
            raise ValueError("the value has no key")
        rows: list[int] = []
        for position, number in enumerate(op.value[1:]):
            rows += (position, number)
        return (op.value[0],), rows


def random_ops(seed: int, count: int, processes: int = 4) -> list[Op]:
    """At least ``count`` entries of a sound history, some left open; indices are not set."""
    stream = Stream(seed)
    ops: list[Op] = []
    now = 0
    numbers: dict[int, int] = {thread: thread for thread in range(processes)}
    busy: dict[int, Op] = {}
    fault = 0
    while len(ops) < count:
        now += stream.below(10**9)
        if stream.chance(1, 20):
            ops.append(Op(0, now, NEMESIS, INFO, ("kill", "heal")[fault // 2 % 2], {"id": fault // 2}))
            fault += 1
            continue
        thread = stream.below(processes)
        op = busy.pop(thread, None)
        if op is None:
            value = [stream.below(100)]
            busy[thread] = Op(0, now, numbers[thread], INVOKE, stream.choice(("read", "write", "läs\u2028")), value)
            ops.append(busy[thread])
            continue
        kind = stream.choice((OK, OK, FAIL, INFO))
        seen = [stream.between(-(2**63), 2**63 - 1) >> stream.below(64) for _ in range(stream.below(4))]
        error = None if kind == OK else ["why", "\n<b>"]
        ops.append(op.replace(time=now, type=kind, value=op.value + seen, error=error))
        if kind == INFO:
            numbers[thread] += processes
    return ops


def record_all(folder: Path, ops: list[Op], encoder) -> str:
    with Recorder(folder / "history.jsonl", folder / "columns.bin", encoder) as recorder:
        for op in ops:
            recorder.record(op.replace())
        return recorder.sha256()


def assert_same(left: History, right: History) -> None:
    assert left.n == right.n
    assert left.f_names == right.f_names
    for name in ("time", "process", "type", "f", "pair", "row_start"):
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name), name)
        assert getattr(left, name).dtype == getattr(right, name).dtype
    for ours, theirs in ((left.fields, right.fields), (left.rows, right.rows)):
        assert list(ours) == list(theirs)
        for name, column in ours.items():
            np.testing.assert_array_equal(column, theirs[name], name)
            assert column.dtype == np.int64


def without_columns(folder: Path, encoder) -> History:
    copy = folder / "copy.jsonl"
    copy.write_bytes((folder / "history.jsonl").read_bytes())
    return History.load(copy, encoder)


def assert_complete(history: list[Op]) -> None:
    """Every invocation has its completion, processes take turns, and none goes on after info."""
    state: dict[int | str, str] = {}
    for op in history:
        if op.process == NEMESIS:
            state[NEMESIS] = INVOKE if state.get(NEMESIS) != INVOKE else OK
            continue
        assert (op.type == INVOKE) == (state.get(op.process) != INVOKE)
        assert state.get(op.process) != INFO
        state[op.process] = op.type
    assert INVOKE not in state.values()
    assert [op.index for op in history] == list(range(len(history)))
    assert [op.time for op in history] == sorted(op.time for op in history)
