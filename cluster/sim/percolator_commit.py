"""Percolator's second phase: commit, roll back, and do either for a transaction that left its locks behind.

After TiKV's ``actions/commit.rs``, ``actions/cleanup.rs`` and ``commands/resolve_lock*.rs``.
"""

from __future__ import annotations

from cluster.sim.mvcc import Change, Mvcc
from cluster.sim.percolator_actions import Evaluation, commit_key, done, leave_rollback, rollback_lock
from cluster.sim.wire import Commit, Committed, ResolveLock, Rollback, TxnLockNotFound


def commit(mvcc: Mvcc, command: Commit, _bugs: frozenset[str]) -> Evaluation:
    """Commit all keys or none."""
    start_ts, commit_ts = command.start_ts, command.commit_ts
    changes: list[Change] = []
    for key in command.keys:
        lock = mvcc.lock.get(key)
        # A commit_ts that is not above start_ts is refused (TiKV: InvalidTxnTso), or the record would never be found.
        if lock is not None and lock.start_ts == start_ts and commit_ts > start_ts:
            commit_key(mvcc, changes, key, lock, commit_ts)
        elif not mvcc.fate(key, start_ts):
            return Evaluation(TxnLockNotFound(key, start_ts))
    return done(changes)


def rollback(mvcc: Mvcc, command: Rollback, _bugs: frozenset[str]) -> Evaluation:
    """Roll back all keys or none, also those that were never prewritten: a prewrite that comes late is stopped."""
    start_ts = command.start_ts
    changes: list[Change] = []
    for key in command.keys:
        commit_ts = _rollback_key(mvcc, changes, key, start_ts)
        if commit_ts:
            return Evaluation(Committed(key, start_ts, commit_ts))
    return done(changes)


def resolve_lock(mvcc: Mvcc, command: ResolveLock, _bugs: frozenset[str]) -> Evaluation:
    """Do to a transaction's locks what its primary decided; what is decided here already stays."""
    start_ts, commit_ts = command.start_ts, command.commit_ts
    changes: list[Change] = []
    for key in command.keys or mvcc.locked_keys(start_ts):
        if not commit_ts:
            _rollback_key(mvcc, changes, key, start_ts)
            continue
        lock = mvcc.lock.get(key)
        if lock is not None and lock.start_ts == start_ts and commit_ts > start_ts:
            commit_key(mvcc, changes, key, lock, commit_ts)
    return done(changes)


def _rollback_key(mvcc: Mvcc, changes: list[Change], key: bytes, start_ts: int) -> int:
    """Roll back one key, unless it is committed: then return the commit_ts, else 0."""
    lock = mvcc.lock.get(key)
    if lock is not None and lock.start_ts == start_ts:
        rollback_lock(mvcc, changes, key, lock)
        return 0
    fate = mvcc.fate(key, start_ts)
    if fate is None:
        leave_rollback(mvcc, changes, key, start_ts)
    return fate or 0
