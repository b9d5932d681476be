"""Transactions as a client sees them: a buffer of writes over reads at one timestamp; see ``two_phase`` for the commit.

A plain read is at start_ts in both modes. An error is the end of a transaction; until ``commit`` has sent the commit of
the primary it is definite, since without that nothing can commit it.
"""

from __future__ import annotations

from collections.abc import Sequence

from cluster.api import TxnMode
from cluster.errors import KeyExists
from cluster.sim.client_context import ClientContext
from cluster.sim.pessimistic import PessimisticLocks
from cluster.sim.snapshot import SimSnapshot
from cluster.sim.two_phase import TwoPhaseCommit
from cluster.sim.wire import INFINITY, Mutation


class SimTxn:
    """Implements ``cluster.api.Txn``."""

    def __init__(self, context: ClientContext, mode: TxnMode, start_ts: int) -> None:
        self._context = context
        self._start_ts = start_ts
        self._began = context.loop.now()
        self._snapshot = SimSnapshot(context, start_ts)
        self._writes: dict[bytes, Mutation] = {}  # in the order of the first write to each key
        self._locks = PessimisticLocks(context, start_ts) if mode == "pessimistic" else None
        self._ended = False

    @property
    def start_ts(self) -> int:
        """The timestamp of its snapshot."""
        return self._start_ts

    # Reading.

    async def get(self, key: bytes) -> bytes | None:
        """Read at start_ts, or what this transaction wrote. Raises UnavailableBeforeCommit or LockTimeout."""
        own = self._writes.get(key)
        if own is not None and own.kind != "lock":
            return own.value
        return await self._snapshot.get(key)

    async def batch_get(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Read several keys; those that are absent are left out. Raises as ``get``."""
        own = {key: write.value for key in keys if (write := self._writes.get(key)) and write.kind != "lock"}
        found: dict[bytes, bytes | None] = {**await self._snapshot.batch_get([k for k in keys if k not in own]), **own}
        return {key: value for key in keys if (value := found.get(key)) is not None}

    async def scan(self, start: bytes, end: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """Read a range in the order of keys, with this transaction's own writes in it. Raises as ``get``."""
        own = {
            key: write.value
            for key, write in self._writes.items()
            if write.kind != "lock" and start <= key and (end == INFINITY or key < end)
        }
        # Each own write can take at most one of the pairs read away, so this many always suffice.
        found: dict[bytes, bytes | None] = dict(await self._snapshot.scan(start, end, limit + len(own)))
        found.update(own)
        return [(key, value) for key, value in sorted(found.items()) if value is not None][:limit]

    # Locking and writing.

    async def get_for_update(self, key: bytes) -> bytes | None:
        """Lock the key and read its newest committed value, or what this transaction wrote.

        Raises:
            Aborted: of any kind; the transaction cannot happen any more.
        """
        if self._locks is None:
            raise TypeError("get_for_update needs a pessimistic transaction")
        value = (await self._locks.lock([key]))[key]
        own = self._writes.get(key)
        return own.value if own is not None and own.kind != "lock" else value

    async def lock_keys(self, keys: Sequence[bytes]) -> None:
        """Lock without writing. An optimistic transaction does so at its prewrite. Raises Aborted if pessimistic."""
        if self._locks is not None:
            await self._locks.lock(keys)
        for key in keys:
            self._writes.setdefault(key, Mutation("lock", key, None, self._locks is not None))

    async def put(self, key: bytes, value: bytes) -> None:
        """Write. Raises Aborted if pessimistic: the key is locked now."""
        if self._locks is not None:
            await self._locks.lock([key])
        before = self._writes.get(key)
        # An insert stays one: the key must not exist whatever is written to it in the end.
        kind = "insert" if before is not None and before.kind in {"insert", "check_not_exists"} else "put"
        self._writes[key] = Mutation(kind, key, value, self._locks is not None)

    async def insert(self, key: bytes, value: bytes) -> None:
        """Write a key that must not exist.

        Raises:
            KeyExists: it does: now if pessimistic or written by this transaction, else at commit.
            Aborted: of any other kind, if pessimistic.
        """
        before = self._writes.get(key)
        if before is not None and before.value is not None:
            raise KeyExists(f"{key!r} was written by this transaction")
        if self._locks is not None and (await self._locks.lock([key]))[key] is not None and before is None:
            raise KeyExists(f"{key!r} exists")
        # After a delete of its own the key is free for this transaction, whatever the store has.
        kind = "put" if before is not None and before.kind == "delete" else "insert"
        self._writes[key] = Mutation(kind, key, value, self._locks is not None)

    async def delete(self, key: bytes) -> None:
        """Delete. Raises Aborted if pessimistic: the key is locked now."""
        if self._locks is not None:
            await self._locks.lock([key])
        before = self._writes.get(key)
        # What this transaction inserted and deletes again was not there: that is all there is left to check.
        inserted = before is not None and before.kind in {"insert", "check_not_exists"}
        if inserted and self._locks is None:
            self._writes[key] = Mutation("check_not_exists", key)
        else:
            self._writes[key] = Mutation("delete", key, None, self._locks is not None)

    # The end.

    async def commit(self) -> int | None:
        """Commit in two phases; return the commit_ts, or None where nothing was written or locked.

        Raises:
            Aborted: it certainly did not happen.
            Undetermined: the commit of the primary was sent, and no answer says what became of it.
        """
        if self._ended:
            raise RuntimeError("the transaction has ended")
        self._ended = True
        mutations = self._mutations()
        if not mutations:
            return None
        try:
            return await TwoPhaseCommit(self._context, mutations, self._start_ts, self._began, self._locks).run()
        finally:
            if self._locks is not None:
                self._locks.stop_heartbeat()

    async def rollback(self) -> None:
        """Give up; locks are released in the background. Nothing once ``commit`` was called: that sees to itself."""
        if self._ended:
            return
        self._ended = True
        if self._locks is not None:
            self._locks.release()

    def _mutations(self) -> dict[bytes, Mutation]:
        """What to prewrite. Whatever is locked takes part: committing it proves that it was held until then."""
        if self._locks is None:
            return self._writes
        # In the order in which they were locked, so that the primary comes first.
        locked = {key: Mutation("lock", key, None, pessimistic=True) for key in self._locks.values}
        return {**locked, **self._writes}
