"""The virtual loop against asyncio's promises, and against its own: order, exactness, determinism."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.clock import MILLISECOND, SECOND, RealClock
from harness.virtual_time import VirtualLoop

ROOT = Path(__file__).parents[2]


def run(make):
    loop = VirtualLoop()
    return loop.run_until_complete(make(loop)), loop


def test_time_jumps_to_the_next_event_and_is_exact():
    async def main(loop: VirtualLoop) -> list[int]:
        seen = []
        for step in (1, 1, 999_999_999, 3600 * SECOND):
            await loop.sleep_until(loop.now() + step)
            seen.append(loop.now())
        await loop.sleep_until(5)  # long past
        return [*seen, loop.now()]

    seen, _ = run(main)
    assert seen == [1, 2, 1_000_000_001, 3601 * SECOND + 1, 3601 * SECOND + 1]


def test_asyncio_sleeps_on_the_same_clock():
    async def main(loop: VirtualLoop) -> None:
        await asyncio.sleep(0.1)
        assert loop.now() == 100 * MILLISECOND
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):
                await asyncio.sleep(3600)
        assert loop.now() == 2100 * MILLISECOND
        async with asyncio.timeout(2):
            await asyncio.sleep(1)
        assert await asyncio.wait_for(asyncio.sleep(1, "x"), 5) == "x"
        event = asyncio.Event()
        loop.after(SECOND, event.set)
        await event.wait()
        assert loop.now() == 5100 * MILLISECOND
        assert await asyncio.gather(asyncio.sleep(2, 1), asyncio.sleep(1, 2)) == [1, 2]
        queue: asyncio.Queue[int] = asyncio.Queue()
        async with asyncio.TaskGroup() as group:
            group.create_task(queue.put(7))
            assert await queue.get() == 7

    run(main)


@settings(deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 20), max_size=40))
def test_events_run_in_the_order_of_time_and_then_of_asking(times):
    loop = VirtualLoop()
    ran: list[tuple[int, int, int]] = []
    for number, when in enumerate(times):
        loop.at(when, lambda number, when: ran.append((loop.now(), when, number)), number, when)
    loop.run_until_complete(asyncio.sleep(1))
    assert ran == sorted((when, when, number) for number, when in enumerate(times))


def test_an_event_in_the_past_runs_now_and_a_cancelled_one_never():
    ran: list[str] = []

    async def main(loop: VirtualLoop) -> None:
        await asyncio.sleep(1)
        loop.at(5, ran.append, "late")
        timer = loop.after(10, ran.append, "cancelled")
        loop.after(5, timer.cancel)
        handle = loop.call_later(1, ran.append, "handle")
        handle.cancel()
        loop.call_soon(ran.append, "soon").cancel()
        await asyncio.sleep(2)

    run(main)
    assert ran == ["late"]


def test_an_error_in_a_callback_ends_the_run():
    def fail() -> None:
        raise ZeroDivisionError("planted")

    for arrange in (
        lambda loop: loop.after(5, fail),
        lambda loop: loop.call_soon(fail),
        lambda loop: loop.call_later(1, fail),
    ):

        async def main(loop: VirtualLoop, arrange=arrange) -> None:
            arrange(loop)
            await asyncio.sleep(10)

        with pytest.raises(ZeroDivisionError, match="planted"):
            run(main)


def test_a_failing_run_leaves_its_tasks_finished():
    """What a task holds is let go in its ``finally``, when the run ends by an error too."""
    ran: list[str] = []

    async def holder() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ran.append("let go")

    async def main(loop: VirtualLoop) -> None:
        task = asyncio.create_task(holder())
        await asyncio.sleep(1)
        loop.after(1, lambda: 1 // 0)
        await task

    with pytest.raises(ZeroDivisionError):
        run(main)
    assert ran == ["let go"]


def test_the_result_or_the_error_of_the_main_task_comes_out():
    async def fails(loop: VirtualLoop) -> None:
        await asyncio.sleep(1)
        raise KeyError("x")

    async def answers(loop: VirtualLoop) -> int:
        return 5

    with pytest.raises(KeyError):
        run(fails)
    assert run(answers)[0] == 5
    loop = VirtualLoop()
    future = loop.create_future()
    loop.after(SECOND, future.set_result, 9)
    assert loop.run_until_complete(future) == 9


def test_a_run_that_can_never_end_says_so():
    async def main(loop: VirtualLoop) -> None:
        await loop.create_future()

    with pytest.raises(RuntimeError, match="nothing is left to happen"):
        run(main)


def test_what_is_left_is_cancelled_in_the_order_in_which_it_began():
    ended: list[int] = []

    async def waits(number: int) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append(number)

    async def main(loop: VirtualLoop) -> None:
        for number in range(200):
            loop.create_task(waits(number), name="worker" if number % 2 else None)
        await asyncio.sleep(1)

    run(main)
    assert ended == list(range(200))


def test_nothing_of_the_loop_stays_behind():
    loop = VirtualLoop()
    assert loop.run_until_complete(asyncio.sleep(0, 1)) == 1
    assert not loop.is_running()
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()
    loop.close()
    assert loop.is_closed()
    assert asyncio.run(asyncio.sleep(0, 2)) == 2


MIXED = """
import asyncio, sys
sys.path.insert(0, "")
from harness.virtual_time import VirtualLoop
loop = VirtualLoop()
seen = []
async def worker(number):
    try:
        for step in range(20):
            await asyncio.sleep((number * 7 + step * 3) % 5 / 1000)
            seen.append((loop.now(), number))
        await asyncio.sleep(100)
    finally:
        seen.append(("end", number))
async def main():
    tasks = [asyncio.create_task(worker(number)) for number in range(30)]
    await asyncio.wait(tasks[:3], timeout=1)
loop.run_until_complete(main())
print(seen)
"""


def test_the_order_depends_on_nothing_but_the_program():
    outputs = {
        subprocess.run(
            [sys.executable, "-c", MIXED],
            cwd=ROOT,
            env={"PYTHONHASHSEED": hash_seed, "PATH": "/usr/bin", "MALLOC_ARENA_MAX": hash_seed or "1"},
            capture_output=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2", "3")
    }
    assert len(outputs) == 1
    assert outputs.pop().count(b"end") == 30


def test_the_real_clock_waits_and_never_goes_back():
    async def main() -> None:
        clock = RealClock()
        start = clock.now()
        await clock.sleep_until(start + 20 * MILLISECOND)
        assert clock.now() >= start + 20 * MILLISECOND - MILLISECOND
        before = clock.now()
        await clock.sleep_until(0)
        assert clock.now() >= before

    asyncio.run(main())
    assert RealClock().now() < 10 * SECOND
