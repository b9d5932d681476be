"""Gaps and recovery, against going through the operations one by one."""

from __future__ import annotations

import re
from typing import Any

import hypothesis.strategies as st
from hypothesis import given, settings

from harness.clock import MILLISECOND as MS
from harness.clock import SECOND
from harness.history import History
from harness.op import Op
from reports.faults import Fault, Recovery
from reports.overview import overview
from reports.verdict_text import summary_text
from tests.reports import made

THREADS = 3
OUTCOMES = st.sampled_from(["ok", "ok", "fail", "info", None])
WORK = st.lists(
    st.lists(st.tuples(st.integers(0, 900), st.integers(0, 2500), OUTCOMES), max_size=7),
    min_size=THREADS, max_size=THREADS,
)  # fmt: skip
FAULTS = st.lists(st.tuples(st.integers(0, 6000), st.integers(0, 4000), st.booleans()), max_size=4)


def history_of(work: list[list[Any]], faults: list[tuple[int, int, bool]]) -> tuple[History, list[Op]]:
    """Each thread's operations one after the other (pause, length, outcome, in ms), and the faults."""
    entries: list[tuple[int, int, Op]] = []

    def add(at: int, process: Any, type_: Any, f: str, value: Any = None) -> None:
        entries.append((at * MS, len(entries), Op(0, at * MS, process, type_, f, value)))

    for thread, own in enumerate(work):
        at, process = 0, thread
        for pause, took, outcome in own:
            at += pause
            add(at, process, "invoke", "read")
            if outcome is None:
                break
            at += took
            add(at, process, outcome, "read")
            if outcome == "info":
                process += THREADS
    for number, (begin, length, healed) in enumerate(faults):
        evidence = {"id": number, "targets": ["kv1"], "evidence": {"verified": True, "measured": {}}}
        for f, at in (("start-kill", begin), ("stop-kill", begin + length))[: 2 if healed else 1]:
            add(at, "nemesis", "info", f, {"id": number})
            add(at, "nemesis", "info", f, evidence)
    ops = [op for *_, op in sorted(entries, key=lambda entry: entry[:2])]
    return History.from_ops(ops), ops


