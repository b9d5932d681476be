"""Whatever stands in a history: a verdict, or one sentence."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.exit_codes import UsageError
from harness.op import Op
from tests.checkers.txn.txns import KINDS, judge, load

ATOMS = st.one_of(
    st.integers(0, 3),
    st.sampled_from([None, "a", "", True, 1.0, -(2**63), 2**63 - 1, 2**62, -(2**62), 10**30, "T1", 2**40]),
)
JSON = st.recursive(ATOMS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner))


KEYS = st.sampled_from([0, 0, 0, "a", True, None, -5])
VALUES = st.sampled_from([1, 2, 3, 4, 5, 1.0, True, "a", 2**40, -1])


def micro_ops(family):
    read = st.lists(VALUES | st.none(), max_size=4) | st.none() if family == "list-append" else VALUES | st.none()
    write = "append" if family == "list-append" else "w"
    return st.tuples(st.just("r"), KEYS, read) | st.tuples(st.just(write), KEYS, VALUES)


@st.composite
def histories(draw, family):
    """Each operation is invoked with what its completion says, so that the two fit; overlapping or not."""
    values = draw(st.lists(st.lists(micro_ops(family), max_size=4), min_size=1, max_size=7))
    rng = random.Random(draw(st.integers(0, 2**32)))
    ops = []
    waiting = [(process, [list(each) for each in value]) for process, value in enumerate(values)]
    running = []
    while waiting or running:
        if waiting and (not running or rng.random() < 0.5):
            running.append(waiting.pop(0))
            process, value = running[-1]
            ops.append((process, "invoke", [[f, key, None if f == "r" else what] for f, key, what in value]))
        else:
            process, value = running.pop(rng.randrange(len(running)))
            ops.append((process, rng.choice(["ok", "ok", "ok", "info", "fail"]), value))
    keep = rng.randint(1, len(ops))
    return [Op(0, 0, process, kind, "txn", value) for process, kind, value in ops[:keep]]


def is_one_sentence(error):
    assert "\n" not in str(error)


def decided(ops, family):
    try:
        verdict = judge(ops, family)
    except UsageError as error:
        is_one_sentence(error)
        return
    assert verdict.valid in (True, False, "unknown")
    assert all(anomaly.explanation.startswith(anomaly.name) for anomaly in verdict.anomalies)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.data(), st.sampled_from(["list-append", "rw-register"]))
def test_odd_values_of_the_right_shape(data, family):
    decided(data.draw(histories(family)), family)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(JSON, st.sampled_from(["list-append", "rw-register"]), st.sampled_from(["invoke", "ok"]))
def test_values_of_any_shape(value, family, kind):
    asked = value if kind == "invoke" else []
    try:
        load([Op(0, 0, 0, "invoke", "txn", asked), Op(0, 0, 0, "ok", "txn", value)], family)
    except UsageError as error:
        is_one_sentence(error)
    assert KINDS[family].recognises(Op(0, 0, 0, "ok", "txn", value)) in (True, False, None)


@pytest.mark.parametrize("family", ["list-append", "rw-register"])
def test_nothing_at_all(family):
    verdict = judge([Op(0, 0, "nemesis", "info", "start-kill"), Op(0, 0, "nemesis", "info", "start-kill")], family)
    assert verdict.valid is True
    assert judge([Op(0, 0, 0, "invoke", "txn", [])], family).valid is True
