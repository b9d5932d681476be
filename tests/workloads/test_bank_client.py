"""The bank's client: what each outcome of the store becomes in the history, and what is kept of an operation."""

from __future__ import annotations

import asyncio

import pytest

from cluster.errors import RolledBack, Unavailable, UnavailableBeforeCommit, Undetermined, WriteConflict
from harness.op import FAIL, INFO, INVOKE, OK, Op
from harness.virtual_time import VirtualLoop
from workloads.bank_client import BankClient
from workloads.bank_layout import Layout
from workloads.bank_record import RecordCodec, initial_record

LAYOUT = Layout("t", 3)
CODEC = RecordCodec("t")
HANG = object()


class Store:
    """Keeps versions by timestamp, and fails where a test wants it to: ``trouble`` maps a call to what it raises."""

    def __init__(self) -> None:
        self.ts = 100
        self.versions = {key: [(0, CODEC.encode(initial_record(i, 10)))] for i, key in enumerate(LAYOUT.keys)}
        self.trouble: dict[str, object] = {}
        self.log: list[str] = []

    async def call(self, name: str) -> None:
        self.log.append(name)
        trouble = self.trouble.get(name)
        if trouble is HANG:
            await asyncio.sleep(3600)
        elif trouble is not None:
            raise trouble

    def at(self, key: bytes, ts: int) -> bytes | None:
        return next((data for when, data in reversed(self.versions.get(key, [])) if when <= ts), None)

    def tick(self) -> int:
        self.ts += 10
        return self.ts

    async def begin(self, mode: str) -> Txn:
        await self.call("begin")
        return Txn(self, mode, self.tick())

    async def snapshot(self, ts: int) -> Txn:
        return Txn(self, "snapshot", ts)

    async def current_timestamp(self) -> int:
        await self.call("current_timestamp")
        return self.tick()

    async def close(self) -> None:
        self.log.append("close")


class Txn:
    def __init__(self, store: Store, mode: str, ts: int) -> None:
        self.store, self.mode, self.start_ts = store, mode, ts
        self.writes: dict[bytes, bytes] = {}

    async def get(self, key):
        await self.store.call("get")
        return self.store.at(key, self.start_ts)

    async def get_for_update(self, key):
        await self.store.call("get_for_update")
        assert self.mode == "pessimistic"
        self.store.log.append(f"lock {LAYOUT.account_of(key)}")
        return self.store.at(key, 2**62)

    async def batch_get(self, keys):
        await self.store.call("batch_get")
        return {key: data for key in keys if (data := self.store.at(key, self.start_ts)) is not None}

    async def scan(self, start, end, limit):
        await self.store.call("scan")
        keys = sorted(key for key in self.store.versions if start <= key < end)
        return [(key, self.store.at(key, self.start_ts)) for key in keys][:limit]

    async def put(self, key, value):
        await self.store.call("put")
        self.writes[key] = value

    async def commit(self):
        await self.store.call("commit")
        ts = self.store.tick()
        for key, value in self.writes.items():
            self.store.versions[key].append((ts, value))
        return ts

    async def rollback(self):
        await self.store.call("rollback")


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def client(store) -> BankClient:
    return BankClient(store, LAYOUT, CODEC)


def run(main):
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(main)
    finally:
        loop.close()


def transfer(number=7, amount=4, mode="optimistic", source=2, target=0) -> Op:
    return Op(0, 0, 1, INVOKE, "transfer", {"id": number, "from": source, "to": target, "amount": amount, "mode": mode})


def read(via: str, number=8) -> Op:
    return Op(0, 0, 1, INVOKE, "read", {"id": number, "via": via})


READ = [[0, 10, 0, 0, -1], [2, 10, 0, 0, -1]]
WRITE = [[0, 14, 1, 7, 0], [2, 6, 1, 7, 0]]


@pytest.mark.parametrize("mode", ["optimistic", "pessimistic"])
def test_a_transfer_that_commits(store, client, mode):
    op = transfer(mode=mode)
    done = run(client.invoke(op))
    assert done.type == OK
    assert done.value == {**op.value, "ts": 110, "read": READ, "write": WRITE, "commit_ts": 120}
    assert "rollback" not in store.log
    assert op.value == transfer(mode=mode).value


def test_a_transfer_is_read_back_as_of_its_commit(store, client):
    done = run(client.invoke(transfer()))
    run(client.invoke(transfer(number=9)))
    value = {"id": 10, "of": 7, "ts": done.value["commit_ts"], "accounts": [0, 2]}
    back = run(client.invoke(Op(0, 0, 1, INVOKE, "readback", value)))
    assert back.type == OK
    assert back.value == {**value, "read": WRITE}


def test_a_readback_that_cannot_be_done_did_not_happen(store, client):
    store.trouble["batch_get"] = UnavailableBeforeCommit("no leader")
    value = {"id": 10, "of": 7, "ts": 120, "accounts": [0, 2]}
    assert run(client.invoke(Op(0, 0, 1, INVOKE, "readback", value))).type == FAIL


def test_pessimistic_transfers_lock_in_ascending_order(store, client):
    run(client.invoke(transfer(mode="pessimistic", source=2, target=0)))
    assert [entry for entry in store.log if entry.startswith("lock")] == ["lock 0", "lock 2"]


