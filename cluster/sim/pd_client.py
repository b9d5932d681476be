"""A client's way to PD: timestamps and the place of regions, from whichever member leads.

One request per timestamp: a process of a test has one operation under way, so there is nothing to batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cluster.sim.backoff import PD_NO_ANSWER, STALE_ROUTE, Budget
from cluster.sim.network import RpcError
from cluster.sim.rpc import Rpc
from cluster.sim.wire_pd import GetRegion, GetTimestamps, PdNotLeader, PdRequest, RegionInfo

_ONE = GetTimestamps(1)


class PdClient:
    """Knows all members, follows the hint at the leader, and goes round when there is none."""

    def __init__(self, rpc: Rpc, members: Sequence[str]) -> None:
        self._rpc = rpc
        self._members = tuple(members)
        self._leader = self._members[0]

    async def timestamp(self, budget: Budget) -> int:
        """Ask the TSO for one timestamp. Raises UnavailableBeforeCommit."""
        return (await self._ask(_ONE, budget)).last

    async def region(self, key: bytes, budget: Budget) -> RegionInfo:
        """Ask where a key is. Raises UnavailableBeforeCommit."""
        return await self._ask(GetRegion(key), budget)

    async def _ask(self, request: PdRequest, budget: Budget) -> Any:
        while True:
            asked = self._leader
            answer = await self._rpc.call(asked, request, budget.rpc_timeout_ns())
            if isinstance(answer, RpcError):
                self._go_round(asked)
                await budget.back_off(PD_NO_ANSWER)
            elif isinstance(answer, PdNotLeader):
                if answer.leader is None or answer.leader == asked:
                    self._go_round(asked)
                    await budget.back_off(PD_NO_ANSWER)
                else:
                    self._leader = answer.leader
                    await budget.back_off(STALE_ROUTE)
            else:
                return answer

    def _go_round(self, asked: str) -> None:
        if self._leader == asked:
            self._leader = self._members[(self._members.index(asked) + 1) % len(self._members)]
