"""The checkers against judges that try all orders, snapshots and version orders, on random small histories."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkers.models import TRANSACTIONAL, stronger
from tests.checkers.txn.brute import verdicts
from tests.checkers.txn.txn_sim import NAMES, Chaos, guesses
from tests.checkers.txn.txns import judge

SEEDS = st.integers(0, 2**32)
FAMILIES = ("list-append", "rw-register")
SOURCES = (*NAMES, "guesses")


def draw(seed, family, source, size=6):
    rng = random.Random(seed)
    if source == "guesses":
        return guesses(rng, family, rng.randint(2, size), rng.randint(1, 3))
    return Chaos(rng, family, source, rng.randint(1, size)).draw()


@settings(max_examples=700, deadline=None, derandomize=True)
@given(SEEDS, st.sampled_from(FAMILIES), st.sampled_from(SOURCES))
def test_every_model_holds_exactly_where_its_definition_says_so(seed, family, source):
    ops = draw(seed, family, source)
    assert judge(ops, family).models == verdicts(ops, family)


@pytest.mark.parametrize("family", FAMILIES)
def test_both_answers_are_drawn_for_every_model(family):
    """The comparison above means nothing if one of them never comes."""
    drawn = {model: set() for model in TRANSACTIONAL}
    for seed in range(300):
        for model, valid in verdicts(draw(seed, family, SOURCES[seed % len(SOURCES)]), family).items():
            drawn[model].add(valid)
    assert all(answers == {True, False} for answers in drawn.values())


@pytest.mark.long
@pytest.mark.parametrize("family", FAMILIES)
def test_twenty_thousand_more(family):
    for seed in range(20_000):
        ops = draw(seed, family, SOURCES[seed % len(SOURCES)], 7)
        assert judge(ops, family).models == verdicts(ops, family), seed


@settings(max_examples=200, deadline=None, derandomize=True)
@given(SEEDS, st.sampled_from(FAMILIES), st.sampled_from(SOURCES))
def test_renaming_keys_values_and_processes_changes_nothing(seed, family, source):
    ops = draw(seed, family, source)
    rng = random.Random(seed + 1)
    keys = dict(enumerate(rng.sample([*range(-3, 900), "x", "y", "a key"], 3)))
    values = dict(enumerate(rng.sample([*range(-9, 10**6), "one", "two"], 200)))
    processes = rng.sample(range(1000), 200)

    def rename(value):
        if isinstance(value, list):
            return [values[each] for each in value]
        return None if value is None else values[value]

    def renamed(op):
        value = [[f, keys[key], rename(what)] for f, key, what in op.value]
        return op.replace(process=processes[op.process], value=value)

    before, after = judge(ops, family), judge([renamed(op) for op in ops], family)
    assert after.models == before.models
    assert after.counts == before.counts


@settings(max_examples=100, deadline=None, derandomize=True)
@given(SEEDS, st.sampled_from(FAMILIES), st.sampled_from(SOURCES), st.sampled_from(TRANSACTIONAL))
def test_the_answer_is_never_better_for_a_stronger_model(seed, family, source, model):
    ops = draw(seed, family, source)
    valid = judge(ops, family, models=(model,)).valid
    for above in stronger(model):
        assert not judge(ops, family, models=(above,)).valid or valid


@settings(max_examples=200, deadline=None, derandomize=True)
@given(SEEDS, st.sampled_from(FAMILIES), st.sampled_from(SOURCES))
def test_what_is_broken_is_told(seed, family, source):
    ops = draw(seed, family, source)
    verdict = judge(ops, family)
    assert set(verdict.counts) == {anomaly.name for anomaly in verdict.anomalies}
    told = {model for anomaly in verdict.anomalies for model in anomaly.rules_out}
    assert told == {model for model, valid in verdict.models.items() if not valid}
    for anomaly in verdict.anomalies:
        assert all(ops[index].type == "invoke" for index in anomaly.ops)
        assert all(f"T{index} (index {index}, " in anomaly.explanation for index in anomaly.ops[:4])
