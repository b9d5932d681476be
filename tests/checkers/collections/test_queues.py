"""Queues: against all orders of a queue that is first in, first out, and planted anomalies."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkers.collections.kind import QUEUE
from tests.checkers.collections.writing import Writer, calls, interleaved, judge, only
from tests.checkers.some_order import some_order


def begin(draw, number):
    return draw(st.sampled_from([("enqueue", number), ("dequeue", None)]))


def finish(draw, f, value, kind):
    return draw(st.integers(1, 5)) if f == "dequeue" and kind == "ok" else value


def is_fifo(ops):
    """Whether some order of the operations fits realtime and a queue; those of unknown outcome may be left out."""
    own = [each for each in calls(ops) if each[1] is None or each[1].type != "fail"]
    return some_order(own, _ok, lambda a, b: a[3] < b[2], _step)


def _step(state, call):
    if call[0].f == "enqueue":
        return (*state, call[0].value)
    return state[1:] if state and (not _ok(call) or call[1].value == state[0]) else None


def _ok(call):
    return call[1] is not None and call[1].type == "ok"


@settings(max_examples=800, derandomize=True, deadline=None)
@given(interleaved(begin, finish, kinds=("ok", "ok", "ok", "fail")))
def test_without_unknown_outcomes_it_is_exact(ops):
    open_at_the_end = sum(op.type == "invoke" for op in ops) > sum(op.type != "invoke" for op in ops)
    verdict = judge(QUEUE, ops)
    if not open_at_the_end:
        assert bool(verdict.counts) is not is_fifo(ops)
    elif verdict.counts:
        assert not is_fifo(ops)


@settings(max_examples=800, derandomize=True, deadline=None)
@given(interleaved(begin, finish, kinds=("ok", "ok", "ok", "info")))
def test_a_sound_queue_is_never_accused(ops):
    if judge(QUEUE, ops).counts:
        assert not is_fifo(ops)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(interleaved(begin, finish), st.permutations(range(10)), st.permutations(range(3, 30)))
def test_new_names_change_nothing(ops, values, processes):
    def other(value):
        return None if value is None else f"e{values[value]}" if value % 2 else values[value] * 10**9

    renamed = [op.replace(process=processes[op.process], value=other(op.value)) for op in ops]
    assert (judge(QUEUE, ops).counts, judge(QUEUE, ops).valid) == (
        judge(QUEUE, renamed).counts,
        judge(QUEUE, renamed).valid,
    )


def filled(count):
    world = Writer()
    for element in range(count):
        world.do(0, "enqueue", element)
    return world


@pytest.mark.parametrize("lost", [0, 7, 14])
def test_a_lost_element(lost):
    left = [element for element in range(15) if element != lost]
    found = judge(QUEUE, filled(15).do(1, "drain", None, left).ops)
    assert found.counts["lost"] == 1
    (text,) = [each.explanation for each in found.anomalies if each.name == "lost"]
    assert f"the enqueue of {lost} by process 0 (index {2 * lost}) was acknowledged at index {2 * lost + 1}" in text


def test_what_an_unknown_dequeue_may_have_taken_is_not_lost():
    world = filled(3).do(5, "dequeue", None, kind="info")
    assert judge(QUEUE, world.do(1, "drain", None, [0, 1]).ops).valid == "unknown"
    assert judge(QUEUE, filled(3).do(5, "dequeue", None, kind="info").do(1, "drain", None, [0]).ops).counts == {
        "lost": 2
    }
    world = filled(3).do(5, "drain", None, kind="info")
    assert judge(QUEUE, world.do(1, "drain", None, []).ops).valid == "unknown"


@pytest.mark.parametrize("before", [1, 9])
def test_an_element_that_comes_twice(before):
    world = filled(before)
    for element in range(before):
        world.do(1, "dequeue", None, element)
    found = only(judge(QUEUE, world.do(2, "dequeue", None, before - 1).ops))
    assert found.name == "duplicated"
    assert "was dequeued 2 times" in found.explanation


@pytest.mark.parametrize("before", [0, 9])
def test_an_element_that_nobody_enqueued(before):
    world = filled(before)
    for element in range(before):
        world.do(1, "dequeue", None, element)
    found = only(judge(QUEUE, world.do(2, "dequeue", None, 77).ops))
    assert found.name == "unexpected"
    assert "gave 77, which nobody had tried to enqueue." in found.explanation


def test_an_element_whose_enqueue_failed_or_came_later():
    failed = filled(0).do(0, "enqueue", 5, kind="fail").do(1, "drain", None, [5])
    assert (
        "gave 5, which nobody had tried to enqueue but by the enqueue of 5"
        in only(judge(QUEUE, failed.ops)).explanation
    )
    later = Writer().do(1, "dequeue", None, 5).do(0, "enqueue", 5)
    assert "which came later" in only(judge(QUEUE, later.ops)).explanation


@pytest.mark.parametrize("before", [0, 9])
def test_elements_in_the_wrong_order(before):
    world = filled(before)
    for element in range(before):
        world.do(1, "dequeue", None, element)
    world.do(0, "enqueue", 50).do(0, "enqueue", 51).do(1, "dequeue", None, 51).do(1, "dequeue", None, 50)
    found = only(judge(QUEUE, world.ops))
    assert found.name == "out-of-order"
    assert found.ops == [4 * before + step for step in (0, 2, 4, 6)]


def test_an_element_that_was_passed_over():
    world = filled(2).do(1, "dequeue", None, 1)
    found = only(judge(QUEUE, world.ops))
    assert found.name == "out-of-order"
    assert "was never dequeued" in found.explanation
    assert judge(QUEUE, filled(2).do(9, "dequeue", None, kind="info").do(1, "dequeue", None, 1).ops).valid is True
