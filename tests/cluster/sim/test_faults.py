"""Every fault shows in what it measures, and is gone when it was taken away."""

import pytest

from cluster.api import Cut, Degradation
from cluster.errors import StoreError
from cluster.sim.clocks import EPOCH_NS
from harness.clock import MILLISECOND, SECOND
from tests.cluster.sim.clients import write

KEYS = (b"a", b"h", b"o", b"z")


def test_a_partition_stops_messages_and_healing_lets_them_through_again(simulated):
    async def main(cluster):
        faults = cluster.faults
        cut = Cut.between(["kv1"], ["kv2", "kv3", "pd1"])
        there = await faults.partition(cut)
        assert there.verified
        assert there.measured == {"links": 6, "carrying": []}
        healed = await faults.heal(cut)
        assert healed.verified
        assert len(healed.measured["carrying"]) == 6

    simulated(main)


def test_healing_takes_only_its_own_cut_away_however_often_it_is_done(simulated):
    async def main(cluster):
        faults = cluster.faults
        wide, narrow = Cut.between(["kv1"], ["kv2", "kv3"]), Cut.one_way(["kv1"], ["kv2"])
        for cut in (wide, wide, narrow, narrow):
            assert (await faults.partition(cut)).verified
        for _ in range(3):
            healed = await faults.heal(wide)
            assert healed.verified
            assert healed.measured["held_by_others"] == 1
            assert sorted(healed.measured["carrying"]) == ["kv1>kv3", "kv2>kv1", "kv3>kv1"]
        assert (await faults.heal(narrow)).measured["carrying"] == ["kv1>kv2"]
        assert (await faults.heal(narrow)).verified

    simulated(main)


def test_a_partition_of_nothing_is_not_verified(simulated):
    async def main(cluster):
        assert not (await cluster.faults.partition(Cut(()))).verified

    simulated(main)


def test_kill_pause_and_their_undoing_twice_each(simulated):
    async def main(cluster):
        faults = cluster.faults
        for node in ("kv2", "pd3"):
            for fault, state in (
                (faults.kill, "dead"),
                (faults.start, "running"),
                (faults.pause, "paused"),
                (faults.resume, "running"),
            ):
                for _ in range(2):
                    evidence = await fault(node)
                    assert evidence.verified, (fault, evidence)
                    assert evidence.measured == {"state": state, "answers": state == "running"}

    simulated(main)


def test_pausing_the_dead_and_resuming_the_dead_is_not_verified(simulated):
    async def main(cluster):
        await cluster.faults.kill("kv1")
        assert not (await cluster.faults.pause("kv1")).verified
        assert (await cluster.faults.resume("kv1")).measured["state"] == "dead"

    simulated(main)


def test_clocks(simulated):
    async def main(cluster):
        faults, clock = cluster.faults, cluster.clock
        node = cluster._network.node("kv1")
        assert (await faults.skew("kv1", -7 * SECOND)).verified
        assert node.wall() == EPOCH_NS + clock.now() - 7 * SECOND
        for ppm in (20_000, -20_000, 1):
            evidence = await faults.drift("kv1", ppm)
            assert evidence.verified
            assert abs(evidence.measured["wall_ppm"] - ppm) <= 1
        assert (await faults.drift("kv1", 0)).measured == {"monotonic_ppm": 0, "wall_ppm": 0}
        before = node.monotonic()
        evidence = await faults.step_monotonic("kv1", 12 * SECOND)
        assert evidence.verified
        assert node.monotonic() - before == 12 * SECOND
        assert (await faults.skew("kv1", 0)).verified
        assert node.wall() == EPOCH_NS + clock.now()

    simulated(main)


def test_degrading_shows_in_delay_and_loss_and_the_worse_of_two_nodes_counts(simulated):
    async def main(cluster):
        faults = cluster.faults
        cluster.store("client-0")
        slow = await faults.degrade(["kv1"], Degradation(loss_ppm=0, delay_ns=40 * MILLISECOND))
        assert slow.verified
        assert slow.measured["fastest_ns"] >= 40 * MILLISECOND
        lossy = await faults.degrade(["kv2", "kv3"], Degradation(loss_ppm=300_000, delay_ns=0))
        assert lossy.verified
        assert 20 <= lossy.measured["lost"] <= lossy.measured["sent"] // 2
        cluster.store("client-1")  # a host that comes later is no way round
        for src, dst in (("kv1", "kv2"), ("kv2", "kv1")):
            assert cluster._network.degradation(src, dst) == (300_000, 40 * MILLISECOND)
        for _ in range(2):
            undone = await faults.degrade(["kv1"], Degradation())
            assert undone.verified
            assert undone.measured["lost"] == 0
        assert cluster._network.degradation("kv1", "client-1") == (0, 0)
        assert cluster._network.degradation("kv1", "kv2") == (300_000, 0)
        assert (await faults.degrade(["kv2", "kv3"], Degradation())).verified
        assert cluster._network.degradation("kv1", "kv2") == (0, 0)

    simulated(main)


