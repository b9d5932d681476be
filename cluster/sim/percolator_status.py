"""The primary lock decides: ask it what became of a transaction, or keep it alive.

After TiKV's ``actions/check_txn_status.rs`` and ``commands/txn_heart_beat.rs``. Expiry compares timestamps of the TSO
only, never a store's clock.
"""

from __future__ import annotations

from msgspec.structs import replace

from cluster.sim.mvcc import LOCK, Change, Mvcc
from cluster.sim.percolator_actions import Evaluation, leave_rollback, rollback_lock
from cluster.sim.wire import (
    CheckTxnStatus,
    TtlResult,
    TxnHeartBeat,
    TxnLockNotFound,
    TxnNotFound,
    TxnStatus,
    physical_ms,
)

_ROLLED_BACK = TxnStatus()


def check_txn_status(mvcc: Mvcc, command: CheckTxnStatus, _bugs: frozenset[str]) -> Evaluation:
    """Answer the fate of the transaction; decide it, by a rollback, if its lock has expired or was never there."""
    key, start_ts = command.primary, command.lock_ts
    changes: list[Change] = []
    lock = mvcc.lock.get(key)
    if lock is not None and lock.start_ts == start_ts:
        if physical_ms(start_ts) + lock.ttl_ms >= physical_ms(command.current_ts):
            return Evaluation(TxnStatus(ttl_ms=max(lock.ttl_ms, 1)))
        rollback_lock(mvcc, changes, key, lock)
        return Evaluation(_ROLLED_BACK, tuple(changes))
    fate = mvcc.fate(key, start_ts)
    if fate is not None:
        return Evaluation(TxnStatus(commit_ts=fate))
    if not command.rollback_if_not_exist:
        return Evaluation(TxnNotFound(key, start_ts))
    leave_rollback(mvcc, changes, key, start_ts)
    return Evaluation(_ROLLED_BACK, tuple(changes))


def txn_heart_beat(mvcc: Mvcc, command: TxnHeartBeat, _bugs: frozenset[str]) -> Evaluation:
    """Raise the TTL of the primary lock, never lower it."""
    key = command.primary
    lock = mvcc.lock.get(key)
    if lock is None or lock.start_ts != command.start_ts:
        return Evaluation(TxnLockNotFound(key, command.start_ts))
    if lock.ttl_ms >= command.ttl_ms:
        return Evaluation(TtlResult(lock.ttl_ms))
    return Evaluation(TtlResult(command.ttl_ms), ((LOCK, key, replace(lock, ttl_ms=command.ttl_ms)),))
