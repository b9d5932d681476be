"""Transactions end to end: one client, or a few whose steps are interleaved by hand."""

import asyncio

import pytest

from cluster.errors import Aborted, KeyExists, LockTimeout, RolledBack, WriteConflict
from harness.clock import MILLISECOND, SECOND
from tests.cluster.sim import chaos
from tests.cluster.sim.clients import later, read_now, write

MODES = pytest.mark.parametrize("mode", ["optimistic", "pessimistic"])
KEYS = (b"a", b"h", b"o", b"z")  # one in each region


@MODES
def test_reads_see_the_transactions_own_writes(simulated, mode):
    async def main(cluster):
        store = cluster.store("client-0")
        await write(store, {b"a": b"1", b"h": b"1", b"o": b"1"})
        txn = await store.begin(mode)
        await txn.put(b"a", b"2")
        await txn.delete(b"h")
        await txn.insert(b"i", b"2")
        assert await txn.get(b"a") == b"2"
        assert await txn.get(b"h") is None
        assert await txn.batch_get([b"a", b"h", b"i", b"o", b"x"]) == {b"a": b"2", b"i": b"2", b"o": b"1"}
        assert await txn.scan(b"a", b"", 2) == [(b"a", b"2"), (b"i", b"2")]
        assert await txn.scan(b"b", b"p", 9) == [(b"i", b"2"), (b"o", b"1")]
        await txn.commit()
        assert await read_now(store, [b"a", b"h", b"i", b"o"]) == {b"a": b"2", b"i": b"2", b"o": b"1"}

    simulated(main)


def test_a_scan_goes_over_regions_in_the_order_of_keys_and_stops_at_its_limit(simulated):
    async def main(cluster):
        store = cluster.store("client-0")
        keys = [b"%c%d" % (letter, i) for letter in b"bhpx" for i in range(5)]
        await write(store, dict.fromkeys(keys, b"v"))
        snapshot = await store.snapshot(await store.current_timestamp())
        assert [key for key, _ in await snapshot.scan(b"", b"", 100)] == keys
        assert [key for key, _ in await snapshot.scan(b"b3", b"p2", 100)] == [k for k in keys if b"b3" <= k < b"p2"]
        assert [key for key, _ in await snapshot.scan(b"b3", b"", 9)] == [k for k in keys if k >= b"b3"][:9]
        assert await snapshot.scan(b"x9", b"b", 100) == []

    simulated(main)


def test_insert_of_a_key_that_exists(simulated):
    async def main(cluster):
        store = cluster.store("client-0")
        await write(store, {b"a": b"0"})
        txn = await store.begin("optimistic")
        await txn.insert(b"a", b"1")
        await txn.put(b"z", b"1")
        with pytest.raises(KeyExists):
            await txn.commit()
        txn = await store.begin("optimistic")
        await txn.insert(b"a", b"1")
        await txn.delete(b"a")  # all that remains is the check
        with pytest.raises(KeyExists):
            await txn.commit()
        txn = await store.begin("pessimistic")
        with pytest.raises(KeyExists):
            await txn.insert(b"a", b"1")
        await txn.rollback()
        assert await read_now(store, KEYS) == {b"a": b"0"}

    simulated(main)


@MODES
def test_delete_then_insert_of_the_same_key(simulated, mode):
    async def main(cluster):
        store = cluster.store("client-0")
        await write(store, {b"a": b"0"})
        txn = await store.begin(mode)
        await txn.delete(b"a")
        await txn.insert(b"a", b"1")
        with pytest.raises(KeyExists):
            await txn.insert(b"a", b"2")
        await txn.commit()
        assert await read_now(store, KEYS) == {b"a": b"1"}

    simulated(main)


@MODES
def test_a_transaction_that_wrote_nothing_commits_at_no_timestamp(simulated, mode):
    async def main(cluster):
        txn = await cluster.store("client-0").begin(mode)
        assert await txn.get(b"a") is None
        assert await txn.commit() is None
        with pytest.raises(RuntimeError):
            await txn.commit()

    simulated(main)


def test_get_for_update_waits_for_the_lock_and_reads_what_its_holder_wrote(simulated):
    async def main(cluster):
        one, two = cluster.store("client-0"), cluster.store("client-1")
        await write(one, {b"a": b"0"})
        first, second = await one.begin("pessimistic"), await two.begin("pessimistic")
        assert await first.get_for_update(b"a") == b"0"
        waiting = asyncio.ensure_future(second.get_for_update(b"a"))
        await later(cluster, SECOND)
        assert not waiting.done()
        await first.put(b"a", b"1")
        await first.commit()
        assert await waiting == b"1"
        assert await second.get(b"a") == b"0"  # a plain read is at start_ts
        await second.put(b"a", b"2")
        await second.commit()
        assert await read_now(one, KEYS) == {b"a": b"2"}

    simulated(main)


def test_a_lock_that_is_kept_alive_is_waited_for_only_so_long(simulated):
    async def main(cluster):
        one, two = cluster.store("client-0"), cluster.store("client-1")
        holder = await one.begin("pessimistic")
        await holder.lock_keys([b"a", b"z"])
        waiter = await two.begin("pessimistic")
        with pytest.raises(LockTimeout):
            await waiter.get_for_update(b"z")
        await waiter.rollback()
        # An optimistic one does not wait at all: the holder might be waiting for a lock of its own.
        writer, before = await two.begin("optimistic"), cluster.clock.now()
        await writer.put(b"a", b"1")
        with pytest.raises(WriteConflict):
            await writer.commit()
        assert cluster.clock.now() - before < SECOND
        # Well beyond the TTL: the heartbeat has kept the locks, so they still commit.
        assert await holder.commit() is not None

    simulated(main)


