"""Stores that join a real cluster and leave it again while it serves."""

from __future__ import annotations

from typing import Final

from cluster.api import Evidence
from cluster.pd_api import PdApi, StoreInfo, until

JOIN_S: Final = 40.0
DRAIN_S: Final = 50.0


class Membership:
    """Follows a store through PD: up, with replicas, drained, gone."""

    def __init__(self, api: PdApi) -> None:
        self._api = api

    async def join(self, address: str) -> Evidence:
        """Wait until the store at ``HOST:PORT`` is up, give it a replica, and wait until it has that.

        Left to itself PD moves nothing to a new store as long as there is hardly any data.
        """
        store = await until(lambda: self._at(address), lambda found: found is not None and found.state == "Up", JOIN_S)
        if store is None or store.state != "Up":
            return Evidence(verified=False, measured={"state": store.state if store else "unknown to PD"})
        await self._give_replica(store.id)
        store = await until(lambda: self._at(address), lambda found: found is not None and found.regions > 0, JOIN_S)
        if store is None:
            return Evidence(verified=False, measured={"state": "PD does not answer"})
        return Evidence(store.regions > 0, {"store": store.id, "state": store.state, "regions": store.regions})

    async def drain(self, address: str) -> Evidence:
        """Let PD move everything away from the store, and wait until it is a tombstone."""
        store = await self._at(address)
        if store is None:
            return Evidence(verified=True, measured={"state": "gone"})
        await self._api.remove_store(store.id)
        last = await until(lambda: self._api.store(store.id), lambda found: found.state == "Tombstone", DRAIN_S)
        if last is None or last.state != "Tombstone":
            return Evidence(verified=False, measured={"store": store.id, "state": last.state if last else "unknown"})
        return Evidence(verified=True, measured={"store": store.id, "state": last.state, "regions": last.regions})

    async def _give_replica(self, store: int) -> None:
        for region in await self._api.regions():
            source = next((peer for peer in region.stores if peer != region.leader), None)
            if source is not None and store not in region.stores and region.whole:
                await self._api.transfer_peer(region.id, source, store)
                return

    async def _at(self, address: str) -> StoreInfo | None:
        return next((store for store in await self._api.stores() if store.address == address), None)