def naive_recovery(ops: list[Op], end: int) -> Recovery:
    took: dict[int, int | None] = {}
    for number, op in enumerate(ops):
        if op.type != "invoke" or op.time < end:
            continue
        thread = int(op.process) % THREADS
        took.setdefault(thread, None)
        done = next((other for other in ops[number + 1 :] if other.process == op.process), None)
        if done is not None and done.type == "ok":
            before = took[thread]
            took[thread] = done.time - end if before is None else min(before, done.time - end)
    back = sorted((time, thread) for thread, time in took.items() if time is not None)
    never = sum(time is None for time in took.values())
    if not back:
        return Recovery(None, None, None, None, 0, never)
    last = back[-1][0]
    who = min(thread for time, thread in back if time == last)
    return Recovery(back[0][0], back[(len(back) + 1) // 2 - 1][0], last, who, len(back), never)


@settings(deadline=None, derandomize=True, max_examples=200)
@given(WORK.filter(any), FAULTS)
def test_recovery_is_that_of_each_thread(work: list[list[Any]], faults: list[tuple[int, int, bool]]) -> None:
    history, ops = history_of(work, faults)
    for fault in overview(history, THREADS).faults:
        assert (fault.recovery is not None) == fault.healed
        if fault.healed:
            assert fault.recovery == naive_recovery(ops, fault.end_ns)


def naive_gaps(ops: list[Op]) -> list[tuple[int, int]]:
    clients = [op for op in ops if op.process != "nemesis"]
    found: list[tuple[int, int]] = []
    since = clients[0].time if clients else 0
    for number, op in enumerate(clients):
        if op.type == "ok" or number == len(clients) - 1:
            if op.time - since > SECOND:
                found.append((since, op.time))
            since = op.time
    return found


@settings(deadline=None, derandomize=True, max_examples=200)
@given(WORK.filter(any), FAULTS)
def test_gaps_are_those_between_oks_and_name_what_was_there(
    work: list[list[Any]], faults: list[tuple[int, int, bool]]
) -> None:
    history, ops = history_of(work, faults)
    seen = overview(history, THREADS)
    assert [(gap.begin, gap.end) for gap in seen.gaps] == naive_gaps(ops)
    assert seen.gaps == [] or seen.longest_gap is not None
    for gap in seen.gaps:
        assert seen.longest_gap is not None
        assert gap.length <= seen.longest_gap.length
        there = [fault for fault in seen.faults if not (fault.end_ns < gap.begin or fault.start_ns > gap.end)]
        assert list(gap.faults) == there
        over = [fault.end_ns for fault in seen.faults if fault.end_ns < gap.begin]
        assert (gap.last is None) == (bool(there) or not over)
        assert gap.last is None or gap.last.end_ns == max(over)


def test_without_a_number_of_threads_each_process_counts() -> None:
    history, _ = history_of([[(0, 10, "info"), (5, 10, "ok")], [(0, 10, "ok")], []], [(1, 1, True)])
    (known,), (unknown,) = overview(history, THREADS).faults, overview(history).faults
    assert known.recovery == Recovery(23 * MS, 23 * MS, 23 * MS, 0, 1, 0)
    assert unknown.recovery == Recovery(23 * MS, 23 * MS, 23 * MS, 3, 1, 0)


def test_an_operation_begun_as_the_fault_ends_counts() -> None:
    for begin, expected in ((0, 10 * MS), (-1, None)):
        history, _ = history_of([[(100 + begin, 10 - begin, "ok")], [], []], [(50, 50, True)])
        (fault,) = overview(history, THREADS).faults
        assert fault.recovered_ns == expected


def test_one_that_is_left_behind_is_told() -> None:
    history = History.from_ops(made.real_run().ops())
    seen = overview(history, 12)
    kill = next(fault for fault in seen.faults if fault.kind == "kill")
    assert kill.recovery is not None
    assert kill.recovery.back == 12
    assert kill.recovery.first_ns is not None
    assert kill.recovery.last_ns is not None
    assert kill.recovery.first_ns < 0.3 * SECOND
    assert kill.recovery.last_ns > 2 * SECOND
    (gap,) = seen.gaps
    assert gap.faults == (kill,)
    text = summary_text(made.results(), seen)
    assert re.search(r"\ngap: +no ok for 3\.7\d s from 12\.0\d\d s \(kill\)\n", text)
    assert re.search(
        rf"\nrecovery: +every thread within 4\.\d+ s \(thread {kill.recovery.last_thread} after kill\)\n", text
    )


def test_the_share_of_info_counts_what_never_completed() -> None:
    history, _ = history_of([[(0, 1, "ok")] * 3, [(0, 1, None)], []], [])
    seen = overview(history)
    assert (seen.info, seen.info_share, seen.much_info) == (0, 0.25, True)
    assert "0 info (25%)" in summary_text(made.results(), seen)


def test_a_failed_fault_is_not_blamed() -> None:
    history, _ = history_of([[(0, 1, "ok"), (900, 2000, "ok")], [], []], [(500, 100, True)])
    gone = overview(history).faults[0]
    assert [gap.faults for gap in overview(history).gaps] == [(gone,)]
    ops = list(history.ops())
    failed = [op.replace(error="no such node") if op.f == "start-kill" and "evidence" in op.value else op for op in ops]
    (gap,) = overview(History.from_ops(failed)).gaps
    assert gap.faults == ()


def test_healing_says_what_became_of_each_fault() -> None:
    def entry(at: int, f: str, value: dict[str, Any]) -> list[Op]:
        return [Op(0, at, "nemesis", "info", f, {"id": value.get("id")}), Op(0, at, "nemesis", "info", f, value)]

    there = {"targets": ["kv1"], "evidence": {"verified": True, "measured": {"state": "dead"}}}
    measured = {"kill 1": {"state": "running"}, "pause 2": {"state": "gone"}}
    ops = [
        *entry(1, "start-kill", {"id": 1, **there}),
        *entry(2, "start-pause", {"id": 2, **there}),
        *entry(9, "heal-all", {"evidence": {"verified": False, "measured": measured}}),
    ]
    found: list[Fault] = overview(History.from_ops(ops)).faults
    assert [(fault.removal, fault.removal_verified) for fault in found] == [
        ({"state": "running"}, False), ({"state": "gone"}, False),
    ]  # fmt: skip
