"""A region's data: many versions of every key, in TiKV's three column families.

``default`` holds values by (key, start_ts); ``lock`` the lock of a key; ``write`` the records of a key, ascending by
commit_ts, each naming the start_ts whose value it makes visible. Nothing is ever collected (no GC), so any snapshot can
be read. TiKV keeps short values inside the records; here every value is in ``default``, which readers cannot tell.

What was applied since the last flush is kept in an undo journal: a store that is killed falls back to that flush
exactly, and then applies its Raft log again.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from operator import attrgetter
from typing import Any, Final, Literal

from msgspec import Struct

from cluster.sim.wire import INFINITY, LockKind

WriteKind = Literal["put", "delete", "lock", "rollback"]

DEFAULT: Final = 0
LOCK: Final = 1
WRITE: Final = 2
_REPLACED: Final = 3  # in the journal only: the whole content was another one

_COMMIT_TS = attrgetter("commit_ts")


class Lock(Struct, frozen=True, gc=False):
    """The lock of a key. ``for_update_ts`` is 0 unless the transaction is pessimistic."""

    kind: LockKind
    primary: bytes
    start_ts: int
    ttl_ms: int
    for_update_ts: int = 0


class Write(Struct, frozen=True, gc=False):
    """A record: what the transaction of ``start_ts`` did to the key, as of ``commit_ts``.

    A rollback is recorded at ``commit_ts == start_ts``. If that is also the commit_ts of another transaction, there is
    one record for both: the other's, with ``overlapped_rollback``.
    """

    commit_ts: int
    kind: WriteKind
    start_ts: int
    overlapped_rollback: bool = False


# One change each: (DEFAULT, (key, start_ts), value | None) | (LOCK, key, Lock | None) | (WRITE, key, Write).
Change = tuple[int, Any, Any]
Batch = tuple[Change, ...]


class MvccSnapshot(Struct, frozen=True):
    """All of a region's data at one moment; shared between nodes, so nobody may change it."""

    default: dict[tuple[bytes, int], bytes]
    lock: dict[bytes, Lock]
    write: dict[bytes, tuple[Write, ...]]


