"""Clients in processes of their own that end, hang, freeze and are killed: the run goes on, and nothing is left."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness import generator as gen
from harness import worker_pool
from harness.clock import MILLISECOND, RealClock
from harness.exit_codes import EnvironmentFailure
from harness.history import History
from harness.interpreter import Outcome, interpret
from harness.op import FAIL, INFO, INVOKE, OK, Op
from harness.recorder import Recorder
from harness.rng import Streams
from harness.sequencer import Sequencer
from harness.worker_link import WorkerLink
from harness.worker_pool import WorkerPool
from tests.harness.badly_behaved import BadlyBehaved, Refusing
from tests.harness.histories import assert_complete

DEADLINE_NS = 400 * MILLISECOND


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(worker_pool, "MARGIN_S", 0.6)


@contextlib.asynccontextmanager
async def pool_of(concurrency: int, workload=BadlyBehaved, **options) -> AsyncIterator[WorkerPool]:
    pool = WorkerPool(workload({}, "run"), "run", concurrency, DEADLINE_NS, **options)
    try:
        await pool.start(("127.0.0.1:1",))
        yield pool
    finally:
        await pool.close()


def pids(pool: WorkerPool) -> list[int]:
    return [link.pid for link in pool._links()]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def assert_gone(processes: list[int]) -> None:
    deadline = time.monotonic() + 10
    while any(map(is_alive, processes)):
        assert time.monotonic() < deadline, [pid for pid in processes if is_alive(pid)]
        time.sleep(0.01)


def run(folder: Path, generator, concurrency: int = 3, *, during=None, **options) -> tuple[Outcome, list[Op]]:
    """Run a generator on client processes; return what came of it, and the history, which must be a sound one."""

    async def main() -> Outcome:
        async with pool_of(concurrency) as pool:
            known.extend(pids(pool))
            clock = RealClock()
            pool.times = sequencer = Sequencer(recorder, clock)
            helper = asyncio.create_task(during(pool)) if during else None
            outcome = await interpret(
                clock=clock,
                generator=gen.clients(generator),
                open_client=pool.open_client,
                nemesis=None,
                concurrency=concurrency,
                record=sequencer.record,
                streams=Streams(1),
                deadline_ns=pool.patience_ns,
                **options,
            )
            sequencer.finish()
            known.extend(pids(pool))
            if helper is not None:
                await helper
            return outcome

    known: list[int] = []
    with Recorder(folder / "history.jsonl") as recorder:
        outcome = asyncio.run(main())
    assert_gone(known)
    ops = list(History.load(folder / "history.jsonl").ops())
    assert_complete(ops)
    assert [op.time for op in ops] == sorted(op.time for op in ops)
    return outcome, ops


def script(*steps):
    """These operations one after the other, each by whoever is free."""
    return gen.phases(*(gen.limit(gen.repeat(f, value), 1) for f, value in steps))


def ends(ops: list[Op]) -> list[tuple]:
    return [(op.f, op.type, op.error_word) for op in ops if op.type != INVOKE]


def test_an_ordinary_operation_has_the_times_of_its_call(tmp_path):
    _, ops = run(tmp_path, gen.limit(gen.repeat("nap", 0.02), 20))
    assert {op.type for op in ops} == {INVOKE, OK}
    began = {op.process: op for op in ops if op.type == INVOKE}
    offsets = []
    open_: dict[int, int] = {}
    for op in ops:
        if op.type == INVOKE:
            open_[op.process] = op.time
            continue
        inside = op.value[1] - op.value[0]
        outside = op.time - open_[op.process]
        assert inside <= outside < inside + 20 * MILLISECOND
        offsets.append(op.value[0] - open_[op.process])
    assert len(began) == 3
    assert max(offsets) - min(offsets) < 20 * MILLISECOND  # one clock for all


def test_errors_mean_what_they_mean_to_a_client_in_the_harness(tmp_path):
    steps = [("conflict", 1), ("panic", 2), ("hold", 3), ("too_much", 4), ("echo", [None, {"a": "\u2028"}])]
    outcome, ops = run(tmp_path, script(*steps))
    assert ends(ops) == [
        ("conflict", FAIL, "write-conflict"),
        ("panic", INFO, "Panic"),
        ("hold", INFO, "timeout"),
        ("too_much", INFO, "unrecordable"),
        ("echo", OK, None),
    ]
    assert [op.value for op in ops if op.type != INVOKE] == [1, 2, {"seen": 3}, 4, [None, {"a": "\u2028"}]]
    assert (outcome.ok, outcome.fail, outcome.info) == (1, 1, 3)


@pytest.mark.parametrize(("f", "word"), [("leave", "worker-died"), ("block", "worker-hung"), ("freeze", "worker-hung")])
def test_a_client_process_that_is_lost_is_replaced(tmp_path, f, word):
    steps = [("pid", None), (f, None), ("pid", None), ("pid", None)]
    _, ops = run(tmp_path, script(*steps), concurrency=1)
    assert ends(ops) == [("pid", OK, None), (f, INFO, word), ("pid", OK, None), ("pid", OK, None)]
    before, after, again = (op.value for op in ops if op.f == "pid" and op.type == OK)
    assert before != after == again
    assert [op.process for op in ops] == [0, 0, 0, 0, 1, 1, 1, 1]


def test_all_that_was_open_on_a_client_process_ends_with_it_and_nothing_else(tmp_path):
    generator = gen.any_of(gen.limit(gen.repeat("nap", 0.3), 5), gen.limit(gen.repeat("leave", 0.1), 1))
    _, ops = run(tmp_path, generator, concurrency=6)
    lost = [op for op in ops if op.type == INFO]
    assert {op.error for op in lost} == {"worker-died"}
    assert {op.f for op in lost} == {"nap", "leave"}
    assert len({op.process % 2 for op in lost}) == 1  # two client processes, taken in turn
    assert sum(op.type == OK for op in ops) == 6 - len(lost)


def test_a_run_that_is_stopped_keeps_what_was_seen(tmp_path):
    started = time.monotonic()
    _, ops = run(tmp_path, gen.repeat("hold", 7), should_stop=lambda: time.monotonic() > started + 0.5)
    assert any(op.value == {"seen": 7} for op in ops if op.type == INFO)


def test_a_client_process_is_killed_in_the_middle_of_a_commit(tmp_path):
    evidence = []

    async def kill(pool: WorkerPool) -> None:
        await asyncio.sleep(0.3)
        evidence.append(await pool.kill())
        evidence.append(list(pids(pool)))

    _, ops = run(tmp_path, gen.limit(gen.repeat("commit", 0.05), 60), concurrency=6, during=kill)
    shown, processes = evidence
    assert shown.verified
    killed = [op for op in ops if op.error == "client-killed"]
    assert {op.process for op in killed} == set(shown.measured["open"])
    assert shown.measured["process"] in shown.measured["open"]
    assert 0 <= shown.measured["into_commit_us"] < 50_000
    assert shown.measured["gone"]
    assert shown.measured["pid"] not in processes
    assert {op.type for op in ops if op not in killed} <= {INVOKE, OK}


def test_without_a_commit_nobody_is_killed(monkeypatch):
    async def main() -> None:
        async with pool_of(3) as pool:
            before = pids(pool)
            evidence = await pool.kill()
            assert not evidence.verified
            assert pids(pool) == before

    monkeypatch.setattr(worker_pool, "COMMIT_S", 0.05)
    asyncio.run(main())


def test_client_processes_that_cannot_begin_are_an_environment_failure(tmp_path):
    async def main() -> None:
        async with pool_of(3, Refusing, log=tmp_path / "clients.log"):
            pass

    with pytest.raises(EnvironmentFailure, match=r"client processes end .*clients\.log"):
        asyncio.run(main())
    assert "RuntimeError: not here" in (tmp_path / "clients.log").read_text()


@pytest.mark.parametrize("f", ["block", "freeze", "nap"])
def test_kill_9_of_the_harness_takes_its_client_processes_along(f):
    program = f"""
        import asyncio, os, signal
        from harness.op import INVOKE, Op
        from tests.harness.test_worker_pool import pids, pool_of

        async def main():
            async with pool_of(4) as pool:
                client = await pool.open_client(0)
                asyncio.create_task(client.invoke(Op(0, 0, 0, INVOKE, {f!r}, 60)))
                await asyncio.sleep(0.1)
                print(*pids(pool), pool._host._process.pid, flush=True)
                os.kill(os.getpid(), signal.SIGKILL)

        asyncio.run(main())
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=False, timeout=60
    )
    processes = [int(word) for word in done.stdout.split()]
    assert len(processes) == 3, done.stderr
    assert_gone(processes)


def test_a_client_process_that_is_lost_before_it_is_connected_keeps_nobody_waiting():
    async def main() -> list[WorkerLink]:
        lost: list[WorkerLink] = []
        owner = SimpleNamespace(on_lost=lost.append)
        ours, theirs = socket.socketpair()
        hung_up = threading.Timer(3, theirs.close)  # else the test would wait for ever, too
        hung_up.start()
        WorkerLink(1, cast("Any", owner), ours).lose("died")
        assert theirs.fileno() >= 0, "it waited for the other end"
        hung_up.cancel()
        theirs.close()
        return lost

    assert [link.is_lost for link in asyncio.run(main())] == [True]


def test_the_harness_that_was_stopped_does_not_blame_its_clients(tmp_path):
    async def stall(_pool: WorkerPool) -> None:
        await asyncio.sleep(0.2)
        time.sleep(2.5)  # noqa: ASYNC251 (as a machine that was suspended)

    _, ops = run(tmp_path, gen.limit(gen.repeat("nap", 0.3), 6), during=stall)
    assert {op.type for op in ops} == {INVOKE, OK}
