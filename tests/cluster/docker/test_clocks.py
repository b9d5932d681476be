"""Clocks of real processes, skewed from outside."""

import asyncio
import contextlib
import itertools
import os
import platform
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.docker import clock_change, clocks
from cluster.docker.clock_change import Look, Sample, change
from cluster.docker.clocks import ProcessClocks
from cluster.docker.host_process import Gone
from cluster.docker.ptrace_stop import Stopped
from cluster.docker.vdso import our_vdso, vdso_address
from cluster.docker.vdso_rows import SKEWED, STEADY, TRUE, WALL, Clocks, Row
from harness.clock import MILLISECOND, SECOND
from harness.exit_codes import EnvironmentFailure, UsageError
from tests.cluster.docker.clock_child import CPU_CLOCKS, Child

HOUR = 3600 * SECOND
NOBODY = 2**22 + 1  # no process has such a number


def changed(pid, tell):
    """What the product does in a thread that ends after it."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(change, pid, tell).result()


def change_for_ever(pid):
    for offset_ns in itertools.count():
        changed(pid, lambda *_, offset_ns=offset_ns: TRUE.with_wall(offset_ns))


def image_of(pid):
    with Path(f"/proc/{pid}/mem").open("rb") as memory:
        memory.seek(vdso_address(pid))
        return memory.read(len(our_vdso().image))


def expected(wall_ms=0.0, steady_ms=0.0):
    return {**dict.fromkeys(WALL, wall_ms), **dict.fromkeys(STEADY, steady_ms)}


# What is changed, and what is said of it.


@pytest.mark.parametrize("offset_ns", [60 * SECOND, -100 * MILLISECOND, -HOUR - 1])
def test_a_wall_clock_is_set_off_and_put_right(child, offset_ns):
    there = asyncio.run(ProcessClocks().skew(child.pid, offset_ns))
    assert child.offsets_ms() == expected(wall_ms=round(offset_ns / 1e6, 1))
    assert {clock: abs(off) < 1 for clock, off in child.offsets_ms(CPU_CLOCKS).items()} == dict.fromkeys(
        CPU_CLOCKS, True
    )
    before, said, after = child.ask("gettimeofday()")
    assert before + offset_ns - 1000 < said <= after + offset_ns
    low, said, stored, high = child.ask("seconds()")
    assert said == stored
    assert low + offset_ns // SECOND <= said <= high + offset_ns // SECOND + 1
    assert there.verified
    assert there.measured.pop("stood_still_ms") > 0
    asked = round(offset_ns / 1e6, 3)
    assert there.measured == {
        "asked_ms": asked,
        "wall_before_ms": pytest.approx(0, abs=0.1),
        "wall_ms": pytest.approx(asked, abs=0.1),
        "monotonic_before_ms": pytest.approx(0, abs=0.1),
        "monotonic_ms": pytest.approx(0, abs=0.1),
    }
    assert image_of(child.pid) != our_vdso().image

    gone = asyncio.run(ProcessClocks().skew(child.pid, 0))  # by another: what was done stands in the process
    assert gone.verified
    assert gone.measured["wall_before_ms"] == pytest.approx(asked, abs=0.1)
    assert child.offsets_ms() == expected()
    assert image_of(child.pid) == our_vdso().image


def test_steps_of_the_monotonic_clocks_add_up_beside_the_wall_clock(child):
    async def main():
        some = ProcessClocks()
        await some.skew(child.pid, HOUR)
        for step, total in ((-5, -5), (7, 2), (-1, 1), (-1, 0)):
            evidence = await some.step_monotonic(child.pid, step * SECOND)
            assert evidence.verified
            assert evidence.measured["monotonic_ms"] == pytest.approx(total * 1000, abs=0.1)
            assert child.offsets_ms() == expected(3_600_000, total * 1000)
            assert some.needs_restart(child.pid) == (total > 0)
        await some.step_monotonic(child.pid, SECOND)
        assert some.needs_restart(child.pid)
        some.forget(child.pid)
        assert not some.needs_restart(child.pid)

    asyncio.run(main())


@pytest.mark.parametrize("ppm", [20_000, -20_000])
def test_a_drift_is_measured_and_ends_without_a_step_of_the_monotonic_clock(child, ppm):
    async def main():
        some = ProcessClocks()
        drifting = await some.drift(child.pid, ppm)
        assert drifting.verified, drifting
        assert drifting.measured["wall_ppm"] == pytest.approx(ppm, abs=abs(ppm) / 4)
        ended = await some.drift(child.pid, 0)
        assert ended.verified, ended
        assert ended.measured["wall_ms"] == pytest.approx(0, abs=0.1)
        gathered = ended.measured["monotonic_ms"]
        assert abs(gathered) > 1
        assert (gathered > 0) == (ppm > 0)
        assert gathered == pytest.approx(ended.measured["monotonic_before_ms"], abs=1)
        assert not some.needs_restart(child.pid)
        assert image_of(child.pid) != our_vdso().image
        await asyncio.sleep(ended.measured["monotonic_true_in_s"] + 0.2)
        assert child.offsets_ms() == expected()  # by themselves
        assert (await some.look(child.pid)).verified
        assert image_of(child.pid) == our_vdso().image

    asyncio.run(main())


ROWS_OF_A_CLOCK = st.builds(
    Row,
    offset_ns=st.integers(-100 * 365 * 24 * HOUR, 100 * 365 * 24 * HOUR),
    since_ns=st.integers(0, 2 * 10**18),
    ppm=st.integers(-500_000, 500_000),
    limit_ns=st.integers(0, 2**63 - 1) | st.sampled_from([0, 1, SECOND]),
)


@pytest.fixture(scope="module")
def standing(_clocks_work):
    started = Child()
    yield started
    started.end()


@given(st.lists(ROWS_OF_A_CLOCK, min_size=3, max_size=3))
@settings(max_examples=150, deadline=None)
def test_the_code_reckons_as_python_does(standing, rows):
    """The wall clocks only: a monotonic one must not be before 0. A coarse one stands still, so it is known exactly."""
    told = list(TRUE.rows)
    for clock, row in zip(WALL, rows, strict=True):
        told[clock] = row
    clocks = Clocks(tuple(told), wall_ns=1)
    done = changed(standing.pid, lambda *_: clocks)
    assert done.after.agree
    sample = done.after.samples[5]
    if sample.before_ns == sample.after_ns:
        assert sample.reading_ns == told[5].reading(sample.before_ns)


@pytest.mark.parametrize("wrong", [-1, 1])
@pytest.mark.parametrize("clock", SKEWED)
def test_a_reading_that_is_a_nanosecond_wrong_is_no_proof(clock, wrong):
    clocks = TRUE.with_wall(HOUR).with_step(SECOND)
    samples = {number: Sample(10**18, clocks.rows[number].reading(10**18), 10**18) for number in SKEWED}
    assert Look(clocks, samples).agree
    off = msgspec.structs.replace(samples[clock], reading_ns=samples[clock].reading_ns + wrong)
    assert not Look(clocks, {**samples, clock: off}).agree


def test_code_that_does_something_else_is_no_proof(child, monkeypatch):
    right = clock_change.block
    monkeypatch.setattr(clock_change, "block", lambda told: right(told.with_wall(told.wall_ns + 1000)))
    assert not asyncio.run(ProcessClocks().skew(child.pid, HOUR)).verified


def test_a_drift_that_does_not_show_is_no_proof(child, monkeypatch):
    monkeypatch.setattr(Clocks, "with_rate", lambda clocks, ppm, _: clocks.with_wall(ppm))
    assert not asyncio.run(ProcessClocks().drift(child.pid, 20_000)).verified


# What is asked in vain.


def test_what_no_clock_can_do_is_refused_in_a_sentence(child):
    some = ProcessClocks()
    for asked, error, words in (
        (some.drift(child.pid, 500_001), UsageError, "more than 500000 ppm"),
        (some.skew(child.pid, 11 * 365 * 24 * HOUR), UsageError, "ten years are the limit"),
        (some.step_monotonic(child.pid, -5 * 365 * 24 * HOUR), EnvironmentFailure, "this machine is up for"),
        (some.skew(NOBODY, 0), Gone, f"process {NOBODY} has ended"),
        (some.skew(2, 0), EnvironmentFailure, "process 2 "),  # a thread of the kernel, or somebody else's process
    ):
        with pytest.raises(error, match=words):
            asyncio.run(asked)
    assert image_of(child.pid) == our_vdso().image
    assert child.offsets_ms() == expected()


def test_a_process_that_has_ended_is_gone(child):
    os.kill(child.pid, signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # still a zombie
    with pytest.raises(Gone, match=f"process {child.pid} has ended"):
        asyncio.run(ProcessClocks().skew(child.pid, SECOND))


def test_a_process_that_a_debugger_holds_is_left_alone(child):
    held, done = threading.Event(), threading.Event()

    def debug():
        with Stopped(child.pid, 0, 0):
            held.set()
            done.wait()

    debugger = threading.Thread(target=debug)
    debugger.start()
    held.wait()
    try:
        with pytest.raises(EnvironmentFailure, match=rf"process {child.pid} cannot be stopped: process \d+ traces it"):
            changed(child.pid, lambda *_: TRUE.with_wall(SECOND))
    finally:
        done.set()
        debugger.join()
    assert child.offsets_ms() == expected()


def test_a_vdso_that_others_have_changed_is_left_alone(child):
    at = vdso_address(child.pid) + our_vdso().free
    with Path(f"/proc/{child.pid}/mem").open("r+b", buffering=0) as memory:
        memory.seek(at)
        memory.write(b"mine")
    theirs = image_of(child.pid)
    with pytest.raises(EnvironmentFailure, match="is not the kernel's"):
        asyncio.run(ProcessClocks().skew(child.pid, SECOND))
    assert image_of(child.pid) == theirs
    assert child.offsets_ms() == expected()


def test_where_it_does_not_work_the_capability_says_why(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert "x86-64 only" in ProcessClocks().capability().reason
    monkeypatch.undo()
    small = msgspec.structs.replace(our_vdso(), free=len(our_vdso().image) - 16)
    monkeypatch.setattr(clocks, "our_vdso", lambda: small)
    assert "has 16 unused bytes" in ProcessClocks().capability().reason


def test_when_looking_fails_the_process_is_as_it_was(child, monkeypatch):
    changed(child.pid, lambda *_: TRUE.with_wall(HOUR))
    image = image_of(child.pid)
    real = Stopped.call
    calls = []

    def second_fails(stopped, *arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise EnvironmentFailure("planted")
        return real(stopped, *arguments)

    monkeypatch.setattr(Stopped, "call", second_fails)
    with pytest.raises(EnvironmentFailure, match="planted"):
        changed(child.pid, lambda clocks, _: clocks.with_wall(-HOUR).with_step(SECOND))
    assert image_of(child.pid) == image
    assert child.offsets_ms() == expected(wall_ms=3_600_000)


# What a process notices of it: nothing else.


def test_a_sleep_lasts_as_long_as_it_should_whatever_is_changed_meanwhile(child):
    child.send("asleep(0.5)")
    for k in range(20):
        changed(child.pid, lambda *_, k=k: TRUE.with_wall(k * SECOND))
        time.sleep(0.01)
    assert child.answer() >= 0.5


def test_a_stopped_process_stays_stopped_and_can_be_continued(child):
    os.kill(child.pid, signal.SIGSTOP)
    while not child.status("State").startswith("T"):
        time.sleep(0.01)
    evidence = asyncio.run(ProcessClocks().skew(child.pid, HOUR))
    assert evidence.verified
    assert child.status("State") == "T (stopped)"
    os.kill(child.pid, signal.SIGCONT)
    assert child.offsets_ms() == expected(wall_ms=3_600_000)


def test_a_change_that_is_cancelled_leaves_nobody_stopped(child):
    chance = random.Random(4)

    async def main():
        some = ProcessClocks()
        for k in range(60):
            task = asyncio.create_task(some.skew(child.pid, k * SECOND))
            await asyncio.sleep(chance.random() * 0.004)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            assert child.status("TracerPid") == "0"
            assert child.status("State")[0] in "RS"
        await some.skew(child.pid, 0)

    asyncio.run(main())
    assert child.offsets_ms() == expected()
    assert image_of(child.pid) == our_vdso().image


@pytest.mark.usefixtures("_clocks_work")
def test_a_process_may_be_killed_at_any_moment_of_a_change():
    chance = random.Random(5)
    for _ in range(12):
        child = Child()
        killer = threading.Timer(chance.random() * 0.02, os.kill, (child.pid, signal.SIGKILL))
        killer.start()
        try:
            with pytest.raises(Gone):
                change_for_ever(child.pid)
        finally:
            killer.join()
            child.end()


def test_the_event_loop_goes_on_meanwhile(child):
    async def main():
        some = ProcessClocks()
        beats = 0

        async def beat():
            nonlocal beats
            while True:
                await asyncio.sleep(0.005)
                beats += 1

        heart = asyncio.create_task(beat())
        await some.drift(child.pid, 1000)  # takes a tenth of a second
        heart.cancel()
        assert beats > 2

    asyncio.run(main())


# The freezer.


FREEZER = Path("/sys/fs/cgroup/freezer")


@pytest.fixture
def frozen(child):
    if not (FREEZER / "cgroup.procs").exists():
        pytest.skip("needs the freezer of version 1 of control groups at /sys/fs/cgroup/freezer")
    group = FREEZER / f"quorumquake-test-{child.pid}"
    group.mkdir()
    (group / "cgroup.procs").write_text(str(child.pid))
    (group / "freezer.state").write_text("FROZEN")
    while (group / "freezer.state").read_text().strip() != "FROZEN":
        time.sleep(0.01)
    yield group / "freezer.state"
    (group / "freezer.state").write_text("THAWED")
    child.end()
    group.rmdir()


@pytest.mark.parametrize("noticed", [True, False])
def test_a_frozen_process_is_refused_and_goes_on_when_it_is_thawed(child, frozen, noticed, monkeypatch):
    if not noticed:  # it may be frozen just after we looked
        monkeypatch.setattr(clock_change, "is_frozen", lambda _: False)
    with pytest.raises(EnvironmentFailure, match="is frozen: its clocks" if noticed else "did not stop within 1 s"):
        asyncio.run(ProcessClocks().skew(child.pid, SECOND))
    while child.status("TracerPid") != "0":  # until our thread is gone for the kernel, too
        time.sleep(0.001)
    frozen.write_text("THAWED")
    assert child.offsets_ms() == expected()
    assert asyncio.run(ProcessClocks().skew(child.pid, SECOND)).verified
