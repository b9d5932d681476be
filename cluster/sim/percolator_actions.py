"""What the commands of Percolator are made of: reading the fate of a transaction, committing or rolling back one key.

After ``src/storage/txn/actions`` of TiKV. Rollback records are never collapsed here, so a late prewrite always meets
the record that stops it.
"""

from __future__ import annotations

from msgspec import Struct

from cluster.sim.mvcc import DEFAULT, LOCK, WRITE, Batch, Change, Lock, Mvcc, Write, WriteKind
from cluster.sim.wire import Done, Locked


class Evaluation(Struct, frozen=True):
    """What a command comes to, given the data as applied.

    Attributes:
        answer: the command's result, or a key error.
        batch: what is to be written through Raft before ``answer`` is true; None: nothing.
    """

    answer: object
    batch: Batch | None = None


DONE = Done()
_NOTHING = Evaluation(DONE)


def done(changes: list[Change]) -> Evaluation:
    """Answer Done, once these changes are applied."""
    return Evaluation(DONE, tuple(changes)) if changes else _NOTHING


def locked(key: bytes, lock: Lock) -> Locked:
    """The lock as the client is told of it."""
    return Locked(key, lock.primary, lock.start_ts, lock.ttl_ms, lock.kind, lock.for_update_ts)


def commit_key(mvcc: Mvcc, changes: list[Change], key: bytes, lock: Lock, commit_ts: int) -> None:
    """Turn the lock of a key into a record.

    A pessimistic lock that was never prewritten is left over from a request whose answer was lost: it guarded nothing
    that was written, and becomes a record of kind ``lock``, as in TiKV.
    """
    kind: WriteKind = "lock" if lock.kind == "pessimistic" else lock.kind
    there = mvcc.record_at(key, commit_ts)
    hidden = there is not None and (there.kind == "rollback" or there.overlapped_rollback)
    changes.append((WRITE, key, Write(commit_ts, kind, lock.start_ts, hidden)))
    changes.append((LOCK, key, None))


def rollback_lock(mvcc: Mvcc, changes: list[Change], key: bytes, lock: Lock) -> None:
    """Take a lock away with what it was to write, and leave a rollback record."""
    if lock.kind == "put":
        changes.append((DEFAULT, (key, lock.start_ts), None))
    changes.append((LOCK, key, None))
    leave_rollback(mvcc, changes, key, lock.start_ts)


def leave_rollback(mvcc: Mvcc, changes: list[Change], key: bytes, start_ts: int) -> None:
    """Record a rollback, on the record of another transaction that committed at this very timestamp if there is one."""
    there = mvcc.record_at(key, start_ts)
    if there is None:
        record = Write(start_ts, "rollback", start_ts)
    elif there.kind == "rollback" or there.overlapped_rollback:
        return
    else:
        record = Write(start_ts, there.kind, there.start_ts, overlapped_rollback=True)
    changes.append((WRITE, key, record))
