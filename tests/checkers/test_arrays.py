"""Idioms over arrays against plain loops."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from checkers.arrays import (
    first_of_each,
    last_of_each,
    last_where,
    next_where,
    ranges,
    running_maximum,
    running_total,
)

SMALL = st.lists(st.integers(-3, 3), max_size=12)
FLAGS = st.lists(st.booleans(), max_size=12)
random_cases = settings(max_examples=200, deadline=None, derandomize=True)


@random_cases
@given(st.lists(st.tuples(st.integers(-5, 20), st.integers(0, 4)), max_size=8))
def test_ranges(pairs):
    table = np.array(pairs, np.int64).reshape(-1, 2)
    assert ranges(table[:, 0], table[:, 1]).tolist() == [
        number for begin, count in pairs for number in range(begin, begin + count)
    ]


@random_cases
@given(SMALL)
def test_running_total(values):
    expected = [sum(values[:at]) for at in range(len(values) + 1)]
    assert running_total(np.array(values, np.int32)).tolist() == expected
    large = [value * 2**70 for value in values]
    assert running_total(np.array(large, object)).tolist() == [total * 2**70 for total in expected]


def test_running_total_counts_flags():
    assert running_total(np.array([True, True, False, True])).tolist() == [0, 1, 2, 2, 3]


@random_cases
@given(SMALL)
def test_running_maximum(values):
    greatest, places = running_maximum(np.array(values, np.int64))
    before = [values[: at + 1] for at in range(len(values))]
    assert greatest.tolist() == [max(some) for some in before]
    assert places.tolist() == [len(some) - 1 - some[::-1].index(max(some)) for some in before]


@random_cases
@given(FLAGS)
def test_last_and_next_where(flags):
    mask, places = np.array(flags, bool), range(len(flags))
    assert last_where(mask).tolist() == [max((p for p in places if flags[p] and p <= at), default=-1) for at in places]
    assert next_where(mask).tolist() == [
        min((p for p in places if flags[p] and p >= at), default=len(flags)) for at in places
    ]


@random_cases
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1)), max_size=12))
def test_first_and_last_of_each_run(pairs):
    table = np.array(pairs, np.int64).reshape(-1, 2)
    columns = list(table.T)
    both = [not at or pairs[at - 1] != pair for at, pair in enumerate(pairs)]
    assert first_of_each(*columns).tolist() == both
    assert first_of_each(columns[0]).tolist() == [
        not at or pairs[at - 1][0] != pair[0] for at, pair in enumerate(pairs)
    ]
    assert last_of_each(columns[1]).tolist() == [
        at == len(pairs) - 1 or pairs[at + 1][1] != pair[1] for at, pair in enumerate(pairs)
    ]
