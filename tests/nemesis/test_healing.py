"""Whatever is injected, in whatever order it is undone, and whatever fails meanwhile: at the end all is as it was."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.sim.faults import MODELLED
from harness.clock import SECOND
from harness.op import HEAL_ALL, INFO, NEMESIS, Op
from harness.rng import Streams
from nemesis.effect import Drifting
from nemesis.fault import LastingFault, World
from nemesis.registry import FAULTS
from nemesis.schedule import draw_schedule

LASTING = [kind for kind, fault in FAULTS.items() if isinstance(fault, LastingFault)]
SIMULATED = [kind for kind in LASTING if set(FAULTS[kind].needs) <= set(MODELLED)]
PDS = ("pd1", "pd2", "pd3")
STORES = ("kv1", "kv2", "kv3", "kv4", "kv5")
WORLD = World(PDS, STORES, 8, (2, 4, 6))


def op(f: str, value: dict) -> Op:
    return Op(-1, 0, NEMESIS, INFO, f, value)


def faults_of(seed: int, kinds: list[str] = SIMULATED, count: int = 12):
    schedule = draw_schedule(kinds, WORLD, Streams(seed), interval_ns=SECOND, limit_ns=(count + 1) * SECOND)
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


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32), st.data())
def test_any_interleaving_ends_healed_where_clocks_belong_to_processes(make_mortal, seed, data):
    """And where every kind there is can be had. Of a frozen process no clock can be set: that is tried again."""
    bare = make_mortal()
    client = bare.nemesis()
    faults = faults_of(seed, LASTING, 16)
    order = data.draw(st.permutations([(fault, verb) for fault in faults for verb in ("start", "stop")]))

    async def main():
        for fault, verb in order:
            value = {"id": fault.id, **fault.plan} if verb == "start" else {"id": fault.id}
            done = await client.invoke(op(f"{verb}-{fault.kind}", value))
            assert done.value["evidence"]["verified"] or "error" in done.value
            for holding in client.in_force():
                check_clocks(bare, client, holding)
            await bare.loop.sleep_until(bare.loop.now() + SECOND // 3)
        done = await client.invoke(op(HEAL_ALL, {}))
        assert done.error is None
        assert [line for line in bare.abnormal() if "off by" not in line] == []
        assert client.in_force() == []

    bare.run(main())


def check_clocks(bare, client, holding):
    """A rate that the ledger holds to be in force is in force on every process that runs."""
    in_force = [effect for other in client.in_force() for effect in other.effects]
    for effect in holding.effects:
        if isinstance(effect, Drifting) and bare.state(effect.node) == "running":
            asked = [other.ppm for other in in_force if isinstance(other, Drifting) and other.node == effect.node]
            assert bare.servers[effect.node].clocks.ppm in asked


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
