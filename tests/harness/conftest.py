"""Random histories of a small workload that has an encoder of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from harness.op import FAIL, INFO, INVOKE, NEMESIS, OK, Op
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


@pytest.fixture
def encoder() -> RegisterEncoder:
    return RegisterEncoder()


@pytest.fixture
def make_ops() -> Callable[..., list[Op]]:
    return random_ops
