"""Who led when: what is written beside the history agrees with it, and changes nothing of it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path

import msgspec
import pytest

from cluster.sim.cluster import SimCluster
from harness import drive
from harness.clock import SECOND
from harness.history import History
from harness.leader_watch import LeaderChange, changes, watching_leaders
from harness.recorder import Recorder
from harness.registry import make_spec
from harness.rng import Streams
from harness.run import Plan, Watcher, plan_run, record
from harness.run_folder import RunFolder
from harness.virtual_time import VirtualLoop

SEEDS = (3, 7, 11)


def carried_out(base: Path, plan: Plan) -> RunFolder:
    folder = RunFolder.create(base, "bank", f"seed{plan.spec.seed}")
    _, failure = record(plan, folder, Watcher())
    assert failure is None
    return folder


def planned(seed: int, **options) -> Plan:
    return plan_run(make_spec("bank", seed=seed, time_limit=40, **options))


def lines(folder: RunFolder) -> list[LeaderChange]:
    return [msgspec.json.decode(line, type=LeaderChange) for line in folder.leaders.read_bytes().splitlines()]


@pytest.mark.parametrize("seed", SEEDS)
def test_looking_changes_nothing_and_leaves_the_same_bytes(tmp_path, monkeypatch, seed):
    first, second = (carried_out(tmp_path, planned(seed, nemesis="all")) for _ in range(2))
    assert first.leaders.read_bytes() == second.leaders.read_bytes() != b""
    monkeypatch.setattr(drive, "watching_leaders", lambda *_: contextlib.nullcontext())
    unwatched = carried_out(tmp_path, planned(seed, nemesis="all"))
    assert not unwatched.leaders.exists()
    assert unwatched.history.read_bytes() == first.history.read_bytes()
    assert not first.logs.exists()  # nor is any wall clock inside


def led_at(found: list[LeaderChange], what: str, time: int) -> str | None:
    """Who led by the last look before ``time``."""
    known = [change.node for change in found if change.what == what and change.time <= time]
    return known[-1] if known else None


@pytest.mark.parametrize("seed", SEEDS)
def test_leaders_agree_with_what_the_nemesis_measured(tmp_path, seed):
    folder = carried_out(tmp_path, planned(seed, nemesis="pd,kill", nemesis_interval="4s"))
    found = lines(folder)
    assert [change.time for change in found] == sorted(change.time for change in found)
    assert {change.what for change in found if change.time == 0} == {"pd", *(f"region {n}" for n in range(1, 5))}
    done = [op for op in History.load(folder.path).nemesis_ops() if "evidence" in op.value]
    transfers = [op for op in done if op.f == "pd-transfer" and op.value["evidence"]["verified"]]
    for op in transfers:
        assert led_at(found, "pd", op.time + SECOND) == op.value["evidence"]["measured"]["after"]
    starts = {op.value["id"]: op for op in done if op.f == "start-kill"}
    pairs = [(starts[op.value["id"]], op) for op in done if op.f == "stop-kill" and op.value["id"] in starts]
    for start, stop in pairs:
        for what in {change.what for change in found}:
            # A look takes place in each second; while a node is dead, none of them finds it leading.
            assert led_at(found, what, stop.time - 1) not in start.value["targets"] or stop.time - start.time < SECOND
    assert transfers or pairs


def test_a_pd_leader_that_is_killed_is_succeeded(tmp_path):
    """Planted: PD's leader dies between two looks, and the file says who came after it, and when."""
    cluster = SimCluster(Streams(5))

    async def main():
        await cluster.start([])
        before = cluster.faults.pd_leader()
        async with watching_leaders(cluster.faults, cluster.clock, tmp_path / "leaders.jsonl"):
            begun = cluster.clock.now()
            await cluster.clock.sleep_until(begun + 3 * SECOND + 1)
            await cluster.faults.kill(before)
            await cluster.clock.sleep_until(begun + 30 * SECOND)
        return begun, before, cluster.faults.pd_leader()

    begun, before, after = cluster.run(main())
    content = (tmp_path / "leaders.jsonl").read_bytes()
    seen = [msgspec.json.decode(line, type=LeaderChange) for line in content.splitlines()]
    of_pd = [change for change in seen if change.what == "pd"]
    assert of_pd[0] == LeaderChange(begun, "pd", before)
    assert of_pd[1] == LeaderChange(begun + 4 * SECOND, "pd", None)
    assert of_pd[2].node == after != before


