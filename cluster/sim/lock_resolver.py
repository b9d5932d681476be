"""What a client does with another transaction's lock: find out what became of the transaction, and finish it.

The primary's store decides (CheckTxnStatus), because a transaction is what its primary is. Whoever finds a lock whose
transaction is over commits or rolls back that key; one that is alive is waited for. As in client-go's lock resolver.
"""

from __future__ import annotations

from collections.abc import Iterable

from cluster.sim.backoff import LOCK, Budget
from cluster.sim.pd_client import PdClient
from cluster.sim.sender import Sender
from cluster.sim.wire import (
    CheckTxnStatus,
    Command,
    Locked,
    PessimisticRollback,
    ResolveLock,
    TxnNotFound,
    TxnStatus,
    physical_ms,
)
from harness.clock import MILLISECOND


class LockResolver:
    """Resolves the locks that one client meets."""

    def __init__(self, pd: PdClient, sender: Sender) -> None:
        self._pd = pd
        self._sender = sender

    async def resolve(self, locks: Iterable[Locked], budget: Budget) -> None:
        """Take these locks away, or wait a while if one is alive: then the caller tries again.

        Raises:
            LockTimeout: the budget is used up by waiting for a lock.
            UnavailableBeforeCommit: the budget is used up otherwise.
        """
        now = await self._pd.timestamp(budget)
        alive_ms = 0
        for lock in locks:
            status = await self._status(lock, now, budget)
            if status.ttl_ms > 0:
                alive_ms = max(alive_ms, physical_ms(lock.start_ts) + status.ttl_ms - physical_ms(now), 1)
            else:
                await self._finish(lock, status.commit_ts, budget)
        if alive_ms:
            await budget.back_off(LOCK, alive_ms * MILLISECOND)

    async def _status(self, lock: Locked, now: int, budget: Budget) -> TxnStatus:
        """Ask the primary. Neither lock nor record there means that its prewrite is still under way, or never comes.

        Which of the two cannot be told before the TTL of the lock found is over; then a rollback is left at the
        primary, which stops a prewrite that comes after all.
        """
        while True:
            expired = physical_ms(lock.start_ts) + lock.ttl_ms < physical_ms(now)
            command = CheckTxnStatus(lock.primary, lock.start_ts, now, expired)
            answer = await self._sender.send_once(lock.primary, command, budget)
            if answer is not None:
                break
            now = await self._pd.timestamp(budget)  # the lock may have expired while the store could not be reached
        if isinstance(answer, TxnNotFound):
            return TxnStatus(ttl_ms=lock.ttl_ms)
        assert isinstance(answer, TxnStatus), answer
        return answer

    async def _finish(self, lock: Locked, commit_ts: int, budget: Budget) -> None:
        """Commit or roll back the key of a transaction that is over.

        A pessimistic lock that is left over wrote nothing: it is dropped, whatever became of its transaction.
        """
        if lock.kind == "pessimistic":
            command: Command = PessimisticRollback((lock.key,), lock.start_ts, lock.for_update_ts)
        elif lock.key == lock.primary:
            return  # asking has done it
        else:
            command = ResolveLock(lock.start_ts, commit_ts, (lock.key,))
        await self._sender.send(lock.key, command, budget)