class Mvcc:
    """The column families of one peer of a region. Read the families freely; change them through ``apply`` only."""

    __slots__ = ("_journal", "_keys", "default", "lock", "write")

    def __init__(self) -> None:
        self.default: dict[tuple[bytes, int], bytes] = {}
        self.lock: dict[bytes, Lock] = {}
        self.write: dict[bytes, list[Write]] = {}
        self._keys: list[bytes] = []  # the keys of ``write``, in order; one that was only ever locked has no records
        self._journal: list[tuple[int, Any, Any, Any]] = []

    # Reading.

    def value(self, key: bytes, ts: int) -> bytes | None:
        """The value that a snapshot at ``ts`` sees, whatever locks there are."""
        records = self.write.get(key)
        if not records:
            return None
        record = records[-1]
        end = len(records) if record.commit_ts <= ts else bisect_right(records, ts, key=_COMMIT_TS)
        while end:
            end -= 1
            record = records[end]
            kind = record.kind
            if kind == "put":
                return self.default[key, record.start_ts]
            if kind == "delete":
                return None
        return None

    def newest(self, key: bytes) -> Write | None:
        """The record of the highest commit_ts, of any kind."""
        records = self.write.get(key)
        return records[-1] if records else None

    def newest_commit(self, key: bytes) -> Write | None:
        """The newest record that is not a rollback."""
        for record in reversed(self.write.get(key, ())):
            if record.kind != "rollback":
                return record
        return None

    def record_at(self, key: bytes, commit_ts: int) -> Write | None:
        """The record of exactly that commit_ts."""
        records = self.write.get(key)
        if not records or records[-1].commit_ts < commit_ts:
            return None
        place = bisect_left(records, commit_ts, key=_COMMIT_TS)
        record = records[place]
        return record if record.commit_ts == commit_ts else None

    def fate(self, key: bytes, start_ts: int) -> int | None:
        """What became of a transaction on this key: its commit_ts, 0 if it was rolled back, None if nothing is known.

        As a commit_ts is above its start_ts, only the newest records need to be looked at.
        """
        records = self.write.get(key)
        if not records:
            return None
        for record in reversed(records):
            commit_ts = record.commit_ts
            if commit_ts < start_ts:
                return None
            if commit_ts == start_ts:
                return 0 if record.kind == "rollback" or record.overlapped_rollback else None
            if record.start_ts == start_ts and record.kind != "rollback":
                return commit_ts
        return None

    def keys(self, start: bytes, end: bytes) -> list[bytes]:
        """The keys of ``start <= key < end`` that have or had a record or a lock, in order."""
        keys = self._keys
        first = bisect_left(keys, start)
        return keys[first:] if end == INFINITY else keys[first : bisect_left(keys, end, first)]

    def locked_keys(self, start_ts: int) -> list[bytes]:
        """The keys that a transaction has locked, in order."""
        return sorted(key for key, lock in self.lock.items() if lock.start_ts == start_ts)

    # Changing.

    def apply(self, batch: Batch) -> None:
        """Make all changes of a batch."""
        journal = self._journal
        for family, key, value in batch:
            if family == WRITE:
                self._put_record(key, value)
            elif family == LOCK:
                journal.append((LOCK, key, self.lock.get(key), None))
                if value is None:
                    self.lock.pop(key, None)
                else:
                    self.lock[key] = value
                    if key not in self.write:
                        self._add(key)
            else:
                journal.append((DEFAULT, key, self.default.get(key), None))
                if value is None:
                    self.default.pop(key, None)
                else:
                    self.default[key] = value

    def _put_record(self, key: bytes, record: Write) -> None:
        records = self.write.get(key)
        if records is None:
            records = self._add(key)
        commit_ts = record.commit_ts
        if not records or records[-1].commit_ts < commit_ts:
            place, previous = len(records), None
        else:
            place = bisect_left(records, commit_ts, key=_COMMIT_TS)
            previous = records[place]
            if previous.commit_ts != commit_ts:
                previous = None
        if previous is None:
            records.insert(place, record)
        else:
            records[place] = record
        self._journal.append((WRITE, key, previous, commit_ts))

    def _add(self, key: bytes) -> list[Write]:
        records: list[Write] = []
        self.write[key] = records
        insort(self._keys, key)
        return records

    def split(self, key: bytes) -> Mvcc:
        """Move the keys from ``key`` on out, into the data of the new region.

        Not flushed: ``lose_unflushed`` brings them back here, and the new region's data is then to be dropped.
        """
        whole = self.snapshot()
        right = Mvcc()
        right._load(_cut(whole, key, keep_left=False))
        self._journal.append((_REPLACED, None, whole, None))
        self._load(_cut(whole, key, keep_left=True))
        return right

    # The flush, and copies.

    def flush(self) -> None:
        """What was applied until now is durable."""
        self._journal.clear()

    def lose_unflushed(self) -> None:
        """Fall back to the last flush."""
        journal, self._journal = self._journal, []
        for family, key, previous, commit_ts in reversed(journal):
            if family == WRITE:
                self._undo_record(key, previous, commit_ts)
            elif family == _REPLACED:
                self._load(previous)
            else:
                contents: dict[Any, Any] = self.lock if family == LOCK else self.default
                if previous is None:
                    contents.pop(key, None)
                else:
                    contents[key] = previous

    def _undo_record(self, key: bytes, previous: Write | None, commit_ts: int) -> None:
        records = self.write[key]
        place = bisect_left(records, commit_ts, key=_COMMIT_TS)
        if previous is None:
            del records[place]
        else:
            records[place] = previous

    def snapshot(self) -> MvccSnapshot:
        """A copy of everything."""
        return MvccSnapshot(
            dict(self.default), dict(self.lock), {key: tuple(records) for key, records in self.write.items()}
        )

    def restore(self, snapshot: MvccSnapshot) -> None:
        """Replace everything by a snapshot's content. Not flushed, like any other change."""
        self._journal.append((_REPLACED, None, self.snapshot(), None))
        self._load(snapshot)

    def _load(self, snapshot: MvccSnapshot) -> None:
        self.default = dict(snapshot.default)
        self.lock = dict(snapshot.lock)
        self.write = {key: list(records) for key, records in snapshot.write.items()}
        self._keys = sorted(self.write)


def _cut(whole: MvccSnapshot, at: bytes, *, keep_left: bool) -> MvccSnapshot:
    return MvccSnapshot(
        {place: value for place, value in whole.default.items() if (place[0] < at) == keep_left},
        {key: lock for key, lock in whole.lock.items() if (key < at) == keep_left},
        {key: records for key, records in whole.write.items() if (key < at) == keep_left},
    )
