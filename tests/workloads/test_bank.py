"""The bank and the nemesis on the simulated cluster: what is set up, recorded and healed."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest

from cluster.errors import Undetermined
from cluster.sim.cluster import SimCluster
from harness.clock import SECOND
from harness.exit_codes import EnvironmentFailure
from harness.generator import any_of, clients, on_nemesis, phases, stagger, time_limit
from harness.interpreter import interpret
from harness.op import INVOKE, NEMESIS, OK, Op
from harness.rng import Streams
from harness.settings import resolve_workload_options
from nemesis.client import NemesisClient
from nemesis.fault import World
from nemesis.registry import select
from nemesis.schedule import draw_schedule
from workloads.bank import Bank


def bank(run_id: str = "t", **options) -> Bank:
    return Bank(resolve_workload_options(Bank.OPTIONS, options), run_id)


async def read_all(workload: Bank, store) -> dict:
    client = workload.client(store)
    done = await client.invoke(Op(0, 0, 0, INVOKE, "read", {"id": 1, "via": "scan"}))
    assert done.type == OK
    return done.value


def in_cluster(main):
    """Run ``main(cluster)`` on a cluster with the bank's regions."""
    cluster = SimCluster(Streams(3))

    async def whole():
        await cluster.start(bank().split_keys())
        return await main(cluster)

    return cluster.run(whole())


def test_setup_writes_the_total_and_can_be_repeated():
    async def main(cluster):
        workload = bank(accounts=7, total=100)
        store = cluster.store("setup")
        await workload.setup(store)
        await workload.setup(store)
        rows = (await read_all(workload, store))["read"]
        assert [row[0] for row in rows] == list(range(7))
        assert sum(row[1] for row in rows) == 100
        assert max(row[1] for row in rows) - min(row[1] for row in rows) == 1
        assert all(row[2:] == [0, 0, -1] for row in rows)

    in_cluster(main)


def test_runs_with_different_ids_do_not_meet():
    async def main(cluster):
        store = cluster.store("setup")
        for run_id in ("a", "b"):
            await bank(run_id).setup(store)
        assert len((await read_all(bank("a"), store))["read"]) == 8
        assert "corrupt" not in await read_all(bank("b"), store)

    in_cluster(main)


def test_setup_refuses_keys_that_are_in_use():
    async def main(cluster):
        store = cluster.store("setup")
        await bank(total=800).setup(store)
        with pytest.raises(EnvironmentFailure, match="in use already"):
            await bank(total=801).setup(store)

    in_cluster(main)


class LosesAnswers:
    """A store whose first commits succeed but are not known to, or drop half of what was put."""

    def __init__(self, store, losses: list[str]) -> None:
        self._store = store
        self._losses = losses

    def __getattr__(self, name):
        return getattr(self._store, name)

    async def begin(self, mode):
        txn = await self._store.begin(mode)
        loss = self._losses.pop(0) if self._losses else ""
        commit, put, puts = txn.commit, txn.put, []

        async def lossy_put(key, value):
            puts.append(key)
            if loss != "half" or len(puts) % 2:
                await put(key, value)

        async def lossy_commit():
            ts = await commit()
            if loss == "answer":
                raise Undetermined
            return ts

        txn.commit, txn.put = lossy_commit, lossy_put
        return txn


@pytest.mark.parametrize("losses", [["answer"], ["half"], ["half", "answer", "half"]])
def test_setup_trusts_no_commit(losses):
    async def main(cluster):
        store = cluster.store("setup")
        workload = bank()
        await workload.setup(LosesAnswers(store, losses))
        assert sum(row[1] for row in (await read_all(workload, store))["read"]) == 800

    in_cluster(main)


def run_bank(seed: int, names: list[str], limit_s: int = 30) -> tuple[SimCluster, list[Op]]:
    """A whole run without the files."""
    cluster = SimCluster(Streams(seed).below("cluster"))
    workload = bank()
    kinds = select(names, cluster.capabilities()).kinds
    world = World.of(cluster.nodes, workload.keys(), workload.split_keys())
    limit = limit_s * SECOND
    schedule = draw_schedule(kinds, world, Streams(seed), interval_ns=3 * SECOND, limit_ns=limit)
    nemesis = NemesisClient(cluster, schedule, workload.keys(), workload.split_keys())
    history: list[Op] = []

    def record(op: Op) -> Op:
        op.index = len(history)
        history.append(msgspec.json.decode(msgspec.json.encode(op), type=Op))
        return op

    async def open_client(process: int):
        return workload.client(cluster.store(f"client-{process}"))

    async def main():
        await cluster.start(workload.split_keys())
        await workload.setup(cluster.store("setup"))
        work = time_limit(stagger(clients(workload.generator()), SECOND // 50), limit)
        faults = on_nemesis(nemesis.generator())
        await interpret(
            clock=cluster.clock,
            generator=phases(any_of(work, faults), on_nemesis(nemesis.healing()), clients(workload.final_generator())),
            open_client=open_client,
            nemesis=nemesis,
            concurrency=6,
            record=record,
            streams=Streams(seed).below("test"),
            deadline_ns=10 * SECOND,
        )
        assert nemesis.in_force() == []

    cluster.run(main())
    return cluster, history


@pytest.mark.parametrize("seed", [1, 2])
def test_a_run_with_all_faults(seed):
    cluster, history = run_bank(seed, ["all"])
    completions = [op for op in history if op.process != NEMESIS and op.type != INVOKE]
    assert Counter(op.f for op in completions if op.type == OK)["transfer"] > 100
    ids = [op.value["id"] for op in history if op.type == INVOKE]
    assert len(set(ids)) == len(ids) == len(completions)
    for op in history:
        Bank.encoder.encode(op)
    for op in completions:
        if op.type == OK and op.f == "read":
            assert sum(row[1] for row in op.value["read"]) == 800
    final = [op for op in completions if op.value.get("final") and op.type == OK]
    assert len(final) == 6
    assert len({str([row[1:] for row in op.value["read"]]) for op in final}) == 1

    done = [op for op in history if op.process == NEMESIS and "evidence" in (op.value or {})]
    verified = {op.f.removeprefix("start-") for op in done if op.value["evidence"]["verified"]}
    assert {"partition", "kill", "pause", "clock-skew", "clock-drift", "network", "pd-transfer", "split"} <= verified
    assert done[-1].f == "heal-all"
    for node in cluster.nodes:
        simulated = cluster._network.node(node.name)
        assert simulated.alive
        assert not simulated.paused
        assert simulated.clocks.ppm == 0


def test_a_run_is_repeatable():
    assert msgspec.json.encode(run_bank(4, ["all"], 15)[1]) == msgspec.json.encode(run_bank(4, ["all"], 15)[1])
