"""Percolator's first phase: lock every key and lay down its value, if nobody else was there first.

After TiKV's ``actions/prewrite.rs``. It differs where that is safe and simpler: a key's own record is looked for before
anything else, so a prewrite that is sent again is answered alike whatever happened meanwhile; and no pessimistic lock
is ever amended, since here none is lost (locks are not pipelined, they go through Raft before they are answered).
"""

from __future__ import annotations

from cluster.sim.bugs import ROLLBACK_IGNORED, SKIP_WRITE_CONFLICT
from cluster.sim.mvcc import DEFAULT, LOCK, Change, Lock, Mvcc
from cluster.sim.percolator_actions import Evaluation, done, locked
from cluster.sim.wire import (
    AlreadyExists,
    AlreadyRolledBack,
    Locked,
    LockKind,
    Mutation,
    MutationKind,
    PessimisticLockNotFound,
    Prewrite,
    WriteConflict,
)

_LOCK_KIND: dict[MutationKind, LockKind] = {"put": "put", "insert": "put", "delete": "delete", "lock": "lock"}
_MUST_BE_ABSENT: tuple[MutationKind, ...] = ("insert", "check_not_exists")


def prewrite(mvcc: Mvcc, command: Prewrite, bugs: frozenset[str]) -> Evaluation:
    """Lock all keys or none. Of several errors, one that ends the transaction is told before a lock in the way."""
    changes: list[Change] = []
    in_the_way: Locked | None = None
    for mutation in command.mutations:
        error = _prewrite_key(mvcc, changes, command, mutation, bugs)
        if error is None:
            continue
        if type(error) is not Locked:
            return Evaluation(error)
        if in_the_way is None:
            in_the_way = error
    return done(changes) if in_the_way is None else Evaluation(in_the_way)


def _prewrite_key(
    mvcc: Mvcc, changes: list[Change], command: Prewrite, mutation: Mutation, bugs: frozenset[str]
) -> object | None:
    key, start_ts, ttl_ms = mutation.key, command.start_ts, command.ttl_ms
    lock = mvcc.lock.get(key)
    if lock is not None and lock.start_ts == start_ts:
        if lock.kind != "pessimistic":
            return None  # prewritten before
        ttl_ms = max(ttl_ms, lock.ttl_ms)  # a heartbeat may have raised it
    else:
        fate = mvcc.fate(key, start_ts)
        if fate:
            return None  # committed before
        if fate == 0 and ROLLBACK_IGNORED not in bugs:
            return AlreadyRolledBack(key, start_ts)
    error = _refusal(mvcc, command, mutation, lock, bugs)
    if error is not None or mutation.kind == "check_not_exists":
        return error
    kind = _LOCK_KIND[mutation.kind]
    changes.append((LOCK, key, Lock(kind, command.primary, start_ts, ttl_ms, command.for_update_ts)))
    if kind == "put":
        changes.append((DEFAULT, (key, start_ts), mutation.value))
    return None


def _refusal(
    mvcc: Mvcc, command: Prewrite, mutation: Mutation, lock: Lock | None, bugs: frozenset[str]
) -> object | None:
    """What others have done to the key that stands against the mutation."""
    key, start_ts = mutation.key, command.start_ts
    guarded = mutation.pessimistic
    if lock is None or lock.start_ts != start_ts:
        # With the planted bug a lock that was rolled back is amended, like one that had only been lost.
        if mutation.pessimistic and ROLLBACK_IGNORED not in bugs:
            return PessimisticLockNotFound(key, start_ts)
        if lock is not None:
            return locked(key, lock)
        guarded = False
    conflict = None if guarded else _newer_write(mvcc, command, key, bugs)
    if conflict is None and mutation.kind in _MUST_BE_ABSENT and _exists(mvcc, key):
        return AlreadyExists(key)
    return conflict


def _newer_write(mvcc: Mvcc, command: Prewrite, key: bytes, bugs: frozenset[str]) -> object | None:
    """The error if somebody wrote a key that this transaction did not lock beforehand.

    A pessimistic transaction is held to its for_update_ts on the keys it did not lock: a commit above that means that
    the lock which was to guard them is lost. A rollback there says nothing of the kind.
    """
    start_ts, for_update_ts = command.start_ts, command.for_update_ts
    if for_update_ts:
        write = mvcc.newest_commit(key)
        return PessimisticLockNotFound(key, start_ts) if write and write.commit_ts > for_update_ts else None
    write = mvcc.newest(key)
    if write is not None and write.commit_ts > start_ts and SKIP_WRITE_CONFLICT not in bugs:
        return WriteConflict(key, start_ts, write.start_ts, write.commit_ts)
    return None


def _exists(mvcc: Mvcc, key: bytes) -> bool:
    newest = mvcc.newest(key)
    return newest is not None and mvcc.value(key, newest.commit_ts) is not None
