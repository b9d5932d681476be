from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
from hypothesis import given, settings

from reports.fault_words import measured, planned
from reports.overview import Fault


def fault(plan: dict[str, Any] | None = None, evidence: dict[str, Any] | None = None) -> Fault:
    return Fault("kill", 0, 1, True, True, ["kv1", "kv2"], plan or {}, evidence or {}, True)


def test_units() -> None:
    assert planned(fault({"offsets_ms": [120_000], "loss_ppm": 1000, "key": 6})) == "offsets 120 s, loss 0.1 %, key 6"
    assert measured(fault(None, {"offset_ns": -4_312_000_000, "answers": False})) == "offset -4.31 s, answers no"


def test_nodes_that_are_the_targets_are_not_said_twice() -> None:
    assert planned(fault({"on": "all", "nodes": ["kv1", "kv2"]})) == "on all"
    assert planned(fault({"nodes": ["kv1", "kv3"]})) == "nodes kv1 and kv3"


def test_what_is_the_same_of_many_nodes_is_said_once() -> None:
    dead = {"state": "dead", "answers": False}
    words = measured(fault(None, {"dead pd1": dead, "at": 3, "dead kv1": dead, "kv2": {"state": "up"}}))
    assert words == "dead pd1 and dead kv1 (state dead, answers no), at 3, kv2 (state up)"
    assert measured(fault(None, {"dead": {"pd1": dead, "kv1": dead}})) == "dead (pd1 and kv1 (state dead, answers no))"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@settings(deadline=None, derandomize=True, max_examples=100)
@given(st.dictionaries(st.text(), JSON))
def test_any_plan_can_be_told(given: dict[str, Any]) -> None:
    assert len(planned(fault(given))) <= 200
    assert len(measured(fault(None, given))) <= 200
