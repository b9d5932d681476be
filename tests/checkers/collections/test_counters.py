"""Counters: against all subsets of what may count, and planted anomalies."""

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkers.collections.kind import COUNTER
from tests.checkers.collections.writing import Writer, calls, interleaved, judge, only


def begin(draw, number):
    return draw(st.sampled_from([("add", draw(st.integers(-3, 5))), ("read", None)]))


def finish(draw, f, value, kind):
    return draw(st.integers(-4, 12)) if f == "read" and kind == "ok" else value


def truth(ops):
    """How many reads are beyond every sum of what must count and a part of what may."""
    own = calls(ops)
    adds = [(b.value, c, i, j) for b, c, i, j in own if b.f == "add" and (c is None or c.type != "fail")]
    wrong = 0
    for begun, done, at, end in own:
        if begun.f == "read" and done is not None and done.type == "ok":
            must = [each for each in adds if each[1] is not None and each[1].type == "ok" and each[3] < at]
            may = [value for each in adds if each not in must and each[2] < end for value in (each[0],)]
            sums = [sum(part) for size in range(len(may) + 1) for part in combinations(may, size)]
            base = sum(each[0] for each in must)
            wrong += not base + min(sums) <= done.value <= base + max(sums)
    return wrong


@settings(max_examples=600, derandomize=True, deadline=None)
@given(interleaved(begin, finish))
def test_counters_are_judged_by_the_definition(ops):
    verdict = judge(COUNTER, ops)
    assert verdict.counts.get("out-of-bounds", 0) == truth(ops)


@pytest.mark.parametrize("before", [0, 30])
@pytest.mark.parametrize("off", [-1, 1])
def test_a_read_beyond_the_bounds(before, off):
    world = Writer()
    for _ in range(before):
        world.do(0, "add", 2)
    found = only(judge(COUNTER, world.do(1, "read", None, 2 * before + off).ops))
    assert found.name == "out-of-bounds"
    assert f"saw {2 * before + off}, but what was added by then allows only {2 * before}" in found.explanation


def test_adds_that_overlap_or_of_unknown_outcome_may_count_and_failed_ones_never():
    world = Writer().begin(0, "add", 5).do(1, "add", -2, kind="info").do(2, "add", 100, kind="fail")
    for seen in (-2, 0, 3, 5):
        world.do(3, "read", None, seen)
    assert judge(COUNTER, world.ops).valid is True
    found = only(judge(COUNTER, world.end(0).do(3, "read", None, 2).ops))
    assert "allows 3 to 5" in found.explanation


def test_sums_beyond_64_bits():
    world = Writer().do(0, "add", 2**62).do(0, "add", 2**62).do(0, "add", -(2**62)).do(1, "read", None, 2**62)
    assert judge(COUNTER, world.ops).valid is True


def test_a_counter_that_was_not_read_is_unknown():
    assert judge(COUNTER, Writer().do(0, "add", 1).ops).valid == "unknown"
