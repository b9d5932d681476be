"""What is done to the whole cluster, to clients and through PD: on servers whose clocks belong to processes."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from cluster.api import Evidence
from harness.clock import SECOND
from harness.journal import Journal, open_entries
from harness.op import INFO, NEMESIS, Op
from nemesis.effect import Dead, Effect, Paused, settle
from nemesis.fault import World
from nemesis.membership import NODE_S, REST_S, RollingRestart

NODES = ["kv2", "pd1", "kv1"]
ROLL = {"id": 1, "on": "all", "nodes": NODES}


def op(f: str, **value) -> Op:
    return Op(-1, 0, NEMESIS, INFO, f, value)


def test_nodes_restart_one_after_the_other(mortal):
    client = mortal.nemesis()
    states: list[list[str]] = []
    for name in NODES:
        mortal.servers[name].on_start = lambda: states.append([mortal.state(node) for node in NODES])

    async def main():
        done = await client.invoke(op("rolling-restart", **ROLL))
        assert done.error is None
        assert done.value["targets"] == mortal.faults.stopped == NODES
        measured = done.value["evidence"]["measured"]["kv1"]
        assert measured["stopped"]["state"] == "dead"
        assert measured["started"]["state"] == "running"
        assert measured["leaders_at_rest_after_s"] == 0
        assert client.in_force() == []

    mortal.run(main())
    assert states == [["running"] * 3] * 3  # whoever starts is the only one that was down
    assert mortal.abnormal() == []


def test_the_next_node_waits_until_regions_have_leaders_again(mortal):
    client = mortal.nemesis()
    led = {"pd": "pd1", "region 1": "kv1", "region 2": "kv2"}
    lost_until = 0

    def leaders():
        return led if mortal.loop.now() >= lost_until else {"pd": "pd1"}

    def lose():
        nonlocal lost_until
        lost_until = mortal.loop.now() + 2 * SECOND

    mortal.faults.leaders = leaders
    mortal.servers["kv2"].on_kill = lose
    ended = 0

    def next_one():
        nonlocal ended
        ended = mortal.loop.now()

    mortal.servers["pd1"].on_kill = next_one

    async def main():
        done = await client.invoke(op("rolling-restart", **ROLL))
        after = {node: done.value["evidence"]["measured"][node]["leaders_at_rest_after_s"] for node in NODES}
        assert 1 < after["kv2"] <= 2
        assert after["pd1"] == after["kv1"] == 0
        assert ended - lost_until >= REST_S * SECOND

    mortal.run(main())


def test_the_journal_knows_which_nodes_a_rolling_restart_may_leave_down(mortal, tmp_path):
    path = tmp_path / "faults.journal"
    journal = Journal(path)
    client = mortal.nemesis(journal)
    named: list[list[Effect]] = []

    def look():
        (entry,) = open_entries(path)
        named.append(msgspec.convert(entry.undo["effects"], list[Effect]))

    mortal.servers["pd1"].on_kill = look
    mortal.run(client.invoke(op("rolling-restart", **ROLL)))
    assert named == [[Dead(node, graceful=True) for node in NODES]]
    assert open_entries(path) == []
    journal.close()


def test_it_leaves_nodes_alone_that_other_faults_hold_down(mortal):
    client = mortal.nemesis()

    async def main():
        await client.invoke(op("start-pause", id=2, on="one", nodes=["pd1"]))
        await client.invoke(op("start-kill", id=3, on="one", nodes=["kv1"]))
        done = await client.invoke(op("rolling-restart", **ROLL))
        assert done.value["targets"] == ["kv2"]
        assert mortal.abnormal() == ["pd1 is paused", "kv1 is dead"]
        assert [holding.kind for holding in client.in_force()] == ["pause", "kill"]

    mortal.run(main())


@pytest.mark.parametrize("how", ["fails", "hangs", "cancelled", "unverified"])
def test_a_rolling_restart_that_is_cut_short_leaves_no_node_down(mortal, tmp_path, how):
    journal = Journal(tmp_path / "faults.journal")
    client = mortal.nemesis(journal)
    start, starts = mortal.faults.start, []

    async def broken(node: str) -> Evidence:
        starts.append(node)
        if len(starts) > 1:
            return await start(node)
        if how == "fails":
            raise OSError("the engine does not answer")
        if how == "unverified":
            return Evidence(verified=False)
        await asyncio.sleep(1_000)
        raise AssertionError

    mortal.faults.start = broken

    async def main():
        task = asyncio.ensure_future(client.invoke(op("rolling-restart", **ROLL)))
        if how == "cancelled":
            await asyncio.sleep(1)
            assert mortal.state("kv2") == "dead"
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await client.close()
        else:
            begin = mortal.loop.now()
            done = await task
            assert done.error
            assert done.value["evidence"]["verified"] is False
            if how == "hangs":
                assert mortal.loop.now() - begin < (8 * NODE_S + 10) * SECOND
        assert mortal.abnormal() == []
        assert client.in_force() == []
        assert open_entries(tmp_path / "faults.journal") == []

    mortal.run(main())
    journal.close()


def test_clocks_are_as_before_after_a_rolling_restart(mortal):
    client = mortal.nemesis()

    async def main():
        await client.invoke(op("start-clock-drift", id=2, on="one", nodes=["kv1"], ppm=[5_000]))
        done = await client.invoke(op("rolling-restart", **ROLL))
        assert done.value["evidence"]["measured"]["clocks"] == {"monotonic_ppm": 5_000, "wall_ppm": 5_000}
        assert mortal.servers["kv1"].clocks.ppm == 5_000
        await client.close()
        assert mortal.servers["kv1"].clocks.ppm == 0

    mortal.run(main())


def test_a_big_cluster_gets_more_time():
    small, big = (World(("pd1",), tuple(f"kv{i}" for i in range(n))) for n in (1, 9))
    assert 4 * RollingRestart().budget_s(small) < RollingRestart().budget_s(big)
    assert RollingRestart().takes_ms(small) < RollingRestart().takes_ms(big)


def test_a_store_joins_under_the_next_free_name_and_leaves(mortal):
    client = mortal.nemesis()

    async def main():
        start = await client.invoke(op("start-store-replacement", id=1))
        assert start.value["targets"] == ["kv6"]
        assert mortal.abnormal() == ["kv6 is there"]
        stop = await client.invoke(op("stop-store-replacement", id=1))
        assert stop.value["evidence"] == {"verified": True, "measured": {"state": "gone"}}
        assert mortal.abnormal() == []

    mortal.run(main())


def test_pd_shuffles_for_as_long_as_somebody_wants_it(mortal):
    client = mortal.nemesis()

    async def main():
        for number in (1, 2):
            await client.invoke(op("start-shuffle", id=number, what="leader"))
        await client.invoke(op("stop-shuffle", id=1))
        assert mortal.abnormal() == ["leader is shuffled"]
        await client.invoke(op("stop-shuffle", id=2))
        assert mortal.abnormal() == []

    mortal.run(main())


def test_processes_are_asked_to_end_unless_they_are_dead_or_frozen(mortal):
    client = mortal.nemesis()

    async def main():
        await client.invoke(op("start-pause", id=1, on="one", nodes=["kv1"]))
        done = await client.invoke(op("start-stop", id=2, on="some", nodes=["kv1", "kv2"]))
        assert done.value["targets"] == mortal.faults.stopped == ["kv2"]
        await client.invoke(op("start-kill", id=3, on="some", nodes=["kv1", "kv2"]))
        assert mortal.faults.stopped == ["kv2"]
        await client.close()
        assert mortal.abnormal() == []

    mortal.run(main())


@pytest.mark.parametrize(
    ("before", "after", "asked"),
    [
        ([], [Dead("kv1", graceful=True)], True),
        ([], [Dead("kv1")], False),
        ([Dead("kv1"), Dead("kv1", graceful=True)], [Dead("kv1", graceful=True)], False),
        ([Paused("kv1")], [Paused("kv1"), Dead("kv1", graceful=True)], False),
    ],
)
def test_only_a_process_that_runs_is_asked_to_end(mortal, before, after, asked):
    mortal.run(settle(mortal.faults, ("process", "kv1"), [], before))
    mortal.faults.stopped.clear()
    mortal.run(settle(mortal.faults, ("process", "kv1"), before, after))
    assert mortal.faults.stopped == (["kv1"] if asked else [])
    assert mortal.state("kv1") == "dead"


class Killer:
    def __init__(self) -> None:
        self.killed = 0

    async def kill(self) -> Evidence:
        self.killed += 1
        return Evidence(verified=True, measured={"pid": 4711})


def test_clients_are_killed_where_they_live_in_processes(mortal):
    killer = Killer()
    done = mortal.run(mortal.nemesis(clients=killer).invoke(op("client-kill", id=1)))
    assert done.value == {"id": 1, "targets": [], "evidence": {"verified": True, "measured": {"pid": 4711}}}
    assert killer.killed == 1
    done = mortal.run(mortal.nemesis().invoke(op("client-kill", id=1)))
    assert done.error == "the clients live in the harness's own process"