def test_insufficient_funds_is_a_fail_that_tells_what_was_read(store, client):
    done = run(client.invoke(transfer(amount=11)))
    assert (done.type, done.error, done.value["read"]) == (FAIL, "insufficient-funds", READ)
    assert "write" not in done.value
    assert store.log[-1] == "rollback"
    assert "put" not in store.log


OUTCOMES = [
    ("begin", UnavailableBeforeCommit(), FAIL, "unavailable", False),
    ("get", Unavailable("no leader"), FAIL, ["unavailable", "no leader"], True),
    ("put", RolledBack(), FAIL, "rolled-back", True),
    ("commit", WriteConflict(), FAIL, "write-conflict", True),
    ("commit", UnavailableBeforeCommit(), FAIL, "unavailable", True),
    ("commit", Undetermined("the answer was lost"), INFO, ["undetermined", "the answer was lost"], False),
    ("commit", Unavailable(), INFO, "unavailable", False),
]


@pytest.mark.parametrize(("where", "error", "kind", "word", "rolled_back"), OUTCOMES)
def test_outcomes(store, client, where, error, kind, word, rolled_back):  # noqa: PLR0917
    store.trouble[where] = error
    done = run(client.invoke(transfer()))
    assert (done.type, done.error) == (kind, word)
    assert ("rollback" in store.log) == rolled_back
    if where == "commit":
        assert (done.value["read"], done.value["write"], done.value["ts"]) == (READ, WRITE, 110)
        assert "commit_ts" not in done.value


def test_a_rollback_that_fails_or_hangs_changes_nothing(store, client):
    for trouble in (Unavailable(), HANG):
        store.trouble = {"commit": WriteConflict(), "rollback": trouble}
        assert run(client.invoke(transfer())).error == "write-conflict"


@pytest.mark.parametrize(
    ("where", "known", "rolled_back"),
    [
        ("get", {"ts": 110, "read": []}, True),
        ("put", {"ts": 110, "read": READ, "write": WRITE}, True),
        ("commit", {"ts": 110, "read": READ, "write": WRITE}, False),
    ],
)
def test_what_a_cancelled_transfer_knew_is_kept(store, client, where, known, rolled_back):
    store.trouble[where] = HANG
    op = transfer()

    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10):
                await client.invoke(op)
        return client.partial(op)

    assert run(main()) == {**op.value, **known}
    assert ("rollback" in store.log) == rolled_back


def test_partial_knows_nothing_of_an_operation_that_never_began(client):
    op = transfer(number=99)
    assert client.partial(op) == op.value


def test_errors_that_are_not_the_stores_are_not_swallowed(store, client):
    store.trouble["get"] = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        run(client.invoke(transfer()))
    assert store.log[-1] == "rollback"


@pytest.mark.parametrize("via", ["batch_get", "scan", "snapshot"])
def test_reads_see_all_accounts(store, client, via):
    run(client.invoke(transfer()))
    done = run(client.invoke(read(via)))
    assert done.type == OK
    assert done.value == {"id": 8, "via": via, "ts": 130, "read": [WRITE[0], [1, 10, 0, 0, -1], WRITE[1]]}


def test_a_read_that_gets_no_answer_fails(store, client):
    store.trouble["scan"] = Unavailable()
    done = run(client.invoke(read("scan")))
    assert (done.type, done.error) == (FAIL, "unavailable")
    assert store.log[-1] == "rollback"


def test_an_old_snapshot_is_taken_at_a_remembered_timestamp(store, client):
    for number in range(1, 13):
        run(client.invoke(transfer(number=number, amount=0)))
    done = run(client.invoke(read("old-snapshot", number=20)))
    assert done.value["via"] == "old-snapshot"
    # The commit_ts of the eighth transfer from the end: its own write is the newest seen.
    assert {row[3] for row in done.value["read"]} == {0, 5}
    assert done.value["ts"] == 100 + 20 * 5


def test_without_a_memory_an_old_snapshot_is_a_snapshot_and_says_so(client):
    done = run(client.invoke(read("old-snapshot")))
    assert (done.value["via"], done.value["ts"]) == ("snapshot", 110)


def test_corrupt_records_are_told_and_left_out(store, client):
    store.versions[LAYOUT.keys[2]].append((105, b"rubbish"))
    store.versions[LAYOUT.start + b"stray"] = [(0, CODEC.encode(initial_record(1, 5)))]
    done = run(client.invoke(read("scan")))
    assert done.type == OK
    assert [row[0] for row in done.value["read"]] == [0, 1]
    assert done.value["corrupt"][0] == [2, b"rubbish".hex()]
    assert done.value["corrupt"][1][0] == 3

    done = run(client.invoke(transfer()))
    assert (done.type, done.error) == (FAIL, "corrupt")
    assert (done.value["read"], done.value["corrupt"]) == (READ[:1], [[2, b"rubbish".hex()]])
    assert store.log[-1] == "rollback"


def test_a_missing_account_is_no_transfer(store, client):
    del store.versions[LAYOUT.keys[2]]
    done = run(client.invoke(transfer()))
    assert (done.type, done.error, done.value["read"]) == (FAIL, "missing-account", READ[:1])


def test_close_closes_the_store(store, client):
    run(client.close())
    assert store.log == ["close"]
