"""Whatever is injected, in whatever order it is undone, and whatever fails meanwhile: at the end all is as it was."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.clock import SECOND
from harness.op import HEAL_ALL, INFO, NEMESIS, Op
from harness.rng import Streams
from nemesis.fault import LastingFault, World
from nemesis.registry import FAULTS
from nemesis.schedule import draw_schedule

LASTING = [kind for kind, fault in FAULTS.items() if isinstance(fault, LastingFault)]
PDS = ("pd1", "pd2", "pd3")
STORES = ("kv1", "kv2", "kv3", "kv4", "kv5")
WORLD = World(PDS, STORES, 8, (2, 4, 6))


def op(f: str, value: dict) -> Op:
    return Op(-1, 0, NEMESIS, INFO, f, value)


def faults_of(seed: int, count: int = 12):
    schedule = draw_schedule(LASTING, WORLD, Streams(seed), interval_ns=SECOND, limit_ns=(count + 1) * SECOND)
    return schedule.faults[:count]


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32), st.data())
def test_any_interleaving_ends_healed(make_bare, seed, data):
    bare = make_bare()
    client = bare.nemesis()
    faults = faults_of(seed)
    moves = [(fault, verb) for fault in faults for verb in ("start", "stop")]
    order = data.draw(st.permutations(moves))
    kept = data.draw(st.sets(st.sampled_from([fault.id for fault in faults])))  # those that nobody stops

    async def main():
        for fault, verb in order:
            if verb == "start":
                done = await client.invoke(op(f"start-{fault.kind}", {"id": fault.id, **fault.plan}))
                assert done.type == INFO
                assert done.value["evidence"]["verified"] or "error" in done.value
            elif fault.id not in kept:
                done = await client.invoke(op(f"stop-{fault.kind}", {"id": fault.id}))
                assert "error" not in done.value
            await bare.loop.sleep_until(bare.loop.now() + SECOND // 3)
        done = await client.invoke(op(HEAL_ALL, {}))
        assert done.value["evidence"]["verified"]
        assert done.error is None
        # Both clocks keep what they gained by a drift; skewed wall clocks were set.
        assert [line for line in bare.abnormal() if "off by" not in line] == []
        assert client.in_force() == []

    bare.run(main())


@settings(deadline=None, max_examples=80)
@given(st.lists(st.tuples(st.sampled_from(["kill", "pause"]), st.sampled_from(["kv1", "pd1"])), max_size=8), st.data())
def test_a_node_is_down_exactly_as_long_as_somebody_holds_it(make_bare, events, data):
    """Against a model: dead if any kill holds it, else paused if any pause does, else running."""
    bare = make_bare()
    client = bare.nemesis()
    holding: dict[int, tuple[str, str]] = {}

    async def check():
        held = set(holding.values())
        for node in ("kv1", "pd1"):
            want = "dead" if ("kill", node) in held else "paused" if ("pause", node) in held else "running"
            assert bare.state(node) == want

    async def main():
        for number, (kind, node) in enumerate(events):
            done = await client.invoke(op(f"start-{kind}", {"id": number, "on": "one", "nodes": [node]}))
            if "error" not in done.value:
                holding[number] = (kind, done.value["targets"][0])
            await check()
            if holding and data.draw(st.booleans()):
                gone = data.draw(st.sampled_from(sorted(holding)))
                kind_gone, _ = holding.pop(gone)
                await client.invoke(op(f"stop-{kind_gone}", {"id": gone}))
                await check()

    # Targets that are down already are replaced by others of their role: only these two are looked at.
    bare.run(main())


class Flaky:
    """Passes calls on to real faults, but some fail before, some after they have done their work."""

    def __init__(self, faults, failures: list[str]) -> None:
        self._faults = faults
        self._failures = failures

    def __getattr__(self, name):
        real = getattr(self._faults, name)
        if not asyncio.iscoroutinefunction(real):
            return real

        async def call(*args, **kwargs):
            how = self._failures.pop() if self._failures else ""
            if how == "before":
                raise OSError("the injector itself is flaky")
            result = await real(*args, **kwargs)
            if how == "after":
                raise OSError("the injector itself is flaky")
            return result

        return call


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32), st.lists(st.sampled_from(["", "before", "after"]), max_size=25))
def test_an_injector_that_fails_now_and_then_leaves_nothing_behind(make_bare, seed, failures):
    bare = make_bare()
    bare.faults = Flaky(bare.faults, failures)
    client = bare.nemesis()

    async def main():
        for fault in faults_of(seed):
            if fault.kind == "clock-step":
                continue  # a step that may have been done cannot be undone for sure
            done = await client.invoke(op(f"start-{fault.kind}", {"id": fault.id, **fault.plan}))
            assert done.value["evidence"]["verified"] or done.value["error"]
        failures.clear()
        healing = await client.heal_all()
        assert healing.failures == []
        assert [line for line in bare.abnormal() if "off by" not in line] == []

    bare.run(main())


def test_what_cannot_be_undone_is_told_and_keeps_nothing_else_from_being_undone(bare):
    client = bare.nemesis()
    real = bare.faults.start

    async def broken(node: str):
        if node == "kv2":
            raise OSError("no such container")
        return await real(node)

    async def main():
        for number, (f, node) in enumerate([("kill", "kv1"), ("kill", "kv2"), ("pause", "kv3")]):
            await client.invoke(op(f"start-{f}", {"id": number, "on": "one", "nodes": [node]}))
        bare.faults.start = broken
        done = await client.invoke(op(HEAL_ALL, {}))
        assert done.error == "kill 1: OSError: no such container"
        assert not done.value["evidence"]["verified"]
        assert bare.abnormal() == ["kv2 is dead"]
        bare.faults.start = real
        assert (await client.heal_all()).healed == [1]
        assert bare.abnormal() == []

    bare.run(main())


def test_a_fault_that_is_cancelled_half_way_is_healed(bare):
    client = bare.nemesis()

    async def main():
        nodes = [*PDS, *STORES]
        task = asyncio.ensure_future(client.invoke(op("start-kill", {"id": 1, "on": "all", "nodes": nodes})))
        await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert bare.state("kv1") == "dead"
        await client.close()
        assert bare.abnormal() == []

    bare.run(main())


def test_all_targets_are_hit_at_the_same_moment(bare):
    """Else what one of them has not synced yet is safe on another before that dies too."""
    client = bare.nemesis()
    died: list[int] = []
    for node in bare.servers.values():
        node.on_kill = lambda: died.append(bare.loop.now())

    async def main():
        await client.invoke(op("start-kill", {"id": 1, "on": "all", "nodes": [*PDS, *STORES]}))

    bare.run(main())
    assert len(died) == len(bare.servers)
    assert len(set(died)) == 1


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


def test_freeing_a_degraded_node_leaves_the_others_degraded(bare):
    client = bare.nemesis()

    async def main():
        for number, nodes in enumerate((["kv1", "kv2"], ["kv2", "kv3"])):
            plan = {"id": number, "on": "some", "nodes": nodes, "loss_ppm": 0, "delay_ms": 10 * (number + 1)}
            await client.invoke(op("start-network", plan))
        await client.invoke(op("stop-network", {"id": 1}))
        assert bare.degraded("kv1", "kv2")
        assert not bare.degraded("kv3", "kv4")
        await client.invoke(op("stop-network", {"id": 0}))
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
