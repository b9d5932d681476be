"""The contract of Store on the stand-in, through the real tikv-client. It says nothing about TiKV."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter

import pytest

from cluster.errors import (
    Aborted,
    KeyExists,
    LockTimeout,
    StoreError,
    UnavailableBeforeCommit,
    Undetermined,
    WriteConflict,
)
from cluster.external import ExternalCluster
from cluster.tikv import TikvStore

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("docker")]


async def write(store: TikvStore, mode, **pairs: bytes) -> int:
    txn = await store.begin(mode)
    for key, value in pairs.items():
        await txn.put(key.encode(), value)
    commit_ts = await txn.commit()
    assert commit_ts is not None
    return commit_ts


def test_what_was_committed_is_read_and_commit_has_a_timestamp_of_the_tso(standin):
    async def work(cluster):
        store = cluster.store("a")
        before = await store.current_timestamp()
        # In different regions: the bounds of PD's keyspaces lie between.
        commit_ts = await write(store, "optimistic", put_a=b"1", zput_b=b"")
        after = await store.current_timestamp()
        txn = await store.begin("optimistic")
        read = await txn.get(b"put_a"), await txn.get(b"zput_b"), await txn.get(b"put_none")
        several = await txn.batch_get([b"put_a", b"put_none", b"zput_b"])
        nothing = await txn.commit()
        return before < commit_ts < after, read, several, nothing

    in_order, read, several, nothing = standin.in_client(work)
    assert in_order
    assert read[0] == b"1"
    assert read[2] is None
    assert several[b"put_a"] == b"1"
    assert b"put_none" not in several
    assert nothing is None


def test_scan_is_ordered_limited_and_half_open_and_sees_its_own_writes(standin):
    async def work(cluster):
        store = cluster.store("a")
        await write(store, "optimistic", **{f"scan_{k:02}": b"%d" % k for k in range(20)})
        txn = await store.begin("optimistic")
        await txn.delete(b"scan_03")
        await txn.put(b"scan_05", b"mine")
        own = await txn.scan(b"scan_02", b"scan_06", 100)
        first = await txn.scan(b"scan_", b"scan_~", 3)
        await txn.rollback()
        snapshot = await store.snapshot(await store.current_timestamp())
        return own, first, await snapshot.scan(b"scan_", b"scan_~", 100)

    own, first, all_of_them = standin.in_client(work)
    assert own == [(b"scan_02", b"2"), (b"scan_04", b"4"), (b"scan_05", b"mine")]
    assert [key for key, _ in first] == [b"scan_00", b"scan_01", b"scan_02"]
    assert all_of_them == [(b"scan_%02d" % k, b"%d" % k) for k in range(20)]


def test_a_snapshot_at_an_old_timestamp_reads_what_was_there_then(standin):
    async def work(cluster):
        store = cluster.store("a")
        absent = await store.current_timestamp()
        first = await write(store, "optimistic", old=b"1")
        await write(store, "pessimistic", old=b"2")
        found = []
        for ts in (absent, first - 1, first, await store.current_timestamp()):
            snapshot = await store.snapshot(ts)
            assert snapshot.ts == ts
            found.append(await snapshot.get(b"old"))
            assert await snapshot.batch_get([b"old"]) == ({b"old": found[-1]} if found[-1] else {})
        return found

    assert standin.in_client(work) == [None, None, b"1", b"2"]


def test_an_optimistic_conflict_is_definite_and_leaves_no_lock(standin):
    async def work(cluster):
        first, second = cluster.store("a"), cluster.store("b")
        await write(first, "optimistic", conflict=b"0", zconflict=b"0")
        one, two = await first.begin("optimistic"), await second.begin("optimistic")
        for txn, value in ((one, b"1"), (two, b"2")):
            await txn.get(b"conflict")
            await txn.put(b"conflict", value)
            await txn.put(b"zconflict", value)
        await one.commit()
        with pytest.raises(WriteConflict) as raised:
            await two.commit()
        with pytest.raises(Aborted, match="ended"):
            await two.get(b"conflict")
        await two.rollback()  # harmless
        # A lock left behind would make this wait, and fail.
        await write(first, "optimistic", zconflict=b"3")
        txn = await second.begin("optimistic")
        seen = await txn.get(b"conflict")
        await txn.rollback()
        return raised.value.definite, str(raised.value), seen

    definite, text, seen = standin.in_client(work)
    assert definite
    assert text.startswith("Multiple key errors")
    assert seen == b"1"


@pytest.mark.parametrize("mode", ["optimistic", "pessimistic"])
def test_an_insert_of_what_exists_is_definite(standin, mode):
    async def work(cluster):
        store = cluster.store("a")
        await write(store, "optimistic", **{f"insert_{mode}": b"0"})
        txn = await store.begin(mode)
        inserting = txn.insert(f"insert_{mode}".encode(), b"1")
        if mode == "optimistic":  # told at commit only
            await inserting
            inserting = txn.commit()
        with pytest.raises(KeyExists):
            await inserting
        await txn.rollback()
        again = await store.begin(mode)
        await again.insert(f"insert_{mode}_new".encode(), b"1")
        assert await again.commit() is not None

    standin.in_client(work)


def test_get_for_update_waits_for_the_lock_and_then_reports_the_conflict(standin):
    async def work(cluster):
        first, second = cluster.store("a"), cluster.store("b")
        await write(first, "optimistic", lock=b"0")
        holder, waiter = await first.begin("pessimistic"), await second.begin("pessimistic")
        assert await holder.get_for_update(b"lock") == b"0"
        waiting = asyncio.create_task(waiter.get_for_update(b"lock"))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        await holder.put(b"lock", b"1")
        await holder.commit()
        with pytest.raises(WriteConflict):
            await waiting
        fresh = await second.begin("pessimistic")
        value = await fresh.get_for_update(b"lock")
        await fresh.rollback()
        return value

    assert standin.in_client(work) == b"1"


def test_a_lock_that_stays_is_a_lock_timeout_and_definite_in_both_modes(standin):
    async def work(cluster):
        first, second = cluster.store("a"), cluster.store("b")
        await write(first, "optimistic", held=b"0")
        holder = await first.begin("pessimistic")
        await holder.get_for_update(b"held")
        with pytest.raises(LockTimeout):
            await (await second.begin("pessimistic")).get_for_update(b"held")
        with pytest.raises(LockTimeout) as raised:
            await write(second, "optimistic", held=b"never")
        await holder.rollback()
        snapshot = await second.snapshot(await second.current_timestamp())
        return str(raised.value), await snapshot.get(b"held")

    assert standin.in_client(work) == ("Failed to resolve lock", b"0")


@pytest.mark.parametrize("mode", ["optimistic", "pessimistic"])
def test_what_is_rolled_back_is_never_seen_and_its_locks_are_gone(standin, mode):
    async def work(cluster):
        store = cluster.store("a")
        key = f"back_{mode}".encode()
        txn = await store.begin(mode)
        await txn.put(key, b"never")
        await txn.rollback()
        await txn.rollback()  # once is enough, twice is harmless
        with pytest.raises(Aborted):
            await txn.commit()
        await write(store, "optimistic", **{f"back_{mode}": b"1"})
        snapshot = await store.snapshot(await store.current_timestamp())
        return await snapshot.get(key)

    assert standin.in_client(work) == b"1"


def test_what_is_left_open_or_cancelled_is_rolled_back_by_close(standin, capfd):
    async def work(cluster):
        store = cluster.store("a")
        txn = await store.begin("pessimistic")
        await txn.get_for_update(b"open")
        del txn
        blocked = await store.begin("pessimistic")
        waiting = asyncio.create_task(blocked.get_for_update(b"open"))
        await asyncio.sleep(0.1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        with pytest.raises(Aborted, match="ended"):
            await blocked.put(b"open", b"2")
        beginning = asyncio.create_task(store.begin("pessimistic"))
        await asyncio.sleep(0)
        beginning.cancel()
        await asyncio.gather(beginning, return_exceptions=True)
        await store.close()
        started = time.monotonic()
        await write(cluster.store("b"), "optimistic", open=b"1")
        return time.monotonic() - started

    assert standin.in_client(work) < 1.0  # a lock in the way would cost 1.5 s, and the commit
    assert "panicked" not in capfd.readouterr().err


async def write_for(seconds: float, store: TikvStore, number: int) -> dict[str, str]:
    """Write one key into each of two regions, again and again; what became of each write, by its name."""
    words: dict[str, str] = {}
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        turn = len(words)
        name = f"kill_{number}_{turn}"
        try:
            txn = await store.begin("optimistic" if turn % 2 else "pessimistic")
        except Aborted as error:
            words[name] = error.word
            continue
        try:
            await txn.put(name.encode(), b"x")
            await txn.put(b"z" + name.encode(), b"x")
            if turn % 5 == 0:
                await txn.put(b"kill_shared", name.encode())  # all fight for it
            await txn.commit()
            words[name] = "ok"
        except StoreError as error:
            words[name] = error.word if error.definite else "info"
        finally:
            await txn.rollback()
        await asyncio.sleep(0.01)
    return words


async def read_when_it_works(store: TikvStore, keys: list[bytes]) -> dict[bytes, bytes]:
    """Read these keys at a new timestamp, as soon as the cluster answers."""
    for _ in range(20):
        try:
            return await (await store.snapshot(await store.current_timestamp())).batch_get(keys)
        except StoreError:
            await asyncio.sleep(1)
    pytest.fail("the cluster did not recover")


def test_a_store_that_is_killed_among_commits_never_makes_a_lie(standin_of_three):
    """What was told to have failed stays unseen, what was acknowledged is there, and halves are the client's alone.

    tikv-client drops a region's share of the mutations when the region's leader is not known during the prewrite, and
    commits the rest. The share with the primary key, the first that was put, can't be dropped: without its lock the
    commit fails. So a half is the first key without the second, never the reverse, and never of a write that failed.
    """
    standin = standin_of_three

    async def work(cluster: ExternalCluster):
        writers = (write_for(24, cluster.store(f"c{number}"), number) for number in range(6))
        return [each for words in await asyncio.gather(*writers) for each in words.items()]

    def kill_two() -> None:
        for victim in standin.stores[:2]:
            time.sleep(6)
            victim.kill()
            time.sleep(4)
            victim.start()

    outcomes = standin.in_client(work, kill_two)
    standin.wait_until_ready()

    async def read_back(cluster: ExternalCluster):
        keys = [prefix + name.encode() for name, _ in outcomes for prefix in (b"", b"z")]
        return await read_when_it_works(cluster.store("reader"), keys)

    found = standin.in_client(read_back)
    counts = Counter(word for _, word in outcomes)
    whole, nothing, half = (True, True), (False, False), (True, False)
    allowed = {"ok": {whole, half}, "info": {whole, nothing, half}}
    seen = {name: (name.encode() in found, b"z" + name.encode() in found) for name, _ in outcomes}
    lies = [(name, word, seen[name]) for name, word in outcomes if seen[name] not in allowed.get(word, {nothing})]
    assert not lies, counts
    halves = [name for name, _ in outcomes if seen[name] == half]
    assert len(halves) < counts["ok"] / 20, halves  # rare: a region is without a leader for a moment only
    assert counts["ok"] > 50, counts
    assert counts.total() - counts["ok"] > 0, counts  # otherwise nothing was broken


def test_calls_on_a_frozen_pd_end_in_time_and_definitely(standin):
    async def work(cluster: ExternalCluster):
        store = cluster.store("a")
        await store.current_timestamp()
        standin.pd.signal(signal.SIGSTOP)
        started = time.monotonic()
        try:
            with pytest.raises(UnavailableBeforeCommit):
                await store.begin("optimistic")
        finally:
            standin.pd.signal(signal.SIGCONT)
        took = time.monotonic() - started
        await store.close()
        return took

    assert standin.in_client(work) < 12


def test_a_commit_on_a_frozen_pd_is_undetermined(standin):
    async def work(cluster: ExternalCluster):
        store = cluster.store("a")
        txn = await store.begin("optimistic")
        await txn.put(b"frozen", b"1")
        standin.pd.signal(signal.SIGSTOP)
        try:
            with pytest.raises(Undetermined):
                await txn.commit()
            await txn.rollback()
        finally:
            standin.pd.signal(signal.SIGCONT)

    standin.in_client(work)


def test_the_cluster_describes_itself(standin):
    async def work(cluster: ExternalCluster):
        return cluster.describe()

    description = standin.in_client(work)
    assert description["pd"] == [standin.pd_address]
    assert description["client"] == "tikv-client 0.0.4"
    assert description["cluster_id"] > 0
    assert [store["state"] for store in description["stores"]] == ["Up"]
