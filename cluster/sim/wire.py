"""What clients and stores say to each other: TiKV's messages (kvproto), as far as they matter here.

All are immutable once sent. A timestamp is ``physical milliseconds << 18 | logical``.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

LOGICAL_BITS: Final = 18
INFINITY: Final = b""  # as an end key: no bound


def compose_ts(physical_ms: int, logical: int) -> int:
    """Make a timestamp."""
    return physical_ms << LOGICAL_BITS | logical


def physical_ms(ts: int) -> int:
    """The physical part of a timestamp, in milliseconds since 1970."""
    return ts >> LOGICAL_BITS


# Regions.


class Epoch(Struct, frozen=True):
    """Changes with the members (conf_ver) or the bounds (version) of a region."""

    conf_ver: int
    version: int


class Region(Struct, frozen=True):
    """A range of keys, ``start <= key < end``, replicated on ``peers`` (names of stores)."""

    id: int
    start: bytes
    end: bytes
    epoch: Epoch
    peers: tuple[str, ...]

    def contains(self, key: bytes) -> bool:
        """Whether the key lies in the range."""
        return self.start <= key and (self.end == INFINITY or key < self.end)


class RegionContext(Struct, frozen=True):
    """The header of every request to a store: the region as the client knows it."""

    region_id: int
    epoch: Epoch


# Errors of regions: the request was not executed, or nobody knows (StaleCommand); retry is safe, all is idempotent.


class NotLeader(Struct, frozen=True):
    """This store does not lead the region; ``leader`` is who it thinks does."""

    region_id: int
    leader: str | None


class EpochNotMatch(Struct, frozen=True):
    """The region has changed; ``current`` are the regions that now cover what the store has of it."""

    current: tuple[Region, ...]


class RegionNotFound(Struct, frozen=True):
    """This store has no such region."""

    region_id: int


class KeyNotInRegion(Struct, frozen=True):
    """The key lies outside the region."""

    key: bytes


class StaleCommand(Struct, frozen=True):
    """Leadership was lost while the command was under way."""


class ServerIsBusy(Struct, frozen=True):
    """The leader cannot serve yet (it has not applied its own term, a read index is missing)."""

    why: str


RegionError = NotLeader | EpochNotMatch | RegionNotFound | KeyNotInRegion | StaleCommand | ServerIsBusy

# Errors of keys: the answer of MVCC.

LockKind = Literal["put", "delete", "lock", "pessimistic"]


class Locked(Struct, frozen=True):
    """Another transaction's lock is in the way."""

    key: bytes
    primary: bytes
    start_ts: int
    ttl_ms: int
    kind: LockKind
    for_update_ts: int = 0


class WriteConflict(Struct, frozen=True):
    """A write newer than the transaction's timestamp is there."""

    key: bytes
    start_ts: int
    conflict_start_ts: int
    conflict_commit_ts: int


class AlreadyRolledBack(Struct, frozen=True):
    """Somebody rolled this transaction back; prewrite and pessimistic lock answer so."""

    key: bytes
    start_ts: int


class TxnLockNotFound(Struct, frozen=True):
    """Commit, heartbeat: the transaction's lock is gone (rolled back, or never there)."""

    key: bytes
    start_ts: int


class PessimisticLockNotFound(Struct, frozen=True):
    """Prewrite of a pessimistic transaction: the lock it took is gone."""

    key: bytes
    start_ts: int


class Committed(Struct, frozen=True):
    """Rollback: too late, it is committed."""

    key: bytes
    start_ts: int
    commit_ts: int


class AlreadyExists(Struct, frozen=True):
    """Insert: the key is there."""

    key: bytes


class TxnNotFound(Struct, frozen=True):
    """check_txn_status: neither a lock nor a record of the transaction, and it was asked to leave none."""

    primary: bytes
    start_ts: int


# Requests to a store. Each carries its RegionContext beside it: see ``StoreRequest``.

MutationKind = Literal["put", "delete", "lock", "insert", "check_not_exists"]


class Mutation(Struct, frozen=True):
    """One key of a prewrite. ``pessimistic``: the transaction holds a pessimistic lock on it."""

    kind: MutationKind
    key: bytes
    value: bytes | None = None
    pessimistic: bool = False


