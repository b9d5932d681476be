"""The checkers against judges that try all orders, snapshots and version orders, on random small histories."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkers.models import TRANSACTIONAL, stronger
from tests.checkers.txn.brute import (
    counting,
    realtime_order,
    serializable,
    snapshot_isolation,
    transactions,
    verdicts,
)
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


def longer(rng, family, source):
    """A history of dozens of transactions, in which a few may have read what another read of the key has shown."""
    ops = Chaos(rng, family, source, rng.randint(10, 40), rng.randint(1, 4)).draw()
    reads = [(at, key, value) for at, op in enumerate(ops) if op.type == "ok" for f, key, value in op.value if f == "r"]
    for _ in range(rng.randint(0, 2) if reads else 0):
        at, key, _ = rng.choice(reads)
        other = rng.choice([value for _, own, value in reads if own == key])
        value = [[f, k, other if f == "r" and k == key else what] for f, k, what in ops[at].value]
        ops[at] = ops[at].replace(value=value)
    return ops


@settings(max_examples=150, deadline=None, derandomize=True)
@given(SEEDS, st.sampled_from(FAMILIES), st.sampled_from(["sound", "isolated"]))
def test_longer_histories_in_the_order_of_time(seed, family, source):
    ops = longer(random.Random(seed), family, source)
    models = judge(ops, family).models
    # Those that count are the same for both; trying all subsets of those of unknown outcome would take too long.
    txns = sorted(counting(transactions(ops), family == "list-append"), key=lambda txn: txn.number)
    for model, allows in (("strict-serializable", serializable), ("strong-snapshot-isolation", snapshot_isolation)):
        assert models[model] is allows(txns, family == "list-append", realtime_order), model


@pytest.mark.long
@pytest.mark.parametrize("family", FAMILIES)
def test_four_thousand_more(family):
    for seed in range(4_000):
        ops = draw(seed, family, SOURCES[seed % len(SOURCES)], 7)
        assert judge(ops, family).models == verdicts(ops, family), seed


@settings(max_examples=200, deadline=None, derandomize=True)
@given(SEEDS, st.sampled_from(FAMILIES), st.sampled_from(SOURCES))
def test_renaming_keys_values_and_processes_changes_nothing(seed, family, source):
    ops = draw(seed, family, source)
    rng = random.Random(seed + 1)
    keys = dict(enumerate(rng.sample([*range(-3, 900), "x", "y", "a key"], 3)))
    values = dict(enumerate(rng.sample([*range(-9, 900), 2**40, "one", "two"], 200)))
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
    broken = {model for model, valid in verdict.models.items() if not valid}
    assert told == broken
    for anomaly in verdict.anomalies:
        assert all(ops[index].type == "invoke" for index in anomaly.ops)
        assert all(f"T{index} (index {index}, " in anomaly.explanation for index in anomaly.ops[:4])
