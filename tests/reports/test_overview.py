from __future__ import annotations

from itertools import pairwise
from typing import Any

import hypothesis.strategies as st
from hypothesis import given, settings

from harness.clock import MILLISECOND as MS
from harness.clock import SECOND
from harness.history import History
from harness.op import Op
from nemesis.registry import FAULTS, beyond_assumptions
from reports.faults import BEYOND
from reports.overview import Overview, overview


def client(begin: int, end: int, type_: Any, process: int = 0, f: str = "read") -> list[Op]:
    return [Op(0, begin, process, "invoke", f), Op(0, end, process, type_, f)]


def nemesis(f: str, begin: int, end: int, identity: int, **completion: Any) -> list[Op]:
    done = {"id": identity, "targets": ["kv1"], "evidence": {"verified": True, "measured": {}}}
    return [
        Op(0, begin, "nemesis", "info", f, {"id": identity}),
        Op(0, end, "nemesis", "info", f, done, completion.get("error")),
    ]


def seen(*parts: list[Op]) -> Overview:
    return overview(History.from_ops(sorted((op for part in parts for op in part), key=lambda op: op.time)))


def test_overlapping_faults_of_one_kind_are_told_apart_by_their_id() -> None:
    found = seen(
        nemesis("start-kill", 1 * MS, 2 * MS, 1),
        nemesis("start-kill", 3 * MS, 4 * MS, 2),
        nemesis("stop-kill", 5 * MS, 6 * MS, 1),
        nemesis("stop-kill", 9 * MS, 10 * MS, 2),
    ).faults
    assert [(fault.start_ns, fault.end_ns, fault.healed) for fault in found] == [
        (1 * MS, 6 * MS, True),
        (3 * MS, 10 * MS, True),
    ]


def test_heal_all_ends_what_a_failed_stop_left() -> None:
    parts = [
        nemesis("start-pause", 1 * MS, 2 * MS, 1),
        nemesis("stop-pause", 3 * MS, 4 * MS, 1, error="it does not answer"),
    ]
    (fault,) = seen(*parts, client(20 * MS, 30 * MS, "ok")).faults
    assert (fault.healed, fault.end_ns, fault.recovered_ns) == (False, 30 * MS, None)
    (fault,) = seen(*parts, nemesis("heal-all", 8 * MS, 9 * MS, 2), client(20 * MS, 30 * MS, "ok")).faults
    assert (fault.healed, fault.end_ns) == (True, 9 * MS)


def test_recovery_counts_only_operations_begun_after_the_fault() -> None:
    (fault,) = seen(
        nemesis("start-kill", 1 * MS, 2 * MS, 1),
        nemesis("stop-kill", 9 * MS, 10 * MS, 1),
        client(5 * MS, 11 * MS, "ok", 0),
        client(12 * MS, 13 * MS, "fail", 1),
        client(14 * MS, 40 * MS, "ok", 2),
        client(15 * MS, 20 * MS, "ok", 3),
    ).faults
    assert fault.recovered_ns == 10 * MS


def test_fault_that_could_not_be_done_is_not_verified() -> None:
    (fault,) = seen(nemesis("start-kill", 1 * MS, 2 * MS, 1, error="no such node")).faults
    assert not fault.verified
    assert fault.error == "no such node"
    (fault,) = seen(nemesis("start-kill", 1 * MS, 2 * MS, 1)[:1]).faults
    assert not fault.verified
    assert fault.error


def test_longest_gap_includes_both_ends() -> None:
    gap = seen(
        client(0, 1 * SECOND, "fail"), client(5 * SECOND, 6 * SECOND, "ok"), client(7 * SECOND, 8 * SECOND, "ok")
    )
    assert gap.longest_gap is not None
    assert (gap.longest_gap.begin, gap.longest_gap.end) == (0, 6 * SECOND)
    gap = seen(client(0, SECOND, "ok"), client(SECOND, 9 * SECOND, "info"))
    assert gap.longest_gap is not None
    assert (gap.longest_gap.begin, gap.longest_gap.end) == (SECOND, 9 * SECOND)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.sampled_from(["ok", "fail", "info"])), min_size=1))
def test_figures_agree_with_counting_one_by_one(given: list[tuple[int, int, Any]]) -> None:
    ops = [client(begin, begin + took, type_, n, f"f{n % 3}") for n, (begin, took, type_) in enumerate(given)]
    found = seen(*ops)
    assert (found.ok, found.fail, found.info) == tuple(
        sum(type_ == name for *_, type_ in given) for name in ("ok", "fail", "info")
    )
    for kind in found.kinds:
        mine = [entry for n, entry in enumerate(given) if f"f{n % 3}" == kind.f]
        latencies = sorted(took for _, took, type_ in mine if type_ == "ok")
        assert kind.invoked == len(mine)
        assert kind.slowest == (latencies[-1] if latencies else None)
        if latencies:
            assert kind.p50 is not None
            assert sum(latency <= kind.p50 for latency in latencies) * 2 >= len(latencies)
            assert kind.p50 in latencies
    times = sorted({begin + took for begin, took, type_ in given if type_ == "ok"})
    first, last = min(begin for begin, *_ in given), max(begin + took for begin, took, _ in given)
    marks = [first, *times, last]
    assert found.longest_gap is not None
    assert found.longest_gap.length == max(b - a for a, b in pairwise(marks))


def test_faults_beyond_the_assumptions_are_those_of_the_nemesis():
    assert {kind for kind in FAULTS if beyond_assumptions(kind)} == BEYOND