class Get(Struct, frozen=True):
    """Read one key. Answer: GetResult | Locked."""

    key: bytes
    ts: int


class BatchGet(Struct, frozen=True):
    """Read several keys of one region. Answer: PairsResult | Locked (the first lock in the way)."""

    keys: tuple[bytes, ...]
    ts: int


class Scan(Struct, frozen=True):
    """Read a range within one region, in the order of keys. Answer: PairsResult | Locked."""

    start: bytes
    end: bytes
    limit: int
    ts: int


class Prewrite(Struct, frozen=True):
    """Percolator's first phase for the keys of one region. Answer: Done | key error.

    ``for_update_ts`` is 0 for an optimistic transaction.
    """

    mutations: tuple[Mutation, ...]
    primary: bytes
    start_ts: int
    ttl_ms: int
    for_update_ts: int = 0


class Commit(Struct, frozen=True):
    """Percolator's second phase for the keys of one region. Answer: Done | key error."""

    keys: tuple[bytes, ...]
    start_ts: int
    commit_ts: int


class Rollback(Struct, frozen=True):
    """Remove the locks and leave rollback records. Answer: Done | Committed."""

    keys: tuple[bytes, ...]
    start_ts: int


class PessimisticLock(Struct, frozen=True):
    """Lock keys, and read their newest values. Answer: PairsResult | key error."""

    keys: tuple[bytes, ...]
    primary: bytes
    start_ts: int
    for_update_ts: int
    ttl_ms: int


class PessimisticRollback(Struct, frozen=True):
    """Remove pessimistic locks up to ``for_update_ts``; leaves no record. Answer: Done."""

    keys: tuple[bytes, ...]
    start_ts: int
    for_update_ts: int


class TxnHeartBeat(Struct, frozen=True):
    """Raise the TTL of the primary lock. Answer: TtlResult | TxnLockNotFound."""

    primary: bytes
    start_ts: int
    ttl_ms: int


class CheckTxnStatus(Struct, frozen=True):
    """Ask the primary what became of a transaction; roll it back if its lock has expired at ``current_ts``.

    With ``rollback_if_not_exist`` a missing lock is made a rollback (leaving the record that stops a late prewrite).
    Answer: TxnStatus | TxnNotFound.
    """

    primary: bytes
    lock_ts: int
    current_ts: int
    rollback_if_not_exist: bool


class ResolveLock(Struct, frozen=True):
    """Commit (``commit_ts`` > 0) or roll back what a transaction has locked in this region. Answer: Done.

    ``keys``: only these; empty: all locks of ``start_ts`` in the region.
    """

    start_ts: int
    commit_ts: int
    keys: tuple[bytes, ...] = ()


Command = (
    Get
    | BatchGet
    | Scan
    | Prewrite
    | Commit
    | Rollback
    | PessimisticLock
    | PessimisticRollback
    | TxnHeartBeat
    | CheckTxnStatus
    | ResolveLock
)


class StoreRequest(Struct, frozen=True):
    """A command for one region of a store. Answer: RegionError | key error | the command's result."""

    context: RegionContext
    command: Command


# Results.


class Done(Struct, frozen=True):
    """It is so now, whether by this request or an earlier one."""


class GetResult(Struct, frozen=True):
    """A value, or None where the key is absent."""

    value: bytes | None


class PairsResult(Struct, frozen=True):
    """Keys that are present with their values, in the order of keys."""

    pairs: tuple[tuple[bytes, bytes], ...]


class TtlResult(Struct, frozen=True):
    """The TTL that the lock has now."""

    ttl_ms: int


class TxnStatus(Struct, frozen=True):
    """What became of a transaction: committed (commit_ts > 0), locked (ttl_ms > 0), or else rolled back."""

    commit_ts: int = 0
    ttl_ms: int = 0


# Administration, as pd-ctl does it: sent to stores by the nemesis through PD, here directly.


class SplitRegion(Struct, frozen=True):
    """To the leading store: split at this key. Answer: Done | RegionError."""

    key: bytes


class TransferLeader(Struct, frozen=True):
    """To the leading store: hand the region over to ``target``. Answer: Done | RegionError."""

    region_id: int
    target: str
