"""The contract of Store, Txn and Snapshot: one suite, the same on the simulated cluster and on a real one.

On the stand-in it says nothing about TiKV: it shows that the simulation and tikv-client agree on what the interface
means. Where they do not, ``differences.py`` says how.
"""

from __future__ import annotations

import asyncio

import pytest

from cluster.errors import Aborted, KeyExists, LockTimeout, StoreError, WriteConflict
from harness.clock import SECOND
from tests.contract.differences import expected

MODES = pytest.mark.parametrize("mode", ["optimistic", "pessimistic"])


async def write(store, pairs, mode="optimistic"):
    txn = await store.begin(mode)
    for key, value in pairs.items():
        await txn.put(key, value)
    return await txn.commit()


async def read_now(store, keys):
    return await (await store.snapshot(await store.current_timestamp())).batch_get(keys)


async def when_free(call, world, cluster, seconds):
    """The result of a call that locks are in the way of, for so long at most."""
    until = cluster.clock.now() + seconds * SECOND
    while True:
        try:
            return await call()
        except Aborted:
            if cluster.clock.now() >= until:
                raise
        await world.wait(cluster, 0.5)


def beyond(key):
    """The first key after all those that begin with ``key``."""
    return key + b"\xff"


@MODES
def test_what_was_committed_is_read_by_others_from_its_commit_ts_on(world, mode):
    async def work(world, cluster):
        store, other = cluster.store("a"), cluster.store("b")
        keys = world.keys()
        pairs = {key: b"1" + key for key in keys}
        before = await store.current_timestamp()
        commit_ts = await write(store, pairs, mode)
        assert before < commit_ts < await store.current_timestamp()
        assert await (await other.snapshot(commit_ts)).batch_get(keys) == pairs
        assert await (await other.snapshot(commit_ts - 1)).batch_get(keys) == {}
        again = await write(other, {keys[1]: b"2"}, mode)
        assert commit_ts < again
        assert await (await store.snapshot(commit_ts)).get(keys[1]) == pairs[keys[1]]
        assert await (await store.snapshot(again)).get(keys[1]) == b"2"

    world.run(work)


def test_commit_timestamps_are_in_the_order_in_which_transactions_follow_each_other(world):
    async def work(world, cluster):
        stores = [cluster.store(name) for name in "abc"]
        keys = world.keys()
        stamps = []
        for turn in range(12):
            stamps.append(await stores[turn % 3].current_timestamp())
            stamps.append(await write(stores[turn % 3], {keys[turn % 4]: b"%d" % turn}))
        assert stamps == sorted(set(stamps))

    world.run(work)


def test_a_snapshot_at_an_older_timestamp_does_not_see_later_commits(world):
    async def work(world, cluster):
        store = cluster.store("a")
        keys = world.keys()
        stamps = [await store.current_timestamp()]
        for turn in range(3):
            await write(store, dict.fromkeys(keys, b"%d" % turn), "pessimistic" if turn % 2 else "optimistic")
            stamps.append(await store.current_timestamp())
        for turn, ts in reversed(list(enumerate(stamps))):
            expected_pairs = [(key, b"%d" % (turn - 1)) for key in keys] if turn else []
            snapshot = await store.snapshot(ts)
            assert snapshot.ts == ts
            assert await snapshot.batch_get(keys) == dict(expected_pairs)
            for key in keys:
                assert await snapshot.scan(key, beyond(key), 9) == [pair for pair in expected_pairs if pair[0] == key]

    world.run(work)


@MODES
def test_reads_see_the_transactions_own_writes_and_others_do_not(world, mode):
    async def work(world, cluster):
        store, other = cluster.store("a"), cluster.store("b")
        a, h, o, z = world.keys()
        new = h + b"/new"
        await write(store, {a: b"1", h: b"1", o: b"1"})
        txn = await store.begin(mode)
        await txn.put(a, b"2")
        await txn.delete(h)
        await txn.insert(new, b"2")
        assert await txn.get(a) == b"2"
        assert await txn.get(h) is None
        assert await txn.batch_get([a, h, new, o, z]) == {a: b"2", new: b"2", o: b"1"}
        await txn.put(new + b"er", b"3")
        found = await txn.scan(h, beyond(h), 9)
        inserted = [(new, b"2")] if expected("a scan sees the transaction's own inserts", world.kind) else []
        assert found == [*inserted, (new + b"er", b"3")]
        if mode == "optimistic":  # a pessimistic one holds locks, which readers at a later timestamp may wait for
            assert await read_now(other, [a, h, new, o]) == {a: b"1", h: b"1", o: b"1"}
        await txn.commit()
        assert await read_now(other, [a, h, new, o]) == {a: b"2", new: b"2", o: b"1"}

    world.run(work)


