"""Percolator's two phases as the client drives them, and what it may say about their outcome.

All regions are prewritten at once; the commit timestamp is taken after all of them have succeeded; the commit of the
primary decides; the secondaries follow in the background, and whoever meets one of their locks finishes what is left.

There is neither async commit nor one-phase commit, so only this client's Commit of the primary can commit the
transaction: any error before the first one was sent is definite. Afterwards:

- Done: committed. Commit is idempotent, and is answered Done too if an earlier try was executed.
- TxnLockNotFound at the primary, to whichever try: rolled back, for good. The answer comes from a leader that has
  applied everything committed before; it has seen neither the lock nor a commit record, so no earlier try was executed.
  One that is still under way will not be: it needs the lock, and the rollback record keeps prewrites from restoring it.
- no answer that says anything: a definite abort if no try can have been executed (connections refused, region errors
  before anything was proposed), since no other will be sent; else Undetermined.
"""

from __future__ import annotations

from typing import Any

from cluster.errors import Aborted, KeyExists, RolledBack, Undetermined, WriteConflict
from cluster.sim import wire
from cluster.sim.backoff import Budget
from cluster.sim.bugs import DROP_SECONDARY
from cluster.sim.client_context import ClientContext
from cluster.sim.pessimistic import PessimisticLocks, lock_ttl_ms


class TwoPhaseCommit:
    """The commit of one transaction; ``mutations`` has the primary first."""

    def __init__(
        self,
        context: ClientContext,
        mutations: dict[bytes, wire.Mutation],
        start_ts: int,
        began: int,
        locks: PessimisticLocks | None,
    ) -> None:
        self._context = context
        self._mutations = mutations
        # A mere check leaves no lock, so it has no part in the second phase.
        self._to_commit = [key for key, mutation in mutations.items() if mutation.kind != "check_not_exists"]
        self._primary = next(iter(self._to_commit or mutations))
        self._start_ts = start_ts
        self._for_update_ts = 0 if locks is None else locks.for_update_ts
        self._began = began

    async def run(self) -> int | None:
        """Commit; return the commit_ts, or None if all there was to do was to check.

        Raises:
            Aborted: it certainly did not happen; the locks are rolled back in the background.
            Undetermined: nobody knows.
        """
        budget = self._context.budget()
        try:
            if DROP_SECONDARY in self._context.bugs:
                await self._lose_a_secondary(budget)
            await self._prewrite(list(self._mutations), budget)
            if not self._to_commit:
                return None
            commit_ts = await self._context.pd.timestamp(budget)
            left = await self._commit_primary(commit_ts, budget)
        except Aborted:
            self._context.in_background(self._roll_back)
            raise
        if left:
            self._context.in_background(self._commit_secondaries, left, commit_ts)
        return commit_ts

    # First phase.

    async def _prewrite(self, keys: list[bytes], budget: Budget) -> None:
        context, mutations = self._context, self._mutations

        def prewrite(share: list[bytes]) -> wire.Prewrite:
            # The TTL counts from start_ts, so what has passed since is added, also when it is sent again.
            ttl_ms = lock_ttl_ms(context.loop.now() - self._began)
            changes = tuple(mutations[key] for key in share)
            return wire.Prewrite(changes, self._primary, self._start_ts, ttl_ms, self._for_update_ts)

        while keys:
            again: list[bytes] = []
            locks: list[wire.Locked] = []
            for share, answer in await context.sender.send_by_region(keys, prewrite, budget):
                if isinstance(answer, wire.Locked):
                    if not self._for_update_ts and _is_hopeless(answer, self._start_ts):
                        raise WriteConflict(f"{answer.key!r} is locked by the transaction of {answer.start_ts}")
                    locks.append(answer)
                    again += share
                elif not isinstance(answer, wire.Done):
                    raise _refusal(answer)
            if locks:
                await context.resolver.resolve(locks, budget)
            keys = again

    async def _lose_a_secondary(self, budget: Budget) -> None:
        """Planted bug: a region of secondaries whose lookup fails is left out, and the commit is reported.

        In tikv-client 0.0.4 PD or the region had to be without a leader just then; here one commit in 32 is unlucky.
        """
        shards = await self._context.cache.group(self._to_commit, budget)
        if len(shards) > 1 and self._context.stream.chance(1, 32):
            lost = frozenset(shards[-1][1])
            self._mutations = {key: mutation for key, mutation in self._mutations.items() if key not in lost}
            self._to_commit = [key for key in self._to_commit if key not in lost]

    # Second phase.

    async def _commit_primary(self, commit_ts: int, budget: Budget) -> list[bytes]:
        """Commit the primary with all that lies in its region; return the keys that are left."""
        context = self._context
        budget.unanswered = False
        try:
            while True:
                route = await context.cache.locate(self._primary, budget)
                share = tuple(key for key in self._to_commit if route.region.contains(key))
                answer = await context.sender.try_once(route, wire.Commit(share, self._start_ts, commit_ts), budget)
                if answer is not None:
                    break
        except Aborted as error:
            if budget.unanswered:
                raise Undetermined(f"no answer to the commit of the primary: {error}") from error
            raise
        if isinstance(answer, wire.TxnLockNotFound) and answer.key == self._primary:
            raise RolledBack(f"the transaction of {self._start_ts} had been rolled back before its commit came")
        if not isinstance(answer, wire.Done):
            raise Undetermined(f"the commit of the primary was answered by {answer}")
        return [key for key in self._to_commit if key not in share]

    async def _commit_secondaries(self, keys: list[bytes], commit_ts: int) -> None:
        await self._context.sender.send_by_region(
            keys, lambda share: wire.Commit(tuple(share), self._start_ts, commit_ts), self._context.budget()
        )

    # Failure.

    async def _roll_back(self) -> None:
        """Roll back whatever may have been prewritten or locked."""
        await self._context.sender.send_by_region(
            list(self._mutations), lambda share: wire.Rollback(tuple(share), self._start_ts), self._context.budget()
        )


def _is_hopeless(lock: wire.Locked, start_ts: int) -> bool:
    """Whether an optimistic transaction gives up at this lock instead of waiting for its end.

    It does at a younger one's, as in client-go: it would come to a conflict unless the other is rolled back, and if
    only the younger ever wait, two that hold what the other one needs cannot wait for each other until a TTL is over.
    For the same reason it does at a pessimistic one's, however old: its holder may be waiting for a lock of ours, and
    once it commits there is a conflict.
    """
    return lock.start_ts > start_ts or lock.kind == "pessimistic"


def _refusal(answer: Any) -> Aborted:
    """The error that a refused prewrite means."""
    if isinstance(answer, wire.WriteConflict):
        return WriteConflict(f"{answer.key!r} was written at {answer.conflict_commit_ts}, after {answer.start_ts}")
    if isinstance(answer, wire.AlreadyExists):
        return KeyExists(f"{answer.key!r} exists")
    if isinstance(answer, wire.AlreadyRolledBack | wire.PessimisticLockNotFound):
        return RolledBack(f"the transaction of {answer.start_ts} has lost its lock at {answer.key!r}")
    return Aborted(f"the prewrite was refused: {answer}")
