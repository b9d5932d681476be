"""Percolator's reads: snapshot isolation's view at a timestamp, unless a lock might still commit below it.

Locks of kind ``lock`` and ``pessimistic`` change no value, so readers pass them.
"""

from __future__ import annotations

from cluster.sim.bugs import READ_SKIPS_LOCK
from cluster.sim.mvcc import Lock, Mvcc
from cluster.sim.percolator_actions import Evaluation, locked
from cluster.sim.wire import BatchGet, Get, GetResult, PairsResult, Scan


def blocks(lock: Lock, ts: int, bugs: frozenset[str]) -> bool:
    """Whether a read at ``ts`` must first know what becomes of this lock."""
    if READ_SKIPS_LOCK in bugs:
        return False
    return lock.start_ts <= ts and (lock.kind == "put" or lock.kind == "delete")  # noqa: PLR1714 (hot: no tuple)


def get(mvcc: Mvcc, command: Get, bugs: frozenset[str]) -> Evaluation:
    """Read one key."""
    key, ts = command.key, command.ts
    lock = mvcc.lock.get(key)
    if lock is not None and blocks(lock, ts, bugs):
        return Evaluation(locked(key, lock))
    return Evaluation(GetResult(mvcc.value(key, ts)))


def batch_get(mvcc: Mvcc, command: BatchGet, bugs: frozenset[str]) -> Evaluation:
    """Read several keys, in the order of keys."""
    return _read(mvcc, sorted(command.keys), command.ts, len(command.keys), bugs)


def scan(mvcc: Mvcc, command: Scan, bugs: frozenset[str]) -> Evaluation:
    """Read a range."""
    return _read(mvcc, mvcc.keys(command.start, command.end), command.ts, command.limit, bugs)


def _read(mvcc: Mvcc, keys: list[bytes], ts: int, limit: int, bugs: frozenset[str]) -> Evaluation:
    pairs: list[tuple[bytes, bytes]] = []
    locks, value_of = mvcc.lock, mvcc.value
    for key in keys:
        if len(pairs) >= limit:
            break
        lock = locks.get(key)
        if lock is not None and blocks(lock, ts, bugs):
            return Evaluation(locked(key, lock))
        value = value_of(key, ts)
        if value is not None:
            pairs.append((key, value))
    return Evaluation(PairsResult(tuple(pairs)))
