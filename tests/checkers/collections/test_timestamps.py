"""Timestamps: against all pairs, and planted anomalies."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkers.collections.kind import TIMESTAMPS
from tests.checkers.collections.writing import Writer, calls, interleaved, judge, only


def begin(draw, number):
    return draw(st.sampled_from(["timestamp", "ts"])), None


def finish(draw, f, value, kind):
    return (
        draw(st.one_of(st.integers(0, 9), st.tuples(st.integers(0, 3), st.integers(0, 2)).map(list)))
        if kind == "ok"
        else None
    )


def truth(ops):
    """Whether two are alike, and how many are smaller than one that had been given before."""
    given_ones = [(c.value if isinstance(c.value, list) else [c.value, 0], i, j)
                  for _, c, i, j in calls(ops) if c is not None and c.type == "ok"]  # fmt: skip
    values = [tuple(value) for value, _, _ in given_ones]
    late = sum(any(j < begun and other > value for other, _, j in given_ones) for value, begun, _ in given_ones)
    return len(values) - len(set(values)), late


@settings(max_examples=600, derandomize=True, deadline=None)
@given(interleaved(begin, finish))
def test_timestamps_are_judged_by_the_definition(ops):
    counts = judge(TIMESTAMPS, ops).counts
    assert (counts.get("duplicated", 0), counts.get("out-of-order", 0)) == truth(ops)


@pytest.mark.parametrize("at", [1, 30])
@pytest.mark.parametrize("shape", [lambda ts: ts, lambda ts: [ts // 7, ts % 7]])
def test_a_timestamp_that_falls_back(at, shape):
    world = Writer()
    for ts in range(10, 10 + 2 * at, 2):
        world.do(ts % 3, "timestamp", None, shape(ts))
    found = only(judge(TIMESTAMPS, world.do(5, "timestamp", None, shape(7 + 2 * at)).ops))
    assert found.name == "out-of-order"
    assert f"had been given {shape(8 + 2 * at)} at index {2 * at - 1}" in found.explanation


def test_timestamps_that_overlap_come_in_any_order():
    world = Writer().begin(0, "ts").begin(1, "ts").end(0, 9).begin(2, "ts").end(1, 3).end(2, 10)
    assert judge(TIMESTAMPS, world.ops).valid is True


@pytest.mark.parametrize("at", [0, 30])
def test_a_timestamp_that_is_given_twice(at):
    world = Writer()
    for ts in range(at):
        world.do(0, "timestamp", None, ts)
    found = only(judge(TIMESTAMPS, world.begin(1, "timestamp").begin(2, "timestamp").end(1, 99).end(2, 99).ops))
    assert found.name == "duplicated"
    assert found.ops == [2 * at, 2 * at + 1]


def test_ids_need_be_unique_only():
    world = Writer().do(0, "generate", None, 5).do(0, "generate", None, 3).do(0, "generate", None, "a")
    assert judge(TIMESTAMPS, world.ops).valid is True
    assert only(judge(TIMESTAMPS, world.do(1, "generate", None, "a").ops)).name == "duplicated"
