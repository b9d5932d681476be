"""The locks that a pessimistic transaction takes as it goes, kept alive by a heartbeat until it ends.

A lock is asked for at a fresh for_update_ts. If somebody committed the key after that timestamp was taken, the store
answers WriteConflict, and the lock is asked for again at a newer one: within the same transaction, which is sound
because nothing of this key was read yet, and because from the moment it is granted the newest version stays the newest
until the transaction ends. The transaction is thus ordered at its commit_ts by the locks it holds, not by start_ts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from cluster.errors import Aborted, RolledBack
from cluster.sim import wire
from cluster.sim.backoff import Budget
from cluster.sim.client_context import ClientContext
from harness.clock import MILLISECOND
from harness.virtual_time import Timer

LOCK_TTL_MS: Final = 3000


def lock_ttl_ms(elapsed_ns: int) -> int:
    """The TTL, counted from start_ts, that leaves a lock LOCK_TTL_MS from now."""
    return LOCK_TTL_MS + elapsed_ns // MILLISECOND


class PessimisticLocks:
    """The locks of one transaction.

    Attributes:
        values: the keys locked, with their newest committed values; the first is the primary.
        for_update_ts: the newest timestamp a lock was asked for at.
    """

    def __init__(self, context: ClientContext, start_ts: int) -> None:
        self._context = context
        self._start_ts = start_ts
        self._began = context.loop.now()
        self._asked: dict[bytes, None] = {}  # whatever may be locked, and has to be released
        self._primary: bytes | None = None
        self._heartbeat: Timer | None = None
        self.values: dict[bytes, bytes | None] = {}
        self.for_update_ts = start_ts

    async def lock(self, keys: Sequence[bytes]) -> dict[bytes, bytes | None]:
        """Lock these keys; return the newest committed value of each. A key already locked is not asked for again.

        Raises:
            Aborted: of any kind.
        """
        new = [key for key in dict.fromkeys(keys) if key not in self.values]
        if new:
            # The primary must be locked before any other lock points at it, as in client-go.
            if self._primary is None:
                await self._acquire(new[:1], new[0])
                self._primary = new[0]
                self._beat_later()
                new = new[1:]
            if new:
                await self._acquire(new, self._primary)
        return {key: self.values[key] for key in keys}

    def release(self) -> None:
        """Give all locks back, in the background."""
        self.stop_heartbeat()
        if self._asked:
            keys, ts = list(self._asked), self.for_update_ts
            self._context.in_background(
                self._context.sender.send_by_region,
                keys,
                lambda share: wire.PessimisticRollback(tuple(share), self._start_ts, ts),
                self._context.budget(),
            )

    def stop_heartbeat(self) -> None:
        """The transaction ends: let the locks expire unless they are released."""
        if self._heartbeat is not None:
            self._heartbeat.cancel()
            self._heartbeat = None

    def ttl_ms(self) -> int:
        """The TTL, counted from start_ts, that leaves a lock LOCK_TTL_MS from now."""
        return lock_ttl_ms(self._context.loop.now() - self._began)

    async def _acquire(self, keys: list[bytes], primary: bytes) -> None:
        context = self._context
        budget = context.budget()
        self._asked.update(dict.fromkeys(keys))

        def request(share: list[bytes]) -> wire.PessimisticLock:
            return wire.PessimisticLock(tuple(share), primary, self._start_ts, self.for_update_ts, self.ttl_ms())

        while keys:
            self.for_update_ts = await context.pd.timestamp(budget)
            keys = await self._take(await context.sender.send_by_region(keys, request, budget), budget)

    async def _take(self, answers: list[tuple[list[bytes], Any]], budget: Budget) -> list[bytes]:
        """Keep what was granted, wait for what was not; return the keys to ask for again."""
        again: list[bytes] = []
        locks: list[wire.Locked] = []
        for share, answer in answers:
            if isinstance(answer, wire.PairsResult):
                found = dict(answer.pairs)
                self.values.update({key: found.get(key) for key in share})
            elif isinstance(answer, wire.Locked):
                locks.append(answer)
                again += share
            elif isinstance(answer, wire.WriteConflict):
                again += share
            elif isinstance(answer, wire.AlreadyRolledBack):
                raise RolledBack(f"the transaction of {self._start_ts} was rolled back at {answer.key!r}")
            else:
                raise Aborted(f"the lock was refused: {answer}")
        if locks:
            await self._context.resolver.resolve(locks, budget)
        return again

    def _beat_later(self) -> None:
        self._heartbeat = self._context.loop.after(LOCK_TTL_MS * MILLISECOND // 2, self._beat)

    def _beat(self) -> None:
        """Raise the TTL of the primary lock. Once it is gone there is nothing to keep, as the prewrite will find."""
        if self._context.closed:
            return
        assert self._primary is not None
        command = wire.TxnHeartBeat(self._primary, self._start_ts, self.ttl_ms())
        self._context.in_background(self._context.sender.send, self._primary, command, self._context.budget())
        self._beat_later()