def test_only_what_differs_is_a_change():
    assert changes({}, {"pd": "pd1"}, 5) == [LeaderChange(5, "pd", "pd1")]
    assert changes({"pd": "pd1"}, {"pd": "pd1"}, 6) == []
    assert changes({"pd": "pd1", "region 2": "kv1"}, {"region 2": "kv3"}, 7) == [
        LeaderChange(7, "region 2", "kv3"),
        LeaderChange(7, "pd", None),
    ]


class Moody:
    """Faults whose looks fail every other time."""

    def __init__(self) -> None:
        self.looks = 0

    async def look(self) -> None:
        self.looks += 1
        if self.looks % 2:
            raise ConnectionError("nobody answers")

    def leaders(self) -> dict[str, str]:
        return {"pd": f"pd{self.looks}"}


@pytest.mark.parametrize("place", ["leaders.jsonl", "no/such/folder"])
def test_trouble_with_looking_or_writing_ends_nothing(tmp_path, place):
    loop, moody = VirtualLoop(), Moody()

    async def main():
        async with watching_leaders(moody, loop, tmp_path / place):
            await asyncio.sleep(4.5)

    loop.run_until_complete(main())
    assert moody.looks == 5
    if place == "leaders.jsonl":
        assert (tmp_path / place).read_bytes().splitlines() == [
            b'{"time":1000000000,"what":"pd","node":"pd2"}',
            b'{"time":3000000000,"what":"pd","node":"pd4"}',
        ]


class Logging(SimCluster):
    """A simulated cluster that passes for a real one: it has logs."""

    deterministic = False

    def __init__(self, streams, *, full=False, deaf=False):
        super().__init__(streams)
        self.full, self.deaf, self.stopped = full, deaf, False

    async def start(self, split_keys):
        await super().start(split_keys)
        if self.deaf:
            raise RuntimeError("it came up and yet did not")

    async def save_logs(self, folder):
        if self.full:
            raise OSError("No space left on device")
        folder.mkdir(exist_ok=True)
        (folder / "kv1.log").write_text("2026-11-23T11:17:20.905402389Z hello\n")

    async def stop(self):
        self.stopped = True
        await super().stop()


@pytest.mark.parametrize("full", [False, True])
def test_logs_and_the_wall_clock_are_kept_of_a_cluster_that_is_not_simulated(tmp_path, full):
    plan = planned(4, nemesis="none")
    plan.cluster = Logging(Streams(4), full=full)
    before = time.time_ns()
    folder = carried_out(tmp_path, plan)
    epoch = msgspec.json.decode(folder.origin.read_bytes())["epoch_ns"]
    assert abs(epoch + plan.cluster.clock.now() - before) < 100 * SECOND  # virtual time has run ahead by 40 s
    assert (folder.logs / "kv1.log").exists() is not full
    assert plan.cluster.stopped


def test_logs_are_kept_when_the_run_failed(tmp_path):
    cluster = Logging(Streams(4), deaf=True)
    spec, folder = make_spec("bank", seed=4), RunFolder.create(tmp_path, "bank", "seed4")
    workload = plan_run(spec).workload
    with pytest.raises(RuntimeError, match="came up"):
        cluster.run(
            drive.drive(
                spec,
                cluster,
                workload,
                None,
                Recorder(folder.history),
                folder=folder,
                so_far=lambda: pytest.fail("the run never began"),
                pool=None,
                observe=lambda _: None,
                should_stop=lambda: False,
            )
        )
    assert (folder.logs / "kv1.log").exists()
    assert cluster.stopped
