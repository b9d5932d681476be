"""Clocks: which settings count, what becomes of them when processes die, whose clock is set instead of a dead one's."""

from __future__ import annotations

import asyncio

from harness.clock import MILLISECOND, SECOND
from harness.op import INFO, NEMESIS, Op
from nemesis.clocks import PD_AHEAD_MS


def op(f: str, value: dict) -> Op:
    return Op(-1, 0, NEMESIS, INFO, f, value)


def test_a_strobe_flips_until_it_is_stopped_and_leaves_the_clock_right(bare):
    client = bare.nemesis()
    node = bare.servers["kv1"]
    seen: set[int] = set()

    async def main():
        plan = {"id": 1, "on": "one", "nodes": ["kv1"], "offsets_ms": [5_000], "period_ms": 200}
        await client.invoke(op("start-clock-skew", plan))
        for _ in range(50):
            await asyncio.sleep(0.1)
            seen.add(node.clocks.wall_offset(bare.loop.now()))
        done = await client.invoke(op("stop-clock-skew", {"id": 1}))
        assert 20 <= done.value["evidence"]["measured"]["flips"] <= 26
        await asyncio.sleep(5)
        assert bare.abnormal() == []

    bare.run(main())
    assert seen == {0, 5 * SECOND}


def test_the_later_of_two_skews_counts_and_the_earlier_comes_back(bare):
    client = bare.nemesis()
    node = bare.servers["kv1"]

    async def skew(number: int, offset_ms: int) -> None:
        plan = {"id": number, "on": "one", "nodes": ["kv1"], "offsets_ms": [offset_ms]}
        await client.invoke(op("start-clock-skew", plan))

    async def main():
        await skew(1, 1_000)
        await skew(2, -7_000)
        assert node.clocks.wall_offset(bare.loop.now()) == -7 * SECOND
        await client.invoke(op("stop-clock-skew", {"id": 2}))
        assert node.clocks.wall_offset(bare.loop.now()) == 1 * SECOND
        await client.invoke(op("stop-clock-skew", {"id": 1}))
        assert bare.abnormal() == []

    bare.run(main())


def test_the_step_of_a_monotonic_clock_is_taken_back(bare):
    client = bare.nemesis()
    node = bare.servers["kv1"]

    async def main():
        plan = {"id": 1, "on": "one", "nodes": ["kv1"], "back_ms": 20_000}
        await client.invoke(op("start-clock-step", plan))
        assert node.monotonic() - bare.loop.now() == -20 * SECOND
        assert ("kv1", "pd1") in bare.cut_links()
        await client.invoke(op("stop-clock-step", {"id": 1}))
        assert node.monotonic() == bare.loop.now()
        assert bare.abnormal() == []

    bare.run(main())


# Clocks that belong to processes.


def test_a_process_that_starts_again_gets_the_clocks_that_are_in_force(mortal):
    client = mortal.nemesis()
    node = mortal.servers["kv1"]
    one = {"on": "one", "nodes": ["kv1"]}

    async def main():
        await client.invoke(op("start-clock-skew", {"id": 1, **one, "offsets_ms": [-7_000]}))
        await client.invoke(op("start-clock-step", {"id": 2, **one, "back_ms": 20_000}))
        await client.invoke(op("start-kill", {"id": 3, **one}))
        done = await client.invoke(op("stop-kill", {"id": 3}))
        clocks = done.value["evidence"]["measured"]["clocks"]
        assert clocks["wall kv1"]["offset_ns"] == -7 * SECOND
        assert clocks["monotonic kv1"]["stepped_ns"] == -20 * SECOND
        assert node.clocks.wall_offset(mortal.loop.now()) == -7 * SECOND
        assert node.monotonic() == mortal.loop.now() - 20 * SECOND
        assert (await client.heal_all()).failures == []
        assert node.monotonic() == mortal.loop.now()
        assert mortal.abnormal() == []

    mortal.run(main())


