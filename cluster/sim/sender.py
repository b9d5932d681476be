"""Requests to stores, by region, tried again until a store answers something that is no region error.

All of them are idempotent on the server, so trying again is safe; whether an unanswered try was executed is another
matter, which ``Budget.unanswered`` keeps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from cluster.sim.backoff import BUSY, NO_ANSWER, NO_LEADER, STALE_ROUTE, Budget, Cause
from cluster.sim.network import RpcError
from cluster.sim.region_cache import RegionCache, Route
from cluster.sim.rpc import Rpc
from cluster.sim.wire import (
    Command,
    EpochNotMatch,
    KeyNotInRegion,
    NotLeader,
    RegionNotFound,
    ServerIsBusy,
    StaleCommand,
    StoreRequest,
)

_RETRY: Final = frozenset(
    (RpcError, NotLeader, EpochNotMatch, RegionNotFound, KeyNotInRegion, StaleCommand, ServerIsBusy)
)


class Sender:
    """One client's requests to stores."""

    def __init__(self, rpc: Rpc, cache: RegionCache) -> None:
        self._rpc = rpc
        self._cache = cache

    async def send(self, key: bytes, command: Command, budget: Budget) -> Any:
        """Send a command to the region of ``key``; return the result or the key error.

        Raises:
            UnavailableBeforeCommit: the budget is used up.
        """
        while True:
            answer = await self.send_once(key, command, budget)
            if answer is not None:
                return answer

    async def send_once(self, key: bytes, command: Command, budget: Budget) -> Any:
        """Send a command to the region of ``key`` once; see ``try_once``."""
        return await self.try_once(await self._cache.locate(key, budget), command, budget)

    async def try_once(self, route: Route, command: Command, budget: Budget) -> Any:
        """Send once; return None after a region error, which has been seen to: the next try may go elsewhere.

        Raises:
            UnavailableBeforeCommit: the budget is used up.
        """
        answer = await self._rpc.call(route.leader, StoreRequest(route.context, command), budget.rpc_timeout_ns())
        if type(answer) not in _RETRY:
            return answer
        await budget.back_off(self._learn(route, answer, budget))
        return None

    async def send_by_region(
        self, keys: Sequence[bytes], make: Callable[[list[bytes]], Command], budget: Budget
    ) -> list[tuple[list[bytes], Any]]:
        """Send each region its share at the same time, ``make(keys of one region)``, until all have answered.

        Returns the shares with their results or key errors.

        Raises:
            UnavailableBeforeCommit: the budget is used up.
        """
        answers: list[tuple[list[bytes], Any]] = []
        while keys:
            cause = None
            again: list[bytes] = []
            sent = [
                (
                    route,
                    share,
                    self._rpc.call(route.leader, StoreRequest(route.context, make(share)), budget.rpc_timeout_ns()),
                )
                for route, share in await self._cache.group(keys, budget)
            ]
            for route, share, future in sent:
                answer = await future
                if type(answer) in _RETRY:
                    cause = self._learn(route, answer, budget)
                    again += share
                else:
                    answers.append((share, answer))
            if cause is not None:
                await budget.back_off(cause)
            keys = again
        return answers

    def _learn(self, route: Route, answer: Any, budget: Budget) -> Cause:
        """Correct the cache by a region error, and say why to wait."""
        if isinstance(answer, ServerIsBusy):
            return BUSY
        if isinstance(answer, NotLeader) and answer.leader not in {None, route.leader}:
            assert answer.leader is not None
            route.leader = answer.leader
            return STALE_ROUTE
        if isinstance(answer, EpochNotMatch):
            # Only what is newer: a store that has not applied a split yet would take this client back.
            newer = [region for region in answer.current if region.epoch.version > route.region.epoch.version]
            for region in newer:
                self._cache.add(region, route.leader)
            self._cache.drop(route)
            return STALE_ROUTE if newer else NO_LEADER
        if isinstance(answer, RpcError):
            # Refused: nobody listened, so nothing was executed. Otherwise nobody knows.
            budget.unanswered |= answer.why != "refused"
        elif isinstance(answer, StaleCommand):
            # Proposed, and then leadership was lost: it may have been executed, or may be yet.
            budget.unanswered = True
        self._cache.suspect(route)
        return NO_ANSWER if isinstance(answer, RpcError) else NO_LEADER