def test_a_scan_is_ordered_half_open_limited_and_goes_over_regions(world):
    async def work(world, cluster):
        store = cluster.store("a")
        prefix = world.keys()[1]
        keys = [prefix + b"/%02d" % number for number in range(20)]
        await write(store, {key: key[-2:] for key in keys})
        await world.split(cluster, keys[7])
        await world.split(cluster, keys[13])
        snapshot = await cluster.store("b").snapshot(await store.current_timestamp())
        assert await snapshot.scan(prefix, beyond(prefix), 100) == [(key, key[-2:]) for key in keys]
        assert [key for key, _ in await snapshot.scan(keys[5], keys[15], 100)] == keys[5:15]
        assert [key for key, _ in await snapshot.scan(keys[5], keys[15], 4)] == keys[5:9]
        assert await snapshot.scan(keys[5], keys[5], 4) == []

    world.run(work)


@MODES
def test_what_is_deleted_is_absent_and_was_there_before(world, mode):
    async def work(world, cluster):
        store = cluster.store("a")
        a, _, _, z = world.keys()
        written = await write(store, {a: b"1", z: b"1"})
        txn = await store.begin(mode)
        await txn.delete(a)
        await txn.commit()
        assert await read_now(store, [a, z]) == {z: b"1"}
        assert await (await store.snapshot(written)).batch_get([a, z]) == {a: b"1", z: b"1"}

    world.run(work)


def test_an_empty_value_is_not_an_absent_one(world):
    async def work(world, cluster):
        store = cluster.store("a")
        a, h, _, _ = world.keys()
        await write(store, {a: b""})
        snapshot = await store.snapshot(await store.current_timestamp())
        return await snapshot.get(a), await snapshot.get(h)

    found, absent = world.run(work)
    assert absent is None
    assert found in (b"", None)  # the stand-in keeps no empty value; the rest of the world does
    if world.kind == "sim":
        assert found == b""


def test_of_two_optimistic_transactions_that_write_a_key_one_fails_and_leaves_nothing(world):
    async def work(world, cluster):
        first, second = cluster.store("a"), cluster.store("b")
        a, _, _, z = world.keys()
        await write(first, {a: b"0", z: b"0"})
        one, two = await first.begin("optimistic"), await second.begin("optimistic")
        for txn, value in ((one, b"1"), (two, b"2")):
            assert await txn.get(a) == b"0"
            await txn.put(a, value)
            await txn.put(z, value)
        await one.commit()
        with pytest.raises(WriteConflict) as raised:
            await two.commit()
        assert raised.value.definite
        await two.rollback()  # harmless
        assert await read_now(second, [a, z]) == {a: b"1", z: b"1"}
        await write(first, {z: b"3"})  # a lock left behind would be in the way

    world.run(work)


def test_write_skew_is_possible_unless_what_was_read_is_locked(world):
    async def skew(world, cluster, lock):
        one, two = cluster.store("a"), cluster.store("b")
        a, _, _, z = world.keys()
        first, second = await one.begin("optimistic"), await two.begin("optimistic")
        for txn, reads, writes in ((first, a, z), (second, z, a)):
            assert await txn.get(reads) is None
            if lock:
                await txn.lock_keys([reads])
            await txn.put(writes, b"1")
        outcomes = await asyncio.gather(first.commit(), second.commit(), return_exceptions=True)
        return sum(isinstance(outcome, int) for outcome in outcomes), len(await read_now(one, [a, z]))

    assert world.run(lambda world, cluster: skew(world, cluster, lock=False)) == (2, 2)
    committed, found = world.run(lambda world, cluster: skew(world, cluster, lock=True))
    assert committed == found < 2


