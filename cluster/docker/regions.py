"""What PD's orders do to a real cluster's leaders and regions, each looked for in PD's own picture afterwards."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from cluster.api import Evidence
from cluster.pd_api import PdApi, PdError, Region, StoreInfo, encode_key, until

LIMIT_S: Final = 10.0  # for an order to be carried out

SCHEDULERS: Final[Mapping[str, str]] = {
    "leader": "shuffle-leader-scheduler",
    "region": "shuffle-region-scheduler",
    "hot-region": "shuffle-hot-region-scheduler",
}


class Regions:
    """Knows who leads, as of the last ``look``, and gives orders to PD.

    Args:
        node_at: the name of the node at an address ``HOST:PORT``.
    """

    def __init__(self, api: PdApi, node_at: Callable[[str], str]) -> None:
        self._api = api
        self._node_at = node_at
        self._pd_leader: str | None = None
        self._regions: list[Region] = []
        self._nodes: dict[int, str] = {}  # by the store's id

    async def look(self) -> None:
        """Ask PD who leads. Where it does not answer, nobody is known to lead PD, and the regions are as before."""
        self._pd_leader = await self._api.leader()
        try:
            stores: list[StoreInfo] = await self._api.stores()
            self._regions = await self._api.regions()
        except PdError:
            self._pd_leader = None
            return
        self._nodes = {store.id: self._node_at(store.address) for store in stores}

    def pd_leader(self) -> str | None:
        """The member that led PD."""
        return self._pd_leader

    def region_leader(self, key: bytes) -> str | None:
        """The store that led the region of a client's key."""
        encoded = encode_key(key)
        region = next((region for region in self._regions if region.contains(encoded)), None)
        return self._nodes.get(region.leader) if region else None

    def leaders(self) -> dict[str, str]:
        """All of them."""
        found = {} if self._pd_leader is None else {"pd": self._pd_leader}
        for region in sorted(self._regions, key=lambda region: region.id):
            if region.leader in self._nodes:
                found[f"region {region.id}"] = self._nodes[region.leader]
        return found

    # Orders.

    async def transfer_pd_leader(self) -> Evidence:
        """Let PD's leader resign; verified by another one."""
        before = await self._api.leader()
        if before is None:
            return Evidence(verified=False, measured={"before": None})
        await self._api.resign_leader()

        async def moved() -> bool:
            return await self._api.leader() not in {None, before}

        came = await self._until(moved)
        return Evidence(came, {"before": before, "after": await self._api.leader()})

    async def transfer_region_leader(self, key: bytes) -> Evidence:
        """Hand the region over to another of its stores; verified by PD, which hears it from the new leader."""
        region = await self._region(key)
        others = [store for store in region.stores if store != region.leader]
        if not others:
            return Evidence(verified=False, measured={"region": region.id, "why": "it has one replica"})
        target = others[0]
        await self._api.transfer_leader(region.id, target)

        async def moved() -> bool:
            return (await self._region(key)).leader == target

        came = await self._until(moved)
        after = (await self._region(key)).leader
        return Evidence(came, {"region": region.id, "before": self._name(region.leader), "after": self._name(after)})

    async def split_region(self, key: bytes) -> Evidence:
        """Split the region of a client's key there; verified by PD, which knows the two parts."""
        region = await self._region(key)
        encoded = encode_key(key)
        if region.start == encoded:
            return Evidence(verified=False, measured={"region": region.id, "why": "it begins there already"})
        await self._api.split([key])

        async def split() -> bool:
            return (await self._region(key)).start == encoded

        came = await self._until(split)
        return Evidence(came, {"region": region.id, "new_region": (await self._region(key)).id if came else None})

    async def transfer_region(self, key: bytes) -> Evidence:
        """Move a replica that does not lead to a store that has none; verified by PD."""
        region = await self._region(key)
        free = [store.id for store in await self._api.stores() if store.state == "Up" and store.id not in region.stores]
        if not free:
            return Evidence(verified=False, measured={"region": region.id, "why": "every store has a replica"})
        source = next((store for store in region.stores if store != region.leader), region.leader)
        await self._api.transfer_peer(region.id, source, free[0])

        async def moved() -> bool:
            stores = (await self._region(key)).stores
            return free[0] in stores and source not in stores

        came = await self._until(moved)
        return Evidence(came, {"region": region.id, "from": self._name(source), "to": self._name(free[0])})

    async def merge_region(self, key: bytes) -> Evidence:
        """Merge the region of a client's key with its neighbour; verified by PD, which does not know it any more."""
        regions = await self._api.regions()
        at = next((i for i, region in enumerate(regions) if region.contains(encode_key(key))), None)
        if at is None or len(regions) < 2:
            return Evidence(verified=False, measured={"regions": len(regions)})
        source, target = regions[at], regions[at - 1] if at else regions[at + 1]
        await self._api.merge(source.id, target.id)

        async def merged() -> bool:
            return source.id not in {region.id for region in await self._api.regions()}

        came = await self._until(merged)
        return Evidence(came, {"region": source.id, "into": target.id})

    async def shuffle(self, what: str, on: bool) -> Evidence:
        """Let a scheduler of PD run, or end it; verified by PD's list of schedulers."""
        name = SCHEDULERS[what]
        await (self._api.add_scheduler(name) if on else self._api.remove_scheduler(name))
        running = await self._api.schedulers()
        return Evidence((name in running) == on, {"schedulers": running})

    async def _region(self, key: bytes) -> Region:
        region = await self._api.region_of(key)
        if region is None:
            raise PdError("PD knows no region of that key")
        return region

    def _name(self, store: int) -> str:
        return self._nodes.get(store, f"store {store}")

    async def _until(self, holds: Callable[[], Awaitable[bool]]) -> bool:
        """Whether it comes to hold within the limit."""
        return bool(await until(holds, bool, LIMIT_S))
