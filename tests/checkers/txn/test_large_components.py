"""Blind writes of many clients, and one transaction that read the future and so ties the whole history together."""

from __future__ import annotations

import random

import pytest

from checkers.graph.explain import PATH
from harness.op import Op
from tests.checkers.txn.txns import judge

CLIENTS = 16
KEYS = 6
WRITES_OF_A_KEY = 16


def history(size, seed, first=(), *, is_seen=False, stale=0.0):
    """Of a serial store, each transaction overlapping others; ``first`` is over before all others begin.

    With ``is_seen`` others read what it wrote. A share of ``stale`` only reads, as of some hundred transactions before.
    """
    rng = random.Random(seed)
    state = {key: what for f, key, what in first if f == "w" and is_seen}
    written, ops, states = {}, [], []
    ops += [Op(0, 0, CLIENTS, kind, "txn", [list(each) for each in first]) for kind in ("invoke", "ok") if first]
    running = {}
    made = 0
    while made < size or running:
        client = rng.randrange(CLIENTS)
        if client not in running:
            if made < size:
                made += 1
                value = []
                is_stale = rng.random() < stale
                for _ in range(rng.randint(1, 4)):
                    slot = rng.randrange(KEYS)
                    if is_stale or rng.random() < 0.5:
                        value.append(["r", (slot, written.get(slot, 0) // WRITES_OF_A_KEY), None])
                    else:
                        written[slot] = written.get(slot, 0) + 1
                        value.append(["w", (slot, (written[slot] - 1) // WRITES_OF_A_KEY), written[slot]])
                if made == size:
                    value.append(["w", "later", 1])
                running[client] = ("stale" if is_stale else "invoke", [[f, str(key), what] for f, key, what in value])
                ops.append(Op(0, 0, client, "invoke", "txn", running[client][1]))
            continue
        stage, value = running[client]
        if stage != "done":
            done = []
            shown = states[-rng.randint(1, min(len(states), 500))] if stage == "stale" and states else state
            for f, key, what in value:
                if f == "w":
                    state[key] = what
                done.append([f, key, shown.get(key) if f == "r" else what])
            running[client] = ("done", done)
            states.append(state.copy())
        else:
            ops.append(Op(0, 0, client, "ok", "txn", value))
            del running[client]
    return ops


@pytest.mark.parametrize("seed", range(3))
def test_a_serial_store_is_valid(seed):
    assert set(judge(history(3000, seed), "rw-register").models.values()) == {True}


@pytest.mark.parametrize("seed", range(4))
def test_stale_snapshots_break_nothing_but_time(seed):
    models = judge(history(1000, seed, stale=0.3), "rw-register").models
    assert models["serializable"] is True
    assert models["strict-serializable"] is False


@pytest.mark.parametrize("seed", range(3))
def test_who_read_the_future_may_have_come_last(seed):
    """Nobody saw its write to the first key, so it may be the last one of that key: only time is broken."""
    first = [["r", "later", 1], ["w", "(0, 0)", 0]]
    verdict = judge(history(3000, seed, first), "rw-register")
    assert verdict.models["serializable"] is True
    assert verdict.models["strong-read-committed"] is False
    assert verdict.anomalies[0].name == "G1c-realtime"
    assert len(verdict.anomalies[0].cycle) == 2


@pytest.mark.parametrize("seed", range(6))
def test_who_read_the_future_and_was_read_is_decided(seed):
    """All that followed from its writes had to come after the last transaction; whatever else that breaks is told."""
    first = [["r", "later", 1], *(["w", f"({slot}, 0)", 0] for slot in range(KEYS))]
    verdict = judge(history(3000, seed, first, is_seen=True), "rw-register")
    assert "unknown" not in verdict.models.values()
    assert verdict.models["strong-read-committed"] is False
    assert all(edge.label != PATH for edge in verdict.anomalies[0].cycle)
