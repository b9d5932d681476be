"""Pessimistic locks: taken while the transaction runs, on the newest committed values.

After TiKV's ``actions/acquire_pessimistic_lock.rs``. Who finds another's lock in the way is told so and asks again;
TiKV's queue of waiters is not modelled.
"""

from __future__ import annotations

from cluster.sim.mvcc import LOCK, Change, Lock, Mvcc
from cluster.sim.percolator_actions import Evaluation, done, locked
from cluster.sim.wire import AlreadyRolledBack, PairsResult, PessimisticLock, PessimisticRollback, WriteConflict


def pessimistic_lock(mvcc: Mvcc, command: PessimisticLock, _bugs: frozenset[str]) -> Evaluation:
    """Lock all keys or none, and read their values as of for_update_ts."""
    changes: list[Change] = []
    pairs: list[tuple[bytes, bytes]] = []
    for key in sorted(command.keys):
        error = _lock_key(mvcc, changes, command, key)
        if error is not None:
            return Evaluation(error)
        value = mvcc.value(key, command.for_update_ts)
        if value is not None:
            pairs.append((key, value))
    return Evaluation(PairsResult(tuple(pairs)), tuple(changes) or None)


def _lock_key(mvcc: Mvcc, changes: list[Change], command: PessimisticLock, key: bytes) -> object | None:
    start_ts, for_update_ts, ttl_ms = command.start_ts, command.for_update_ts, command.ttl_ms
    lock = mvcc.lock.get(key)
    if lock is not None:
        if lock.start_ts != start_ts:
            return locked(key, lock)
        if lock.kind != "pessimistic" or lock.for_update_ts >= for_update_ts:
            return None  # sent again
        ttl_ms = max(ttl_ms, lock.ttl_ms)
    else:
        fate = mvcc.fate(key, start_ts)
        if fate == 0:
            return AlreadyRolledBack(key, start_ts)
        if fate is not None:  # far too late: its own commit is in the way
            return WriteConflict(key, start_ts, start_ts, fate)
        write = mvcc.newest(key)
        if write is not None and write.commit_ts > for_update_ts:
            return WriteConflict(key, start_ts, write.start_ts, write.commit_ts)
    changes.append((LOCK, key, Lock("pessimistic", command.primary, start_ts, ttl_ms, for_update_ts)))
    return None


def pessimistic_rollback(mvcc: Mvcc, command: PessimisticRollback, _bugs: frozenset[str]) -> Evaluation:
    """Remove the transaction's pessimistic locks. No record is left, so that it may lock the key again later."""
    changes: list[Change] = []
    for key in command.keys:
        lock = mvcc.lock.get(key)
        if (
            lock is not None
            and lock.kind == "pessimistic"
            and lock.start_ts == command.start_ts
            and lock.for_update_ts <= command.for_update_ts
        ):
            changes.append((LOCK, key, None))
    return done(changes)