@MODES
def test_an_insert_of_what_exists_is_definite_and_of_what_does_not_is_done(world, mode):
    async def work(world, cluster):
        store = cluster.store("a")
        a, h, _, _ = world.keys()
        await write(store, {a: b"0"})
        txn = await store.begin(mode)
        telling = txn.insert(a, b"1")
        if mode == "optimistic":  # told at commit only
            await telling
            telling = txn.commit()
        with pytest.raises(KeyExists) as raised:
            await telling
        assert raised.value.definite
        await txn.rollback()
        again = await store.begin(mode)
        await again.insert(h, b"1")
        assert await again.commit() is not None
        assert await read_now(store, [a, h]) == {a: b"0", h: b"1"}

    world.run(work)


@MODES
def test_a_transaction_that_wrote_nothing_commits_at_no_timestamp_and_has_then_ended(world, mode):
    async def work(world, cluster):
        txn = await cluster.store("a").begin(mode)
        assert (txn.start_ts is not None) is expected("start_ts is known", world.kind)
        assert await txn.get(world.keys()[0]) is None
        assert await txn.commit() is None
        with pytest.raises(expected("a call after the end", world.kind)):
            await txn.commit()

    world.run(work)


@MODES
def test_what_is_rolled_back_is_never_seen_and_its_locks_are_gone(world, mode):
    async def work(world, cluster):
        store, other = cluster.store("a"), cluster.store("b")
        a, _, _, z = world.keys()
        txn = await store.begin(mode)
        await txn.put(a, b"never")
        await txn.put(z, b"never")
        await txn.rollback()
        await txn.rollback()  # once is enough, twice is harmless
        with pytest.raises(expected("a call after the end", world.kind)):
            await txn.commit()
        began = cluster.clock.now()
        await write(other, {a: b"1"}, "pessimistic")
        assert cluster.clock.now() - began < SECOND  # it met no lock
        assert await read_now(other, [a, z]) == {a: b"1"}

    world.run(work)


def test_get_for_update_waits_for_the_lock_and_never_reads_an_old_value(world):
    async def work(world, cluster):
        first, second = cluster.store("a"), cluster.store("b")
        a = world.keys()[0]
        await write(first, {a: b"0"})
        holder, waiter = await first.begin("pessimistic"), await second.begin("pessimistic")
        assert await holder.get_for_update(a) == b"0"
        waiting = asyncio.ensure_future(waiter.get_for_update(a))
        await world.wait(cluster, 0.3)
        assert not waiting.done()
        await holder.put(a, b"1")
        await holder.commit()
        ending = expected("after waiting for a lock whose owner commits", world.kind)
        if isinstance(ending, bytes):
            assert await waiting == ending
            assert await waiter.get(a) == b"0"  # a plain read is at start_ts
        else:
            with pytest.raises(ending):
                await waiting
        await waiter.rollback()
        fresh = await second.begin("pessimistic")
        assert await fresh.get_for_update(a) == b"1"
        await fresh.rollback()

    world.run(work)


def test_a_lock_that_stays_is_definite_for_who_meets_it_in_both_modes(world):
    async def work(world, cluster):
        first, second = cluster.store("a"), cluster.store("b")
        a = world.keys()[0]
        await write(first, {a: b"0"})
        holder = await first.begin("pessimistic")
        await holder.get_for_update(a)
        waiter = await second.begin("pessimistic")
        with pytest.raises(LockTimeout):
            await waiter.get_for_update(a)
        await waiter.rollback()
        with pytest.raises(expected("an optimistic write meets a live lock", world.kind)) as raised:
            await write(second, {a: b"never"})
        assert raised.value.definite
        await holder.rollback()
        assert await read_now(second, [a]) == {a: b"0"}

    world.run(work)


def test_locks_taken_in_opposite_order_do_not_last_for_ever(world):
    async def work(world, cluster):
        a, _, _, z = world.keys()

        async def lock(store, keys):
            txn = await store.begin("pessimistic")
            try:
                for key in keys:
                    await txn.get_for_update(key)
                    await world.wait(cluster, 0.1)
                await txn.put(keys[0], b"1")
                return await txn.commit()
            finally:
                await txn.rollback()

        orders = lock(cluster.store("a"), [a, z]), lock(cluster.store("b"), [z, a])
        outcomes = await asyncio.gather(*orders, return_exceptions=True)
        ended = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        assert ended
        assert any(isinstance(outcome, expected("locks taken in opposite order", world.kind)) for outcome in ended)
        assert all(isinstance(outcome, Aborted) and outcome.definite for outcome in ended)
        assert len(await read_now(cluster.store("c"), [a, z])) == 2 - len(ended)

    world.run(work)