def test_the_clock_of_a_dead_process_is_right_as_soon_as_it_starts(mortal):
    """The skew was over while it was dead: nobody could set the clock, and nobody has to."""
    client = mortal.nemesis()
    one = {"on": "one", "nodes": ["kv1"]}

    async def main():
        await client.invoke(op("start-clock-skew", {"id": 1, **one, "offsets_ms": [-7_000], "period_ms": 100}))
        await client.invoke(op("start-kill", {"id": 2, **one}))
        await asyncio.sleep(1)
        done = await client.invoke(op("stop-clock-skew", {"id": 1}))
        assert done.error is None
        await client.invoke(op("stop-kill", {"id": 2}))
        assert mortal.abnormal() == []

    mortal.run(main())


def test_a_strobe_goes_on_after_a_restart(mortal):
    client = mortal.nemesis()
    seen: set[int] = set()
    one = {"on": "one", "nodes": ["kv1"]}

    async def main():
        await client.invoke(op("start-clock-skew", {"id": 1, **one, "offsets_ms": [5_000], "period_ms": 200}))
        await client.invoke(op("start-kill", {"id": 2, **one}))
        await asyncio.sleep(2)
        await client.invoke(op("stop-kill", {"id": 2}))
        for _ in range(20):
            await asyncio.sleep(0.1)
            seen.add(mortal.servers["kv1"].clocks.wall_offset(mortal.loop.now()))
        await client.close()
        assert mortal.abnormal() == []

    mortal.run(main())
    assert seen == {0, 5 * SECOND}


def test_a_strobe_leaves_a_frozen_process_alone(mortal):
    """It would have to be let go for the change, and would be no frozen process any more."""
    client = mortal.nemesis()
    calls: list[str] = []
    real = mortal.faults.skew

    def counting(node, offset_ns):
        calls.append(mortal.state(node))
        return real(node, offset_ns)

    mortal.faults.skew = counting
    one = {"on": "one", "nodes": ["kv1"]}

    async def main():
        await client.invoke(op("start-clock-skew", {"id": 1, **one, "offsets_ms": [5_000], "period_ms": 50}))
        await asyncio.sleep(1)
        await client.invoke(op("start-pause", {"id": 2, **one}))
        await asyncio.sleep(1)
        await client.close()

    mortal.run(main())
    assert len(calls) > 15
    assert set(calls) == {"running"}


def test_where_a_process_is_down_the_clock_of_another_one_is_set(mortal):
    """Where all of its role are down, one of another role; and PD's are set ahead by no more than PD's may be."""
    client = mortal.nemesis()

    async def targets_of(f, value):
        done = await client.invoke(op(f, value))
        assert done.value["evidence"]["verified"]
        return done.value["targets"]

    async def main():
        await client.invoke(op("start-pause", {"id": 1, "on": "one", "nodes": ["kv1"]}))
        some = {"on": "some", "nodes": ["kv1", "kv3"], "offsets_ms": [1_000, 2_000]}
        assert await targets_of("start-clock-skew", {"id": 2, **some}) == ["kv3"]
        assert mortal.servers["kv3"].clocks.wall_offset(mortal.loop.now()) == 2 * SECOND
        one = {"on": "one", "nodes": ["kv1"]}
        assert await targets_of("start-clock-drift", {"id": 3, **one, "ppm": [500]}) == ["kv2"]
        assert mortal.servers["kv2"].clocks.ppm == 500
        await client.invoke(op("start-kill", {"id": 4, "on": "stores", "nodes": [f"kv{n}" for n in range(1, 6)]}))
        [pd] = await targets_of("start-clock-skew", {"id": 5, **one, "offsets_ms": [60_000]})
        assert mortal.servers[pd].clocks.wall_offset(mortal.loop.now()) == PD_AHEAD_MS * MILLISECOND

    mortal.run(main())


def test_where_nothing_runs_no_clock_is_set(mortal):
    client = mortal.nemesis()

    async def main():
        await client.invoke(op("start-kill", {"id": 1, "on": "all", "nodes": list(mortal.servers)}))
        skew = {"id": 2, "on": "one", "nodes": ["kv1"], "offsets_ms": [1_000]}
        assert (await client.invoke(op("start-clock-skew", skew))).error == "every node is down already"

    mortal.run(main())
