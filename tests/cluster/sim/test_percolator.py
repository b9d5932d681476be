"""Every command against a reference that keeps what happened as plain facts, in any order and at colliding timestamps.

The reference has no records, families or batches: a set of rollbacks, a dictionary of commits and one of locks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.sim.mvcc import Mvcc
from cluster.sim.percolator import Evaluation, evaluate, latch_keys
from cluster.sim.wire import (
    AlreadyExists,
    AlreadyRolledBack,
    BatchGet,
    CheckTxnStatus,
    Command,
    Commit,
    Committed,
    Done,
    Get,
    GetResult,
    Locked,
    Mutation,
    PairsResult,
    PessimisticLock,
    PessimisticLockNotFound,
    PessimisticRollback,
    Prewrite,
    ResolveLock,
    Rollback,
    Scan,
    TtlResult,
    TxnHeartBeat,
    TxnLockNotFound,
    TxnNotFound,
    TxnStatus,
    WriteConflict,
    compose_ts,
)

KEYS = (b"a", b"b", b"c")


def ts(number: int) -> int:
    return compose_ts(number * 1000, 0)


@dataclass
class FactLock:
    kind: str
    value: bytes | None
    primary: bytes
    start: int
    ttl: int
    for_update: int


@dataclass
class Facts:
    """What has happened to each (key, start_ts), and nothing about how it is stored."""

    commits: dict[tuple[bytes, int], tuple[int, str, bytes | None]] = field(default_factory=dict)
    rollbacks: set[tuple[bytes, int]] = field(default_factory=set)
    locks: dict[bytes, FactLock] = field(default_factory=dict)

    def read(self, key: bytes, at: int) -> bytes | None:
        found = [(c, kind, v) for (k, _), (c, kind, v) in self.commits.items() if k == key and c <= at]
        values = [entry for entry in found if entry[1] in ("put", "delete")]
        return max(values)[2] if values else None

    def newest(self, key: bytes, *, with_rollbacks: bool) -> tuple[int, int] | None:
        """(commit_ts, start_ts) of the newest; at one timestamp the commit hides the rollback."""
        found = [(c, 1, s) for (k, s), (c, _, _) in self.commits.items() if k == key]
        if with_rollbacks:
            found += [(s, 0, s) for k, s in self.rollbacks if k == key]
        return (max(found)[0], max(found)[2]) if found else None

    def mine(self, key: bytes, start: int) -> FactLock | None:
        lock = self.locks.get(key)
        return lock if lock is not None and lock.start == start else None

    def tell(self, key: bytes) -> Locked:
        lock = self.locks[key]
        return Locked(key, lock.primary, lock.start, lock.ttl, lock.kind, lock.for_update)  # type: ignore[arg-type]

    # Commands: each returns the answer and a thunk that makes it so.

    def do(self, command: Command) -> tuple[object, Any]:
        return getattr(self, "do_" + type(command).__name__)(command)

    def do_Get(self, c: Get) -> tuple[object, Any]:  # noqa: N802
        answer, _ = self.do_BatchGet(BatchGet((c.key,), c.ts))
        if isinstance(answer, Locked):
            return answer, None
        return GetResult(dict(answer.pairs).get(c.key)), None

    def do_BatchGet(self, c: BatchGet, limit: int = 99) -> tuple[Any, Any]:  # noqa: N802
        pairs: list[tuple[bytes, bytes]] = []
        for key in sorted(c.keys):
            lock = self.locks.get(key)
            if len(pairs) == limit:
                break
            if lock and lock.kind in ("put", "delete") and lock.start <= c.ts:
                return self.tell(key), None
            value = self.read(key, c.ts)
            if value is not None:
                pairs.append((key, value))
        return PairsResult(tuple(pairs)), None

    def do_Scan(self, c: Scan) -> tuple[object, Any]:  # noqa: N802
        within = tuple(k for k in KEYS if k >= c.start and (not c.end or k < c.end))
        return self.do_BatchGet(BatchGet(within, c.ts), c.limit)

    def do_Prewrite(self, c: Prewrite) -> tuple[object, Any]:  # noqa: N802
        new: dict[bytes, FactLock] = {}
        waits: list[Locked] = []
        for m in c.mutations:
            at = (m.key, c.start_ts)
            mine, lock = self.mine(m.key, c.start_ts), self.locks.get(m.key)
            if (mine and mine.kind != "pessimistic") or at in self.commits:
                continue
            if not mine and at in self.rollbacks:
                return AlreadyRolledBack(*at), None
            if not mine and m.pessimistic:
                return PessimisticLockNotFound(*at), None
            if lock and not mine:
                waits.append(self.tell(m.key))
                continue
            newest = self.newest(m.key, with_rollbacks=not c.for_update_ts)
            if not m.pessimistic and newest and newest[0] > (c.for_update_ts or c.start_ts):
                if c.for_update_ts:
                    return PessimisticLockNotFound(*at), None
                return WriteConflict(*at, newest[1], newest[0]), None
            if m.kind in ("insert", "check_not_exists") and self.read(m.key, ts(1000)) is not None:
                return AlreadyExists(m.key), None
            if m.kind != "check_not_exists":
                kind = "put" if m.kind == "insert" else m.kind
                ttl = max(c.ttl_ms, mine.ttl) if mine else c.ttl_ms
                new[m.key] = FactLock(kind, m.value, c.primary, c.start_ts, ttl, c.for_update_ts)
        return (waits[0], None) if waits else (Done(), lambda: self.locks.update(new))

    def commit(self, key: bytes, commit_ts: int) -> None:
        lock = self.locks.pop(key)
        kind = "lock" if lock.kind == "pessimistic" else lock.kind
        self.commits[key, lock.start] = commit_ts, kind, lock.value

    def do_Commit(self, c: Commit) -> tuple[object, Any]:  # noqa: N802
        todo = [key for key in c.keys if self.mine(key, c.start_ts)]
        for key in c.keys:
            if key not in todo and (key, c.start_ts) not in self.commits:
                return TxnLockNotFound(key, c.start_ts), None
        return Done(), lambda: [self.commit(key, c.commit_ts) for key in todo]

    def roll_back(self, key: bytes, start: int) -> None:
        if self.mine(key, start):
            del self.locks[key]
        if (key, start) not in self.commits:
            self.rollbacks.add((key, start))

    def do_Rollback(self, c: Rollback) -> tuple[object, Any]:  # noqa: N802
        for key in c.keys:
            if (key, c.start_ts) in self.commits:
                return Committed(key, c.start_ts, self.commits[key, c.start_ts][0]), None
        return Done(), lambda: [self.roll_back(key, c.start_ts) for key in c.keys]

    def do_PessimisticLock(self, c: PessimisticLock) -> tuple[object, Any]:  # noqa: N802
        new: dict[bytes, FactLock] = {}
        for key in sorted(c.keys):
            mine = self.mine(key, c.start_ts)
            if key in self.locks and not mine:
                return self.tell(key), None
            newest = self.newest(key, with_rollbacks=True)
            if not mine and (key, c.start_ts) in self.rollbacks:
                return AlreadyRolledBack(key, c.start_ts), None
            if not mine and (key, c.start_ts) in self.commits:
                return WriteConflict(key, c.start_ts, c.start_ts, self.commits[key, c.start_ts][0]), None
            if not mine and newest and newest[0] > c.for_update_ts:
                return WriteConflict(key, c.start_ts, newest[1], newest[0]), None
            if not mine or (mine.kind == "pessimistic" and mine.for_update < c.for_update_ts):
                ttl = max(c.ttl_ms, mine.ttl) if mine else c.ttl_ms
                new[key] = FactLock("pessimistic", None, c.primary, c.start_ts, ttl, c.for_update_ts)
        pairs = [(key, self.read(key, c.for_update_ts)) for key in sorted(c.keys)]
        found = tuple((key, value) for key, value in pairs if value is not None)
        return PairsResult(found), lambda: self.locks.update(new)

    def do_PessimisticRollback(self, c: PessimisticRollback) -> tuple[object, Any]:  # noqa: N802
        def gone(key: bytes) -> bool:
            mine = self.mine(key, c.start_ts)
            return mine is not None and mine.kind == "pessimistic" and mine.for_update <= c.for_update_ts

        todo = [key for key in c.keys if gone(key)]
        return Done(), lambda: [self.locks.pop(key) for key in todo]

    def do_TxnHeartBeat(self, c: TxnHeartBeat) -> tuple[object, Any]:  # noqa: N802
        mine = self.mine(c.primary, c.start_ts)
        if mine is None:
            return TxnLockNotFound(c.primary, c.start_ts), None
        ttl = max(mine.ttl, c.ttl_ms)
        return TtlResult(ttl), lambda: setattr(mine, "ttl", ttl)

    def do_CheckTxnStatus(self, c: CheckTxnStatus) -> tuple[object, Any]:  # noqa: N802
        at = (c.primary, c.lock_ts)
        mine = self.mine(*at)
        if mine and (c.lock_ts >> 18) + mine.ttl >= c.current_ts >> 18:
            return TxnStatus(ttl_ms=mine.ttl), None
        if not mine and at in self.commits:
            return TxnStatus(commit_ts=self.commits[at][0]), None
        if not mine and at not in self.rollbacks and not c.rollback_if_not_exist:
            return TxnNotFound(*at), None
        return TxnStatus(), lambda: self.roll_back(*at)

    def do_ResolveLock(self, c: ResolveLock) -> tuple[object, Any]:  # noqa: N802
        keys = c.keys or tuple(key for key in KEYS if self.mine(key, c.start_ts))

        def make() -> None:
            for key in keys:
                if not c.commit_ts:
                    self.roll_back(key, c.start_ts)
                elif self.mine(key, c.start_ts):
                    self.commit(key, c.commit_ts)

        return Done(), make


# Transaction i starts at 10 i and commits at 10 (i + 1), the start_ts of the next: the rollback of one and the
# commit of another meet at one timestamp. Eight bytes make a command: hypothesis draws and shrinks them fast.

SUBSETS = ((b"a",), (b"b",), (b"c",), (b"a", b"b"), (b"c", b"b"), (b"a", b"c"), (b"a", b"b", b"c"))
KINDS = ("put", "delete", "lock", "insert", "check_not_exists")


def pick(choices: Any, byte: int) -> Any:
    return choices[byte % len(choices)]


def mutations(bytes_: bytes, *, pessimistic: bool) -> tuple[Mutation, ...]:
    found = []
    for n, key in enumerate(pick(SUBSETS, bytes_[0])):
        kind = pick(KINDS[: 4 if pessimistic else 5], bytes_[1] >> n)
        value = b"%d" % bytes_[1] if kind in ("put", "insert") else None
        found.append(Mutation(kind, key, value, pessimistic and bool(bytes_[2] >> n & 1)))
    return tuple(found)


def command_of(b: bytes) -> Command:
    i = 1 + b[1] % 5
    start, end = ts(10 * i), ts(10 * (i + 1))
    later = ts(10 * i + pick((0, 5, 15, 25), b[2]))
    keys, key, ttl = pick(SUBSETS, b[3]), pick(KEYS, b[3]), pick((5000, 9000, 20_000), b[4])
    makers: Any = (
        lambda: Get(key, later),
        lambda: BatchGet(keys, later),
        lambda: Scan(pick((b"", b"b"), b[3]), pick((b"", b"c"), b[4]), 2, later),
        *[lambda: Prewrite(mutations(b[5:], pessimistic=False), b"a", start, ttl)] * 3,
        *[lambda: Prewrite(mutations(b[5:], pessimistic=True), b"a", start, ttl, later)] * 2,
        *[lambda: Commit(keys, start, end)] * 3,
        lambda: Rollback(keys, start),
        *[lambda: PessimisticLock(keys, b"a", start, later, ttl)] * 2,
        lambda: PessimisticRollback(keys, start, later),
        lambda: TxnHeartBeat(key, start, ttl),
        lambda: CheckTxnStatus(key, start, later, bool(b[4] & 1)),
        lambda: ResolveLock(start, pick((0, end), b[4]), pick(((), keys), b[5])),
    )
    return pick(makers, b[0])()


def sequences(longest: int) -> st.SearchStrategy[list[Command]]:
    drawn = st.integers(0, longest).flatmap(lambda n: st.binary(min_size=8 * n, max_size=8 * n))
    return drawn.map(lambda b: [command_of(b[at : at + 8]) for at in range(0, len(b), 8)])


def execute(mvcc: Mvcc, command: Command) -> Evaluation:
    evaluation = evaluate(mvcc, command, frozenset())
    if evaluation.batch is not None:
        mvcc.apply(evaluation.batch)
    return evaluation


def check_same(mvcc: Mvcc, facts: Facts) -> None:
    assert {k: lock.start_ts for k, lock in mvcc.lock.items()} == {k: lock.start for k, lock in facts.locks.items()}
    for key in KEYS:
        for i in range(1, 6):
            start = ts(10 * i)
            known = facts.commits.get((key, start), (0 if (key, start) in facts.rollbacks else None,))[0]
            assert mvcc.fate(key, start) == known
        for at in range(0, 80, 5):
            assert mvcc.value(key, ts(at)) == facts.read(key, ts(at))


@settings(deadline=None, max_examples=1000, derandomize=True)
@given(sequences(30))
def test_every_command_answers_and_does_what_the_facts_say(sequence: list[Command]) -> None:
    mvcc, facts = Mvcc(), Facts()
    for command in sequence:
        answer, make = facts.do(command)
        evaluation = execute(mvcc, command)
        assert evaluation.answer == answer, command
        if make is not None:
            make()
    check_same(mvcc, facts)


@settings(deadline=None, max_examples=500, derandomize=True)
@given(sequences(25))
def test_a_fate_once_known_never_changes(sequence: list[Command]) -> None:
    mvcc = Mvcc()
    fates: dict[tuple[bytes, int], int] = {}
    for command in sequence:
        execute(mvcc, command)
        for key in KEYS:
            for i in range(1, 6):
                fate = mvcc.fate(key, ts(10 * i))
                assert fates.get((key, i), fate) == fate
                if fate is not None:
                    fates[key, i] = fate


@settings(deadline=None, max_examples=500, derandomize=True)
@given(sequences(25))
def test_sent_twice_a_command_changes_nothing_and_answers_the_same(sequence: list[Command]) -> None:
    mvcc = Mvcc()
    for command in sequence:
        first = execute(mvcc, command)
        before = mvcc.snapshot()
        assert execute(mvcc, command).answer == first.answer
        assert mvcc.snapshot() == before


@settings(deadline=None, max_examples=500, derandomize=True)
@given(sequences(25))
def test_a_command_writes_only_what_it_has_latched_and_reads_write_nothing(sequence: list[Command]) -> None:
    mvcc = Mvcc()
    for command in sequence:
        latched = latch_keys(command, mvcc)
        assert list(latched) == sorted(set(latched))
        evaluation = execute(mvcc, command)
        written = {key[0] if isinstance(key, tuple) else key for _, key, _ in evaluation.batch or ()}
        assert written <= set(latched)


@settings(deadline=None, max_examples=500, derandomize=True)
@given(sequences(20), sequences(10), st.sampled_from(KEYS))
def test_two_halves_of_a_split_answer_as_the_whole_did(before: list[Command], after: list[Command], at: bytes) -> None:
    whole, left = Mvcc(), Mvcc()
    for command in before:
        execute(whole, command)
        execute(left, command)
    right = left.split(at)
    for command in after:
        if isinstance(command, Get | CheckTxnStatus | TxnHeartBeat):
            key = command.key if isinstance(command, Get) else command.primary
            assert execute(left if key < at else right, command) == execute(whole, command)
