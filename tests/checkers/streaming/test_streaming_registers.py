"""Registers judged while they are recorded, against the check afterwards."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkers.register.columns import RegisterEncoder
from checkers.register.consistency import RegisterConsistency
from checkers.streaming.registers import StreamingRegisters
from harness.history import History
from harness.protocols import CheckContext
from tests.checkers.register.writing import Registers, register_ops


def afterwards(ops):
    history = History.from_ops(ops, RegisterEncoder())
    return RegisterConsistency().check(history, CheckContext(models=("linearizable",))).valid


def streamed(ops, block):
    checker = StreamingRegisters(block)
    for op in ops:
        checker.observe(op)
    return checker.finish()


BLOCKS = st.sampled_from([1, 1, 2, 3, 7])


@settings(max_examples=700, deadline=None, derandomize=True)
@given(register_ops(most=14), BLOCKS)
def test_small_histories_get_the_verdict_of_the_check_afterwards(ops, block):
    assert streamed(ops, block).valid is afterwards(ops)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(register_ops(keys=1, processes=4, most=40, stale=1), BLOCKS)
def test_longer_histories_of_one_register_do_too(ops, block):
    assert streamed(ops, block).valid is afterwards(ops)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(register_ops(unique=False, most=14))
def test_repeated_values_are_left_to_the_check_afterwards(ops):
    said = streamed(ops, 1000).valid
    assert said == "unknown" or said is afterwards(ops)


@pytest.mark.parametrize("block", [1, 4, 1000])
@pytest.mark.parametrize("length", [1, 2, 40])
def test_a_stale_read_is_a_violation_at_once(block, length):
    world = Registers()
    for value in range(1, length + 2):
        world.do(0, "write", value)
        world.do(1, "read", value)
    assert streamed(world.ops, block).valid is True
    world.do(2, "read", length)
    verdict = streamed(world.ops, block)
    assert verdict.valid is False
    assert len(world.ops) - 2 in verdict.anomalies[0].ops


@pytest.mark.parametrize("block", [1, 4])
def test_a_write_of_unknown_outcome_may_show_up_late_and_only_once(block):
    world = Registers().do(0, "write", 1000, "info")
    for value in range(1, 30):
        world.do(1, "write", value)
        world.do(2, "read", value)
    assert streamed(world.ops, block).valid is True
    world.do(2, "read", 1000)
    assert streamed(world.ops, block).valid is True
    world.do(1, "write", 77).do(2, "read", 77)
    assert streamed(world.ops, block).valid is True
    assert streamed(world.do(2, "read", 1000).ops, block).valid is False


def test_memory_does_not_grow_with_the_history():
    world, checker = Registers(), StreamingRegisters(64)
    for value in range(1, 3000):
        world.do(0, "write", [value % 5, value]).do(1, "cas", [value % 5, [value, -value]])
        world.do(2, "read", [value % 5, -value])
    for op in world.ops:
        checker.observe(op)
    assert checker.finish().valid is True
    assert checker.figures["largest_kept"] <= 80
    assert checker.figures["operations"] == 3 * 2999
