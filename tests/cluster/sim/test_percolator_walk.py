"""Transactions as a client runs them, interleaved at random with lost answers, repeats and resolvers of their locks.

What must hold is stated without the families: snapshots never change, a transaction is whole or not at all, nobody's
increment is lost. Each planted bug breaks one of these by name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cluster.sim.bugs import READ_SKIPS_LOCK, ROLLBACK_IGNORED, SKIP_WRITE_CONFLICT
from cluster.sim.mvcc import Mvcc
from cluster.sim.percolator import evaluate
from cluster.sim.wire import (
    BatchGet,
    CheckTxnStatus,
    Command,
    Commit,
    Done,
    Get,
    GetResult,
    Locked,
    Mutation,
    PairsResult,
    PessimisticLock,
    PessimisticLockNotFound,
    Prewrite,
    ResolveLock,
    Rollback,
    TxnNotFound,
    TxnStatus,
    WriteConflict,
    compose_ts,
)
from harness.rng import Stream, Streams

KEYS = (b"a", b"b", b"c", b"d")
FOREVER = compose_ts(10**9, 0)


class World:
    def __init__(self, stream: Stream, bugs: frozenset[str]) -> None:
        self.mvcc = Mvcc()
        self.stream = stream
        self.bugs = bugs
        self.clock = 1000
        self.sent: list[Command] = []
        self.snapshots: list[tuple[int, tuple[tuple[bytes, bytes], ...]]] = []
        self.committed: dict[int, tuple[bytes, ...]] = {}  # the primary's commit was acknowledged

    def now(self) -> int:
        self.clock += 1 + self.stream.below(400)
        return compose_ts(self.clock, 0)

    def execute(self, command: Command) -> Any:
        evaluation = evaluate(self.mvcc, command, self.bugs)
        if evaluation.batch is not None:
            self.mvcc.apply(evaluation.batch)
        return evaluation.answer

    def send(self, command: Command) -> Any:
        """Execute; at times answer nothing (it arrives later, or never), or deliver an old message once more."""
        self.sent.append(command)
        if self.stream.chance(1, 6):
            self.execute(self.stream.choice(self.sent))
        if self.stream.chance(1, 6):
            return None
        return self.execute(command)

    def resolve(self, lock: Locked) -> None:
        status = self.execute(CheckTxnStatus(lock.primary, lock.start_ts, self.now(), rollback_if_not_exist=True))
        assert not isinstance(status, TxnNotFound)
        assert isinstance(status, TxnStatus)
        if not status.ttl_ms:
            keys = (lock.key,) if self.stream.chance(1, 2) else ()
            self.execute(ResolveLock(lock.start_ts, status.commit_ts, keys))

    def ask(self, command: Command) -> Iterator[Any]:
        """Send until there is an answer, resolving locks; the result is the generator's value. None: given up."""
        for _ in range(12):
            answer = self.send(command)
            if isinstance(answer, Locked):
                self.resolve(answer)
            elif answer is not None:
                return answer
            yield
        return None

    def reader(self) -> Iterator[Any]:
        at = self.now()
        yield
        answer = yield from self.ask(BatchGet(KEYS, at))
        if isinstance(answer, PairsResult):
            self.snapshots.append((at, answer.pairs))

    def optimistic(self, keys: tuple[bytes, ...]) -> Iterator[Any]:
        start_ts = self.now()
        values = {}
        for key in keys:
            answer = yield from self.ask(Get(key, start_ts))
            if not isinstance(answer, GetResult):
                return
            values[key] = int(answer.value or b"0") + 1
        yield from self.commit(start_ts, values, 0)

    def pessimistic(self, keys: tuple[bytes, ...]) -> Iterator[Any]:
        start_ts = for_update_ts = self.now()
        values = {}
        for key in sorted(keys):
            for _ in range(5):
                answer = yield from self.ask(PessimisticLock((key,), min(keys), start_ts, for_update_ts, 1500))
                if not isinstance(answer, WriteConflict):
                    break
                for_update_ts = self.now()
            if not isinstance(answer, PairsResult):
                self.send(Rollback(keys, start_ts))
                return
            values[key] = int(dict(answer.pairs).get(key, b"0")) + 1
        yield from self.commit(start_ts, values, for_update_ts)

    def commit(self, start_ts: int, values: dict[bytes, int], for_update_ts: int) -> Iterator[Any]:
        primary = min(values)
        for key in self.stream.shuffle(sorted(values)):
            mutation = Mutation("put", key, b"%d" % values[key], for_update_ts > 0)
            answer = yield from self.ask(Prewrite((mutation,), primary, start_ts, 1500, for_update_ts))
            if not isinstance(answer, Done):
                self.send(Rollback(tuple(values), start_ts))
                return
        commit_ts = self.now()
        answer = yield from self.ask(Commit((primary,), start_ts, commit_ts))
        if isinstance(answer, Done):
            self.committed[start_ts] = tuple(values)
            for key in sorted(values):
                if key != primary:
                    yield
                    self.send(Commit((key,), start_ts, commit_ts))

    def run(self) -> None:
        scripts: list[Iterator[Any]] = []
        for _ in range(40):
            keys = tuple(self.stream.sample(KEYS, 1 + self.stream.below(3)))
            make = self.stream.choice([self.optimistic, self.pessimistic, lambda _: self.reader()])
            scripts.append(make(keys))
        running, waiting = scripts[:5], scripts[5:]
        while running:
            script = self.stream.choice(running)
            try:
                next(script)
            except StopIteration:
                running.remove(script)
                if waiting:
                    running.append(waiting.pop())

    def finish(self) -> None:
        self.clock += 10_000
        while isinstance(answer := self.execute(BatchGet(KEYS, self.now())), Locked):
            self.resolve(answer)
        for key, lock in sorted(self.mvcc.lock.items()):
            self.resolve(Locked(key, lock.primary, lock.start_ts, lock.ttl_ms, lock.kind))

    def broken(self) -> set[str]:
        """The invariants that do not hold, by name."""
        found = set()
        for at, pairs in self.snapshots:
            if any(self.mvcc.value(key, at) != dict(pairs).get(key) for key in KEYS):
                found.add("a snapshot that was read has changed")
        for start_ts, keys in self.committed.items():
            if not all(self.mvcc.fate(key, start_ts) for key in keys):
                found.add("a transaction was acknowledged and is not committed everywhere")
        for key in KEYS:
            records = self.mvcc.write.get(key, [])
            fates = [record.start_ts for record in records]
            if len(fates) != len(set(fates)):
                found.add("a transaction is both committed and rolled back on a key")
            puts = sum(record.kind == "put" for record in records)
            if int(self.mvcc.value(key, FOREVER) or b"0") != puts:
                found.add("an increment was lost")
        return found