def test_the_locks_of_a_client_that_is_gone_are_in_the_way_until_their_ttl_is_over(world):
    async def work(world, cluster):
        store = cluster.store("a")
        a, _, _, z = world.keys()
        await write(store, {a: b"0", z: b"0"})
        await world.leave(cluster, {a: b"never", z: b"never"}, "locked")
        with pytest.raises(StoreError) as raised:
            await write(store, {a: b"1"})
        assert raised.value.definite
        # The TTL is 20 s in tikv-client.
        await when_free(lambda: write(store, {a: b"2", z: b"2"}, "pessimistic"), world, cluster, 30)
        assert await read_now(store, [a, z]) == {a: b"2", z: b"2"}

    world.run(work)


def test_who_meets_what_a_client_that_is_gone_had_prewritten_rolls_it_back_after_its_ttl(world):
    if not world.can_lose_commits:
        pytest.skip("a client can be made to vanish in its commit only where PD can be stopped")

    async def work(world, cluster):
        store = cluster.store("a")
        keys = world.keys()
        await write(store, dict.fromkeys(keys, b"0"))
        await world.leave(cluster, dict.fromkeys(keys, b"never"), "prewritten")
        began = cluster.clock.now()
        found = await when_free(lambda: read_now(store, keys), world, cluster, 30)
        assert found == dict.fromkeys(keys, b"0")
        assert cluster.clock.now() - began > SECOND // 2  # else there was no lock, and nothing was shown
        await write(store, dict.fromkeys(keys, b"1"))

    world.run(work)


def test_who_meets_the_locks_of_a_client_that_is_gone_after_its_commit_commits_them(world):
    async def work(world, cluster):
        keys = world.keys()
        patience_s = expected("committed locks of a client that is gone are in the way for", world.kind)
        for turn in range(3):  # how much the client still sent is luck
            pairs = dict.fromkeys(keys, b"%d" % turn)
            commit_ts = await world.leave(cluster, pairs, "committed")
            store = cluster.store(f"reader{turn}")
            snapshot = await store.snapshot(commit_ts)
            assert await when_free(lambda: snapshot.batch_get(keys), world, cluster, patience_s) == pairs  # noqa: B023
            assert await read_now(store, keys) == pairs

    world.run(work)


@MODES
def test_a_region_that_splits_under_a_transaction_changes_nothing_for_it(world, mode):
    async def work(world, cluster):
        store, other = cluster.store("a"), cluster.store("b")
        prefix = world.keys()[1]
        keys = [prefix + b"/%d" % number for number in range(4)]
        await write(store, dict.fromkeys(keys, b"0"))
        txn = await store.begin(mode)
        assert await txn.batch_get(keys) == dict.fromkeys(keys, b"0")
        await txn.put(keys[0], b"1")
        await world.split(cluster, keys[1])
        await txn.put(keys[1], b"1")
        await world.split(cluster, keys[2])
        await txn.put(keys[3], b"1")
        commit_ts = await txn.commit()
        assert commit_ts is not None
        assert await read_now(other, keys) == {**dict.fromkeys(keys, b"1"), keys[2]: b"0"}

    world.run(work)


@MODES
def test_a_leader_that_changes_under_a_transaction_changes_nothing_for_it(world_of_three, mode):
    async def work(world, cluster):
        store, other = cluster.store("a"), cluster.store("b")
        prefix = world.keys()[1]
        keys = [prefix + b"/%d" % number for number in range(3)]
        await write(store, dict.fromkeys(keys, b"0"))
        txn = await store.begin(mode)
        await txn.put(keys[0], b"1")
        assert await world.move_leader(cluster, keys[0])
        assert await txn.get(keys[1]) == b"0"
        await txn.put(keys[1], b"1")
        assert await world.move_leader(cluster, keys[0])
        commit_ts = await txn.commit()
        found = await (await other.snapshot(commit_ts)).batch_get(keys)
        assert found == {**dict.fromkeys(keys, b"1"), keys[2]: b"0"}

    world_of_three.run(work)
