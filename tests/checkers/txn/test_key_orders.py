"""Orders of versions that are known only on request: keys that are sequential, or linearizable."""

from __future__ import annotations

import random

import pytest

from checkers.txn.checker import RwRegister
from harness.protocols import CheckContext
from tests.checkers.txn.txn_sim import Chaos, guesses
from tests.checkers.txn.txns import Txns, load


def judge(h, model="serializable", **options):
    ops = h.ops if isinstance(h, Txns) else h
    return RwRegister(**options).check(load(ops, "rw-register"), CheckContext(models=(model,)))


def backwards():
    """Process 1 has written 1 and then 2 to x; what others saw tells the other order, by way of y."""
    h = Txns("rw-register").txn(1, "w x 1").txn(1, "w x 2")
    return h.txn(2, "r x 2; w y 1").txn(3, "r y 1; r x 1")


@pytest.mark.parametrize("option", ["sequential_keys", "linearizable_keys"])
def test_the_order_of_writes_counts_only_if_asked_for(option):
    assert judge(backwards()).models["serializable"] is True
    verdict = judge(backwards(), **{option: True})
    assert verdict.models["serializable"] is False


def test_the_order_of_reads_counts_too():
    h = Txns("rw-register").begin(1, "w x 1; w y 1").begin(2, "w x 2; w y 2").end(1).end(2)
    h.txn(3, "r x 1").txn(4, "r x 2").txn(3, "r y 2").txn(4, "r y 1")
    assert judge(h, sequential_keys=True).valid is True
    assert judge(h, linearizable_keys=True).models["serializable"] is False


def test_nothing_comes_before_the_initial_state():
    h = Txns("rw-register").txn(1, "w x 1").txn(1, "r x nil")
    assert judge(h).valid is True
    for option in ("sequential_keys", "linearizable_keys"):
        verdict = judge(h, **{option: True})
        assert verdict.counts["cyclic-versions"] == 1
        assert set(verdict.models.values()) == {False}
        assert "read as nil" in verdict.anomalies[0].explanation


def test_what_takes_effect_later_precedes_nothing():
    h = (
        Txns("rw-register")
        .begin(1, "w x 1")
        .end(1, "info")
        .txn(2, "w x 2")
        .txn(3, "r x 2; w y 1")
        .txn(4, "r y 1; r x 1")
    )
    for option in ("sequential_keys", "linearizable_keys"):
        assert judge(h, **{option: True}).models["serializable"] is True


@pytest.mark.parametrize("draw", ["chaos", "guesses"])
def test_strict_serializability_needs_no_options_and_they_refute_what_it_does(draw):
    """Where strict serializability holds so do these orders; where they refute, it does not hold."""
    refuted = 0
    for seed in range(120):
        rng = random.Random(seed)
        ops = Chaos(rng, "rw-register", "careless").draw() if draw == "chaos" else guesses(rng, "rw-register")
        plain = judge(ops, "strict-serializable")
        for option, model in [
            ("sequential_keys", "strong-session-serializable"),
            ("linearizable_keys", "strict-serializable"),
        ]:
            ordered = judge(ops, "strict-serializable", **{option: True})
            if plain.models[model]:
                assert ordered.models == plain.models
            for weaker, valid in plain.models.items():
                assert valid or not ordered.models[weaker]
            refuted += ordered.models != plain.models
    assert refuted
