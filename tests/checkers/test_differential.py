"""The checker against a judge that tries all orders, on random small histories of a bank that may misbehave."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkers.bank.columns import BANK_ENCODER
from checkers.bank.strict_serializability import StrictSerializability
from harness.history import History
from harness.protocols import CheckContext
from tests.checkers.bank_sim import Chaos, explainable

SEEDS = st.integers(0, 2**32)


def draw(seed, wild):
    rng = random.Random(seed)
    return Chaos(rng, rng.randint(1, 7), wild).draw()


def judge(ops):
    return StrictSerializability().check(History.from_ops(ops, BANK_ENCODER), CheckContext())


@settings(max_examples=1500, deadline=None, derandomize=True)
@given(SEEDS, st.sampled_from([0, 5, 15, 30]))
def test_valid_exactly_where_some_order_explains_it(seed, wild):
    ops = draw(seed, wild)
    assert judge(ops).valid is explainable(ops)


@pytest.mark.parametrize("wild", [0, 5, 15, 30])
def test_both_verdicts_are_drawn(wild):
    """The comparison above means nothing if one of them never comes."""
    verdicts = [explainable(draw(seed, wild)) for seed in range(300)]
    assert verdicts.count(True) > 20
    assert verdicts.count(False) > 5


@pytest.mark.long
def test_twenty_thousand_more():
    for seed in range(20_000):
        ops = draw(seed, (0, 5, 15, 30)[seed % 4])
        assert judge(ops).valid is explainable(ops), seed


@settings(max_examples=150, deadline=None, derandomize=True)
@given(SEEDS)
def test_renaming_changes_nothing(seed):
    ops = draw(seed, 15)
    rng = random.Random(seed + 1)
    accounts = rng.sample(range(1000), 3)
    processes = rng.sample(range(1000), 200)
    ids = {0: 0, -1: -1} | {number: 7 * number + 3 for number in range(1, 60)}

    def record(old):
        return [accounts[old[0]], old[1], old[2], ids[old[3]], ids[old[4]]]

    def rename(op):
        value = dict(op.value, id=ids[op.value["id"]])
        for key in ("from", "to"):
            if key in value:
                value[key] = accounts[value[key]]
        for key in ("read", "write"):
            if key in value:
                value[key] = [record(old) for old in value[key]]
                if op.f == "read":
                    value[key].sort()
        return op.replace(process=processes[op.process], value=value)

    renamed = [rename(op) for op in ops]
    before, after = judge(ops), judge(renamed)
    assert after.valid == before.valid
    assert after.counts == before.counts


@settings(max_examples=200, deadline=None, derandomize=True)
@given(SEEDS)
def test_every_anomaly_is_told_with_operations_and_words(seed):
    ops = draw(seed, 30)
    verdict = judge(ops)
    assert set(verdict.counts) == {anomaly.name for anomaly in verdict.anomalies}
    for anomaly in verdict.anomalies:
        assert all(ops[index].type == "invoke" for index in anomaly.ops)
        assert anomaly.explanation.startswith(anomaly.name)
        assert "strict-serializable" in anomaly.rules_out
        for edge, following in zip(anomaly.cycle, [*anomaly.cycle[1:], *anomaly.cycle[:1]], strict=True):
            assert edge.target == following.source
            assert edge.why in anomaly.explanation
