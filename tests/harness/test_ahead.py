"""Operations that are handed out before their process is free: all that is begun is in the history, once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from harness import generator as gen
from harness import worker_link, worker_pool
from harness.clock import MILLISECOND, SECOND, RealClock
from harness.history import History
from harness.interpreter import interpret
from harness.op import FAIL, INFO, INVOKE, NEMESIS, OK, Op
from harness.protocols import PENDING
from harness.recorder import Recorder
from harness.rng import Streams
from harness.sequencer import Sequencer
from harness.worker_pool import WorkerPool
from tests.harness.badly_behaved import Logging
from tests.harness.histories import assert_complete

CONCURRENCY = 5


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(worker_pool, "MARGIN_S", 0.4)


class Ready:
    """Has an operation for every thread at all times: one of ``kinds``, with a number of its own."""

    def __init__(self, path: Path, kinds: dict[str, int], seed: int = 0) -> None:
        self._path = str(path)
        self._kinds = kinds
        self._random = random.Random(seed)
        self.given = 0
        self.ahead_given = 0

    def next(self, ctx):
        free = [thread for thread in ctx.free if thread != NEMESIS]
        return self._make(ctx, free[0]) if free else PENDING

    def ahead(self, ctx, thread):
        self.ahead_given += 1
        return self._make(ctx, thread)

    def update(self, op):
        pass

    def _make(self, ctx, thread):
        self.given += 1
        [f] = self._random.choices(list(self._kinds), list(self._kinds.values()))
        value = {"number": self.given, "path": self._path, "ms": self._random.choice((0, 0, 1, 5, 30))}
        return Op(-1, ctx.time, ctx.processes[thread], INVOKE, f, value)


def run(
    folder: Path,
    kinds: dict[str, int],
    seconds: float,
    *,
    kill_every_s: float = 0.0,
    deadline_ns: int = 300 * MILLISECOND,
    stop_after_s: float = 60.0,
) -> tuple[Ready, list[Op]]:
    """Run for a time, killing a client process now and then; return what was asked, and the history, a sound one."""
    ready = Ready(folder / "begun", kinds)
    stop_at = time.monotonic() + stop_after_s

    async def kill(pool: WorkerPool) -> None:
        drawn = random.Random(1)
        while True:
            await asyncio.sleep(drawn.uniform(0, 2 * kill_every_s))
            if victims := [link.pid for link in pool._links() if link.pid]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(drawn.choice(victims), signal.SIGKILL)

    async def main() -> None:
        pool = WorkerPool(Logging({}, "run"), "run", CONCURRENCY, deadline_ns)
        try:
            await pool.start(("127.0.0.1:1",))
            clock = RealClock()
            pool.times = sequencer = Sequencer(recorder, clock)
            killer = asyncio.create_task(kill(pool)) if kill_every_s else None
            await interpret(
                clock=clock,
                generator=gen.time_limit(gen.clients(ready), round(seconds * SECOND)),
                open_client=pool.open_client,
                nemesis=None,
                concurrency=CONCURRENCY,
                record=sequencer.record,
                streams=Streams(1),
                deadline_ns=pool.patience_ns,
                should_stop=lambda: time.monotonic() > stop_at,
                ahead=True,
            )
            if killer is not None:
                killer.cancel()
            sequencer.finish()
        finally:
            await pool.close()

    with Recorder(folder / "history.jsonl") as recorder:
        asyncio.run(main())
    ops = list(History.load(folder / "history.jsonl").ops())
    assert_complete(ops)
    assert [op.time for op in ops] == sorted(op.time for op in ops)
    assert_the_truth(ops, (folder / "begun").read_text().split())
    return ready, ops


def assert_the_truth(ops: list[Op], begun: list[str]) -> None:
    invoked = Counter(op.value["number"] for op in ops if op.type == INVOKE)
    assert max(invoked.values()) == 1
    assert max(Counter(begun).values()) == 1
    assert set(map(int, begun)) <= set(invoked), "something was done of which the history says nothing"
    numbers = {op.index: op.value["number"] for op in ops}
    not_begun = set(numbers.values()) - set(map(int, begun))
    for op in ops:
        if numbers[op.index] in not_begun and op.type != INVOKE:
            assert op.type in {FAIL, INFO}
        if op.error_word == worker_link.NOT_BEGUN:
            assert numbers[op.index] in not_begun, "it was begun, and nobody knows what came of it"
    open_: dict[int | str, Op] = {}
    retired = set()
    for op in ops:
        assert op.process not in retired
        if op.type == INVOKE:
            assert op.process not in open_
            open_[op.process] = op
        else:
            assert open_.pop(op.process).value["number"] == op.value["number"]
            if op.type == INFO:
                retired.add(op.process)


def test_most_operations_are_handed_out_ahead_and_processes_do_not_wait_for_the_harness(tmp_path, monkeypatch):
    monkeypatch.setattr(worker_link, "LISTEN_S", 0.2)
    ready, ops = run(tmp_path, {"log": 1}, 2)
    done = sum(op.type == OK for op in ops)
    assert ready.ahead_given > done // 2
    assert done > 3 * CONCURRENCY * 2 / 0.2, "each process does several operations between two looks at it"


@pytest.mark.parametrize("f", ["log_and_leave", "log_and_block", "log_and_hold", "log_and_refuse", "log_and_too_much"])
def test_whatever_ends_an_operation_what_is_behind_it_is_known(tmp_path, f):
    _, ops = run(tmp_path, {"log": 60, f: 1}, 3)
    assert any(op.f == f and op.type in {INFO, FAIL} for op in ops)
    assert any(op.f == "log" and op.type == OK for op in ops)


def test_whenever_a_client_process_is_killed_all_it_began_is_known(tmp_path):
    _, ops = run(tmp_path, {"log": 60, "log_and_leave": 1, "log_and_refuse": 5}, 5, kill_every_s=0.08)
    ends = Counter(str(op.error_word) for op in ops if op.type == INFO)
    assert ends["worker-died"] > 20, ends


def test_a_completion_that_only_the_harness_cannot_record_retires_the_process(tmp_path):
    _, ops = run(tmp_path, {"log": 40, "log_and_far_too_long": 1}, 3)
    assert any(op.error_word == "unrecordable" for op in ops)


def test_what_is_late_is_not_begun(tmp_path):
    """Behind an operation that takes longer than that, nothing begins: the time limit means something."""
    _, ops = run(tmp_path, {"log_and_sleep": 1}, 1)
    begun = [op.time for op in ops if op.type == INVOKE]
    assert max(begun) < 1 * SECOND + worker_link.AHEAD_NS + 100 * MILLISECOND


def test_an_operation_that_is_cut_off_is_not_taken_for_the_one_behind_it_which_is_not_begun(tmp_path):
    _, ops = run(tmp_path, {"log_and_hold": 1}, 60, deadline_ns=30 * SECOND, stop_after_s=0.5)
    ends = [op for op in ops if op.type != INVOKE and op.value["number"] in begun_numbers(tmp_path)]
    assert len(ends) >= CONCURRENCY
    assert {(op.type, op.error_word) for op in ends} == {(INFO, "cancelled")}


def begun_numbers(folder: Path) -> set[int]:
    return set(map(int, (folder / "begun").read_text().split()))
