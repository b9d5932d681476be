"""What a client may say of a commit: each way of losing messages, and whether the transaction really happened."""

import asyncio

import pytest

from cluster.errors import Aborted, RolledBack, UnavailableBeforeCommit, Undetermined
from cluster.sim import wire, wire_pd
from harness.clock import MILLISECOND, SECOND
from tests.cluster.sim.clients import later, read_now, write

KEYS = (b"a", b"h")  # in two regions; the first is the primary
STORES = [f"kv{i}" for i in range(1, 6)]
PDS = [f"pd{i}" for i in range(1, 4)]


def sent_of(cluster, command, before_first=lambda: None):
    """The list gets each such command of client-0 (or request to PD); ``before_first()`` runs ahead of the first."""
    send = cluster._network.call
    sent = []

    def call(src, dst, request, on_reply, timeout_ns):
        of_interest = getattr(request, "command", request)
        if src == "client-0" and isinstance(of_interest, command):
            if not sent:
                before_first()
            sent.append(of_interest)
        send(src, dst, request, on_reply, timeout_ns)

    cluster._network.call = call
    return sent


def cut(cluster, sources, destinations):
    for src in sources:
        for dst in destinations:
            cluster._network.cut(src, dst)


def mend(cluster, sources, destinations):
    for src in sources:
        for dst in destinations:
            cluster._network.mend(src, dst)


async def prepared(cluster, mode):
    await write(cluster.store("setup"), dict.fromkeys(KEYS, b"old"))
    txn = await cluster.store("client-0").begin(mode)
    for key in KEYS:
        await txn.put(key, b"new")
    return txn


async def found(cluster):
    """What another client reads, once it is no longer unknown."""
    pairs = await read_now(cluster.store("reader"), KEYS)
    assert len(set(pairs.values())) == 1, "half a transaction"
    return pairs[KEYS[0]]


@pytest.fixture(params=["optimistic", "pessimistic"])
def mode(request):
    return request.param


def test_executed_but_never_answered_is_undetermined(simulated, mode):
    async def main(cluster):
        txn = await prepared(cluster, mode)
        sent_of(cluster, wire.Commit, lambda: cut(cluster, STORES, ["client-0"]))
        with pytest.raises(Undetermined):
            await txn.commit()
        assert await found(cluster) == b"new"

    simulated(main)


def test_never_arrived_is_undetermined_too_since_the_client_cannot_tell(simulated, mode):
    async def main(cluster):
        txn = await prepared(cluster, mode)
        sent = sent_of(cluster, wire.Commit, lambda: cut(cluster, ["client-0"], STORES))
        rollbacks = sent_of(cluster, wire.Rollback)
        with pytest.raises(Undetermined):
            await txn.commit()
        await txn.rollback()
        await later(cluster, SECOND)
        assert len(sent) > 1
        assert not rollbacks, "a rollback would change what nobody knows"
        assert await found(cluster) == b"old"

    simulated(main)


def test_executed_and_answered_at_a_later_try_is_committed(simulated, mode):
    async def main(cluster):
        txn = await prepared(cluster, mode)

        def lose_the_answer():
            cut(cluster, STORES, ["client-0"])
            cluster.clock.after(SECOND, mend, cluster, STORES, ["client-0"])

        sent = sent_of(cluster, wire.Commit, lose_the_answer)
        commit_ts = await txn.commit()
        assert len(sent) > 1
        reader = cluster.store("reader")
        assert await (await reader.snapshot(commit_ts)).get(KEYS[0]) == b"new"
        assert await (await reader.snapshot(commit_ts - 1)).get(KEYS[0]) == b"old"

    simulated(main)


def test_lost_and_rolled_back_by_another_before_the_next_try_is_a_definite_abort(simulated, mode):
    async def main(cluster):
        txn = await prepared(cluster, mode)

        def isolate():
            cut(cluster, ["client-0"], STORES)
            cluster.clock.after(5500 * MILLISECOND, mend, cluster, ["client-0"], STORES)

        sent = sent_of(cluster, wire.Commit, isolate)
        committing = asyncio.ensure_future(txn.commit())
        await later(cluster, 4 * SECOND)
        assert await found(cluster) == b"old"
        with pytest.raises(RolledBack):
            await committing
        assert len(sent) > 1
        assert await found(cluster) == b"old"

    simulated(main)


def test_when_nobody_ever_listened_it_is_a_definite_abort(simulated):
    async def main(cluster):
        txn = await prepared(cluster, "optimistic")

        def kill_all():
            for name in STORES:
                _kill(cluster, name)

        sent_of(cluster, wire.Commit, kill_all)
        with pytest.raises(UnavailableBeforeCommit):
            await txn.commit()
        for name in STORES:
            await cluster.faults.start(name)
        await later(cluster, 40 * SECOND)
        assert await found(cluster) == b"old"

    simulated(main)


@pytest.mark.parametrize("command", [wire.Prewrite, wire_pd.GetTimestamps])
def test_what_fails_before_the_commit_was_sent_is_definite_and_rolled_back(simulated, mode, command):
    async def main(cluster):
        txn = await prepared(cluster, mode)
        servers = STORES if command is wire.Prewrite else PDS
        sent_of(cluster, command, lambda: cut(cluster, servers, ["client-0"]))
        commits = sent_of(cluster, wire.Commit)
        with pytest.raises(Aborted):
            await txn.commit()
        assert not commits
        assert await found(cluster) == b"old"

    simulated(main)


def test_a_commit_that_is_cancelled_sends_no_rollback(simulated, mode):
    async def main(cluster):
        txn = await prepared(cluster, mode)
        sent_of(cluster, wire.Commit, lambda: cut(cluster, STORES, ["client-0"]))
        rollbacks = sent_of(cluster, wire.Rollback | wire.PessimisticRollback)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await txn.commit()
        await txn.rollback()
        mend(cluster, STORES, ["client-0"])
        await later(cluster, 50 * MILLISECOND)
        assert not rollbacks
        assert await found(cluster) == b"new"

    simulated(main)


def test_a_store_that_dies_with_the_commit_in_hand_leaves_it_undetermined_or_committed(simulated, mode):
    async def main(cluster):
        txn = await prepared(cluster, mode)

        def kill_soon():
            leader = cluster.faults.region_leader(KEYS[0])
            cluster.clock.after(600_000, _kill, cluster, leader)

        sent_of(cluster, wire.Commit, kill_soon)
        try:
            commit_ts = await txn.commit()
        except Undetermined:
            commit_ts = None
        await later(cluster, 40 * SECOND)
        value = await found(cluster)
        assert value == b"new" or commit_ts is None

    for seed in range(6):
        simulated(main, seed=seed)


def _kill(cluster, name):
    cluster._network.node(name).kill()
    cluster._network.break_connections(name)
