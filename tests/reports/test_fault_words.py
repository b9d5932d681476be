from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
from hypothesis import given, settings

from harness.op import NEMESIS
from reports.fault_words import measured, planned
from reports.faults import Fault, read_faults
from tests.reports.made import SECOND, Bank


def fault(plan: Any = None, evidence: Any = None, removal: Any = None, *, lasting: bool = True) -> Fault:
    return Fault("kill", 0, 1, lasting, True, ["kv1", "kv2"], plan or {}, evidence or {}, True, removal or {})


def test_units() -> None:
    assert planned(fault({"offsets_ms": [120_000], "loss_ppm": 1000, "key": 6})) == "offsets 120 s, loss 0.1 %, key 6"
    assert planned(fault({"offsets_ms": [10_000, -60_000], "ppm": [-500, 2_000]})) == (
        "offsets 10 s and -60 s, ppm -0.05 % and 0.2 %".replace("ppm ", "")
    )
    words = measured(fault(None, {"offset_ns": -4_312_000_000, "answers": False, "tso_ms": 59_960.4, "took_s": 1.5}))
    assert words == [("in force", "offset -4.31 s, answers no, tso 60 s, took 1.5 s")]
    assert measured(fault(None, {"offset_ms": 1e300}, lasting=False)) == [("done", "offset ms 1e+300")]


def test_nodes_that_are_the_targets_are_not_said_twice() -> None:
    assert planned(fault({"on": "all", "nodes": ["kv1", "kv2"]})) == "on all"
    assert planned(fault({"nodes": ["kv1", "kv3"]})) == "nodes kv1 and kv3"


def test_a_fault_that_was_tried_again_is_one_fault() -> None:
    bank = Bank()
    for at in (1, 3):
        bank.add(at * SECOND, NEMESIS, "info", "start-kill", {"id": 7, "nodes": ["kv1"]})
        bank.add((at + 1) * SECOND, NEMESIS, "info", "start-kill", {"id": 7, "evidence": {"verified": False}}, "down")
    bank.add(5 * SECOND, NEMESIS, "info", "start-kill", {"id": 7, "nodes": ["kv1"]})
    shown = {"id": 7, "targets": ["kv1"], "evidence": {"verified": True, "measured": {}}}
    bank.add(6 * SECOND, NEMESIS, "info", "start-kill", shown)
    (fault,) = read_faults(bank.ops(), 9 * SECOND)
    assert (fault.verified, fault.start_ns, planned(fault)) == (True, 5 * SECOND, "attempts 3")


def test_what_is_the_same_of_many_nodes_is_said_once() -> None:
    dead = {"state": "dead", "answers": False}
    words = measured(fault(None, {"dead pd1": dead, "at": 3, "dead kv1": dead, "kv2": {"state": "up"}}))
    assert words == [("in force", "dead pd1 and dead kv1 (state dead, answers no), at 3, kv2 (state up)")]
    words = measured(fault(None, {"dead": {"pd1": dead, "kv1": dead}}))
    assert words == [("in force", "dead (pd1 and kv1 (state dead, answers no))")]


def test_before_during_and_after_are_told_apart_at_any_depth() -> None:
    start = {"kv1": {"before": {"state": "running"}, "during": {"state": "dead", "exit": 137}}, "before_ns": 5}
    stop = {"kv1": {"before": {"state": "dead"}, "after": {"state": "running", "answers": True}}, "took_ms": 3}
    assert measured(fault(None, start, stop)) == [
        ("before", "kv1 (state running), 5 ns"),
        ("in force", "kv1 (state dead, exit 137)"),
        ("at its end", "kv1 (state dead)"),
        ("after", "took 3 ms, kv1 (state running, answers yes)"),
    ]
    cut = {"links": 4, "during": {"connections": 0}, "dropped": 12, "after": {"connections": 4}}
    assert measured(fault(None, {"before": {"connections": 4}, "during": {"connections": 0}}, cut)) == [
        ("before", "connections 4"), ("in force", "connections 0"), ("at its end", "connections 0"),
        ("after", "links 4, dropped 12, connections 4"),
    ]  # fmt: skip
    clock = {"wall_before_ms": 0.2, "wall_ms": 60_000.1, "monotonic_before_ms": 0.0, "before_lunch": "no"}
    assert measured(fault(None, clock)) == [
        ("before", "wall 200 µs, monotonic 0 ns"), ("in force", "wall 60 s, before lunch no"),
    ]  # fmt: skip
    moved = {"region": 3, "before": "kv5", "target": "kv3", "after": "kv3"}
    assert measured(fault(None, moved, lasting=False)) == [
        ("before", "kv5"), ("done", "region 3, target kv3"), ("after", "kv3"),
    ]  # fmt: skip


def test_nothing_is_lost_where_two_measurements_have_one_name() -> None:
    start = {"state": "dead", "during": {"state": "dead"}, "after": {"state": "gone"}}
    assert measured(fault(None, start)) == [("in force", "state dead, then state gone")]
    assert measured(fault(None, {"links": ["a>b"] * 30})) == [("in force", "links " + "a>b, " * 7 + "a>b and 22 more")]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@settings(deadline=None, derandomize=True, max_examples=100)
@given(st.dictionaries(st.text(), JSON))
def test_any_plan_can_be_told(given: dict[str, Any]) -> None:
    assert len(planned(fault(given))) <= 200
    for lasting in (True, False):
        told = measured(fault(None, given, given, lasting=lasting))
        assert all(len(words) <= 400 for _, words in told)
        if not lasting and any(value not in ([], {}, None) for value in given.values()):
            assert told or all(_is_empty(value) for value in given.values())


def _is_empty(value: Any) -> bool:
    return value in ([], {}, None) or (isinstance(value, dict) and all(map(_is_empty, value.values())))


def test_a_very_deep_one_can_be_told() -> None:
    deep: dict[str, Any] = {"end": 1}
    for number in range(400):
        deep = {("before", "during", "kv1")[number % 3]: deep}
    assert measured(fault(deep, deep, deep))