def test_rollback_releases_the_locks(simulated):
    async def main(cluster):
        one, two = cluster.store("client-0"), cluster.store("client-1")
        holder = await one.begin("pessimistic")
        await holder.lock_keys([b"a", b"z"])
        await holder.put(b"h", b"1")
        await holder.rollback()
        await later(cluster, 20 * MILLISECOND)
        began = cluster.clock.now()
        await write(two, {b"a": b"2", b"h": b"2", b"z": b"2"}, "pessimistic")
        assert cluster.clock.now() - began < 100 * MILLISECOND
        with pytest.raises(RuntimeError):
            await holder.commit()

    simulated(main)


def test_locks_in_opposite_order_end_by_a_time_out_not_for_ever(simulated):
    async def main(cluster):
        one, two = cluster.store("client-0"), cluster.store("client-1")

        async def lock(store, keys):
            txn = await store.begin("pessimistic")
            try:
                for key in keys:
                    await txn.get_for_update(key)
                    await later(cluster, 50 * MILLISECOND)
                await txn.put(keys[0], b"1")
                return await txn.commit()
            finally:
                await txn.rollback()

        outcomes = await asyncio.gather(lock(one, [b"a", b"z"]), lock(two, [b"z", b"a"]), return_exceptions=True)
        assert any(isinstance(outcome, LockTimeout) for outcome in outcomes)

    simulated(main)


async def vanish_after(cluster, store, mode, pairs, seen_locked):
    """Begin to commit, and be gone once the keys of ``seen_locked`` carry locks: no more is sent by this client."""
    txn = await store.begin(mode)
    for key, value in pairs.items():
        await txn.put(key, value)
    committing = asyncio.ensure_future(txn.commit())
    await seen_locked()
    committing.cancel()
    await asyncio.gather(committing, return_exceptions=True)
    await store.close()
    return txn


@MODES
def test_the_locks_of_a_client_that_vanished_are_rolled_back_once_their_ttl_is_over(simulated, mode):
    async def main(cluster):
        await write(cluster.store("setup"), dict.fromkeys(KEYS, b"0"))

        async def prewritten():
            # The commit timestamp takes a round trip to PD, in which nothing else is sent.
            await later(cluster, 1)
            cuts = [(f"pd{i}", "client-0") for i in (1, 2, 3)]
            for link in cuts:
                cluster._network.cut(*link)
            await later(cluster, 100 * MILLISECOND)

        gone = cluster.store("client-0")
        await read_now(gone, KEYS)  # so that it need not ask PD for the regions
        txn = await vanish_after(cluster, gone, mode, dict.fromkeys(KEYS, b"1"), prewritten)
        began = cluster.clock.now()
        assert await read_now(cluster.store("client-1"), KEYS) == dict.fromkeys(KEYS, b"0")
        assert SECOND < cluster.clock.now() - began < 5 * SECOND
        assert txn.start_ts
        began = cluster.clock.now()
        assert await read_now(cluster.store("client-2"), KEYS) == dict.fromkeys(KEYS, b"0")
        assert cluster.clock.now() - began < 20 * MILLISECOND

    simulated(main)


def test_a_client_that_is_closed_in_the_middle_of_a_transaction_lets_its_locks_expire(simulated):
    async def main(cluster):
        gone, other = cluster.store("client-0"), cluster.store("client-1")
        await (await gone.begin("pessimistic")).lock_keys([b"a", b"z"])
        await later(cluster, 10 * SECOND)
        await gone.close()
        began = cluster.clock.now()
        await write(other, {b"a": b"1", b"z": b"1"}, "pessimistic")
        assert SECOND < cluster.clock.now() - began < 4 * SECOND

    simulated(main)


def test_the_secondaries_of_a_client_that_vanished_after_the_primary_are_committed_by_who_meets_them(simulated):
    async def main(cluster):
        store = cluster.store("client-0")
        commit_ts = await write(store, dict.fromkeys(KEYS, b"1"))
        await store.close()  # before its background work has sent anything
        other = cluster.store("client-1")
        began = cluster.clock.now()
        assert await (await other.snapshot(commit_ts)).batch_get(KEYS) == dict.fromkeys(KEYS, b"1")
        assert cluster.clock.now() - began < 50 * MILLISECOND

    simulated(main)


def test_a_transaction_that_others_rolled_back_cannot_commit(simulated):
    async def main(cluster):
        slow, other = cluster.store("client-0"), cluster.store("client-1")
        txn = await slow.begin("pessimistic")
        await txn.get_for_update(b"a")
        await txn.put(b"z", b"1")
        for i in range(1, 6):  # its heartbeats do not arrive any more
            cluster._network.cut("client-0", f"kv{i}")
        await later(cluster, 6 * SECOND)
        await write(other, {b"a": b"2"}, "pessimistic")
        for i in range(1, 6):
            cluster._network.mend("client-0", f"kv{i}")
        with pytest.raises(RolledBack):
            await txn.commit()
        assert await read_now(other, KEYS) == {b"a": b"2"}

    simulated(main)


def test_the_total_is_the_same_at_every_snapshot_without_faults():
    seen = chaos.chaos(3, seconds=10, faults=0)
    assert set(seen.totals) == {chaos.ACCOUNTS * chaos.INITIAL}
    assert len(seen.totals) > 100
    assert seen.outcomes["ok"] > 500
    # Nothing is unavailable when nothing is broken; only conflicts abort.
    assert set(seen.outcomes) <= {"ok", "write-conflict"}, seen.outcomes
    assert issubclass(WriteConflict, Aborted)