def test_degrading_behind_a_partition_cannot_be_measured(simulated):
    async def main(cluster):
        names = [node.name for node in cluster.nodes]
        await cluster.faults.partition(Cut.between(["kv1"], names))
        assert not (await cluster.faults.degrade(["kv1"], Degradation(loss_ppm=0, delay_ns=MILLISECOND))).verified

    simulated(main)


def test_transfer_of_pds_leader(simulated):
    async def main(cluster):
        store = cluster.store("client-0")
        faults = cluster.faults
        last = 0
        for _ in range(4):
            before = faults.pd_leader()
            evidence = await faults.transfer_pd_leader()
            assert evidence.verified
            assert evidence.measured == {"before": before, "after": faults.pd_leader()}
            assert faults.pd_leader() != before
            ts = await store.current_timestamp()
            assert ts > last
            last = ts

    simulated(main)


def test_transfer_of_a_regions_leader(simulated):
    async def main(cluster):
        store = cluster.store("client-0")
        for i in range(6):
            before = cluster.faults.region_leader(b"h")
            evidence = await cluster.faults.transfer_region_leader(b"h")
            assert evidence.verified
            assert before != evidence.measured["after"] == cluster.faults.region_leader(b"h")
            await write(store, {b"h": b"%d" % i})

    simulated(main)


def test_a_split_in_the_middle_of_transactions_is_routed_to_and_done_only_once(simulated):
    async def main(cluster):
        store, faults = cluster.store("client-0"), cluster.faults
        keys = [b"h%d" % i for i in range(10)]
        await write(store, dict.fromkeys(keys, b"0"))
        locking = await store.begin("pessimistic")
        await locking.lock_keys(keys)
        buffered = await cluster.store("client-1").begin("optimistic")
        await buffered.put(b"i0", b"1")
        await buffered.put(b"h0a", b"1")
        regions = [cluster._leaders.region(key) for key in (b"h0", b"h9")]
        assert regions[0] == regions[1]
        for _ in range(2):
            evidence = await faults.split_region(b"h5")
            assert evidence.verified
            assert evidence.measured["routed"]
        low, high = (cluster._leaders.region(key) for key in (b"h0", b"h9"))
        assert low.end == high.start == b"h5"
        assert high.end == regions[0].end
        for key in keys:
            await locking.put(key, b"1")
        commit_ts = await locking.commit()
        later = await buffered.commit()
        for name in ("client-0", "client-2"):  # with an old cache and with a new one
            snapshot = await cluster.store(name).snapshot(commit_ts)
            assert await snapshot.scan(b"h", b"i", 100) == [(key, b"1") for key in keys]
        assert await (await store.snapshot(later)).batch_get([b"i0", b"h0a"]) == {b"i0": b"1", b"h0a": b"1"}

    simulated(main)


@pytest.mark.parametrize("role", ["region", "pd"])
def test_when_a_leader_is_killed_another_takes_over_and_nothing_is_lost(simulated, role):
    async def main(cluster):
        store, faults = cluster.store("client-0"), cluster.faults
        await write(store, dict.fromkeys(KEYS, b"0"))
        victim = faults.region_leader(b"h") if role == "region" else faults.pd_leader()
        assert (await faults.kill(victim)).verified
        tries = 0
        while True:
            try:
                ts = await write(store, dict.fromkeys(KEYS, b"1"))
                break
            except StoreError:
                tries += 1
                assert tries < 10
        assert victim not in {faults.region_leader(b"h"), faults.pd_leader()}
        await faults.start(victim)
        assert await (await store.snapshot(ts)).batch_get(KEYS) == dict.fromkeys(KEYS, b"1")

    simulated(main)
