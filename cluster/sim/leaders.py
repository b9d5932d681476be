"""Who leads in the simulated cluster, and how to change that: PD's leader, the regions' leaders, the regions' bounds.

Requests go to the servers over the network, as pd-ctl's do, and are answered by the servers; what came of them is then
looked for, since an answer is not yet a new leader.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from cluster.api import Evidence
from cluster.errors import UnavailableBeforeCommit
from cluster.sim.backoff import Budget
from cluster.sim.pd import PdMember
from cluster.sim.pd_client import PdClient
from cluster.sim.probes import Probes
from cluster.sim.rpc import Rpc
from cluster.sim.store import TikvStore
from cluster.sim.wire import Done, Region, SplitRegion, TransferLeader
from harness.clock import SECOND
from harness.rng import Stream
from harness.virtual_time import VirtualLoop

_LIMIT_NS: Final = 5 * SECOND
_ANSWER_NS: Final = SECOND


class Leaders:
    """Finds and moves leaders, as seen from the control host."""

    def __init__(
        self,
        loop: VirtualLoop,
        rpc: Rpc,
        probes: Probes,
        stream: Stream,
        *,
        pd: Sequence[PdMember],
        stores: Sequence[TikvStore],
    ) -> None:
        self._loop = loop
        self._rpc = rpc
        self._probes = probes
        self._stream = stream
        self._pd = pd
        self._pd_client = PdClient(rpc, [member.name for member in pd])
        self._stores = stores

    # Who leads.

    def pd_leader(self) -> str | None:
        """The PD member that serves."""
        return next((member.name for member in self._pd if _able(member) and member.is_leader), None)

    def region(self, key: bytes) -> Region | None:
        """The region of a key in its newest version, as any store that runs has it."""
        found = [region for store in self._stores if _able(store) for region in store.regions() if region.contains(key)]
        return max(found, key=lambda region: region.epoch.version, default=None)

    def region_leader(self, key: bytes) -> str | None:
        """The store that leads the region of a key; of several that believe so, the one of the newest term."""
        region = self.region(key)
        if region is None:
            return None
        leading = [store for store in self._stores if _able(store) and store.leads(region.id)]
        return max(leading, key=lambda store: store.term(region.id)).name if leading else None

    def leaders(self) -> dict[str, str]:
        """Who leads: ``pd``, and ``region ID`` for each region that has a leader."""
        pd = self.pd_leader()
        found = {} if pd is None else {"pd": pd}
        regions = {region.id: region for store in self._stores if _able(store) for region in store.regions()}
        for region in sorted(regions.values(), key=lambda region: region.id):
            leader = self.region_leader(region.start)
            if leader is not None:
                found[f"region {region.id}"] = leader
        return found

    # Changes.

    async def transfer_pd_leader(self) -> Evidence:
        """Let PD's leader resign, and wait for another one that serves."""
        await self._probes.wait_until(lambda: self.pd_leader() is not None, _LIMIT_NS)
        before = self.pd_leader()
        for member in self._pd:
            if member.name == before:
                member.run(member.transfer_leader)
        moved = before is not None and await self._probes.wait_until(
            lambda: self.pd_leader() not in {None, before}, _LIMIT_NS
        )
        return Evidence(moved, {"before": before, "after": self.pd_leader()})

    async def transfer_region_leader(self, key: bytes) -> Evidence:
        """Hand the region of a key over to another of its stores, and wait until that leads."""
        await self._probes.wait_until(lambda: self.region_leader(key) is not None, _LIMIT_NS)
        before, region = self.region_leader(key), self.region(key)
        able = {store.name: None for store in self._stores if _able(store)}
        targets = [peer for peer in region.peers if peer != before and peer in able] if region else []
        if before is None or region is None or not targets:
            return Evidence(False, {"before": before, "after": None})
        target = self._stream.choice(targets)
        await self._rpc.call(before, TransferLeader(region.id, target), _ANSWER_NS)
        moved = await self._probes.wait_until(lambda: self.region_leader(key) not in {None, before}, _LIMIT_NS)
        measured = {"region": region.id, "before": before, "target": target, "after": self.region_leader(key)}
        return Evidence(moved, measured)

    async def split_region(self, key: bytes) -> Evidence:
        """Split the region of a key there, and wait until PD routes to the new one."""
        await self._probes.wait_until(lambda: self.region_leader(key) is not None, _LIMIT_NS)
        before, leader = self.region(key), self.region_leader(key)
        if before is None or leader is None:
            return Evidence(False, {"leader": leader})
        answer: Any = Done()
        if before.start != key:
            answer = await self._rpc.call(leader, SplitRegion(key), _ANSWER_NS)
        deadline = self._loop.now() + _LIMIT_NS
        bounds = await self._starts_at(key)
        while not bounds and self._loop.now() < deadline:
            await self._loop.sleep_until(self._loop.now() + SECOND // 10)
            bounds = await self._starts_at(key)
        measured = {"region": before.id, "leader": leader, "answer": type(answer).__name__, "routed": bounds}
        return Evidence(bounds, measured)

    async def _starts_at(self, key: bytes) -> bool:
        """Whether PD knows a region that begins at this key."""
        try:
            info = await self._pd_client.region(key, Budget(self._loop, self._stream, _ANSWER_NS))
        except UnavailableBeforeCommit:
            return False
        return info.region is not None and info.region.start == key


def _able(node: PdMember | TikvStore) -> bool:
    return node.alive and not node.paused
