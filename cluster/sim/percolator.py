"""Percolator on the server's side: what each command of a client comes to, given a region's data.

A command is evaluated by the leader against the data as applied, under latches on its keys; what it writes then goes
through Raft and is applied on every peer. All commands are idempotent: a client that got no answer sends again. Two
phases only: no async commit, no one-phase commit, no GC.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cluster.sim.mvcc import Mvcc
from cluster.sim.percolator_actions import Evaluation
from cluster.sim.percolator_commit import commit, resolve_lock, rollback
from cluster.sim.percolator_pessimistic import pessimistic_lock, pessimistic_rollback
from cluster.sim.percolator_prewrite import prewrite
from cluster.sim.percolator_reads import batch_get, get, scan
from cluster.sim.percolator_status import check_txn_status, txn_heart_beat
from cluster.sim.wire import (
    BatchGet,
    CheckTxnStatus,
    Command,
    Commit,
    Get,
    PessimisticLock,
    PessimisticRollback,
    Prewrite,
    ResolveLock,
    Rollback,
    Scan,
    TxnHeartBeat,
)

__all__ = ["Evaluation", "evaluate", "latch_keys"]

_EVALUATE: dict[type, Callable[[Mvcc, Any, frozenset[str]], Evaluation]] = {
    Get: get,
    BatchGet: batch_get,
    Scan: scan,
    Prewrite: prewrite,
    Commit: commit,
    Rollback: rollback,
    PessimisticLock: pessimistic_lock,
    PessimisticRollback: pessimistic_rollback,
    TxnHeartBeat: txn_heart_beat,
    CheckTxnStatus: check_txn_status,
    ResolveLock: resolve_lock,
}


def evaluate(mvcc: Mvcc, command: Command, bugs: frozenset[str]) -> Evaluation:
    """Work out a command's answer and what it writes. Changes nothing."""
    return _EVALUATE[type(command)](mvcc, command, bugs)


def latch_keys(command: Command, mvcc: Mvcc) -> tuple[bytes, ...]:
    """The keys on which no other writing command may be under way, in order; none for reads.

    A ResolveLock without keys latches what its transaction has locked now. If it has to wait, ask again before it is
    evaluated: the locks may be others by then.
    """
    kind = type(command)
    if kind is Prewrite:
        return tuple(sorted({mutation.key for mutation in command.mutations}))  # pyright: ignore[reportAttributeAccessIssue]
    if kind is CheckTxnStatus or kind is TxnHeartBeat:
        return (command.primary,)  # pyright: ignore[reportAttributeAccessIssue]
    if kind is Get or kind is BatchGet or kind is Scan:
        return ()
    keys = command.keys  # pyright: ignore[reportAttributeAccessIssue]
    if kind is ResolveLock and not keys:
        keys = mvcc.locked_keys(command.start_ts)  # pyright: ignore[reportAttributeAccessIssue]
    return tuple(sorted(set(keys)))