def walk(seed: int, *bugs: str) -> World:
    world = World(Streams(seed)("walk"), frozenset(bugs))
    world.run()
    world.finish()
    return world


def test_the_invariants_hold_whatever_is_lost_repeated_or_late() -> None:
    worlds = [walk(seed) for seed in range(150)]
    assert not set().union(*(world.broken() for world in worlds))
    assert all(not world.mvcc.lock for world in worlds)
    assert sum(len(world.committed) for world in worlds) > 150 * 8
    assert sum(len(world.snapshots) for world in worlds) > 150 * 5


@pytest.mark.parametrize(
    ("bug", "invariant"),
    [
        (SKIP_WRITE_CONFLICT, "an increment was lost"),
        (READ_SKIPS_LOCK, "a snapshot that was read has changed"),
        (ROLLBACK_IGNORED, "a transaction is both committed and rolled back on a key"),
        (ROLLBACK_IGNORED, "a transaction was acknowledged and is not committed everywhere"),
    ],
)
def test_each_planted_bug_breaks_an_invariant_by_name(bug: str, invariant: str) -> None:
    assert any(invariant in walk(seed, bug).broken() for seed in range(60))


def test_a_lost_pessimistic_lock_stops_the_prewrite() -> None:
    world = World(Streams(1)("walk"), frozenset())
    start_ts = world.now()
    world.execute(PessimisticLock((b"a",), b"a", start_ts, start_ts, 1500))
    world.execute(CheckTxnStatus(b"a", start_ts, FOREVER, rollback_if_not_exist=False))
    answer = world.execute(Prewrite((Mutation("put", b"a", b"1", True),), b"a", start_ts, 1500, start_ts))
    assert not isinstance(answer, Done | PessimisticLockNotFound | Locked)  # rolled back: the record says so
    assert world.mvcc.fate(b"a", start_ts) == 0
