"""Where the keys are, as far as a client knows: regions in the order of their keys, each with its supposed leader.

Whatever is wrong here is found out by the stores, which answer with a region error.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from cluster.sim.backoff import NO_LEADER, Budget
from cluster.sim.pd_client import PdClient
from cluster.sim.wire import INFINITY, Region, RegionContext


class Route:
    """A region, the header of requests to it, and the store to send them to."""

    __slots__ = ("context", "leader", "region")

    def __init__(self, region: Region, leader: str) -> None:
        self.region = region
        self.context = RegionContext(region.id, region.epoch)
        self.leader = leader


class RegionCache:
    """The routes of one client."""

    def __init__(self, pd: PdClient) -> None:
        self._pd = pd
        self._starts: list[bytes] = []
        self._routes: list[Route] = []
        self._suspects: dict[int, str] = {}  # region id -> the store that failed last

    async def locate(self, key: bytes, budget: Budget) -> Route:
        """The route of a key, from PD where it is not known. Raises UnavailableBeforeCommit."""
        route = self._find(key)
        while route is None:
            info = await self._pd.region(key, budget)
            if info.region is None:
                await budget.back_off(NO_LEADER)
            else:
                route = self.add(info.region, info.leader)
        return route

    async def group(self, keys: Sequence[bytes], budget: Budget) -> list[tuple[Route, list[bytes]]]:
        """The keys of each route, in the order in which the routes first appear. Raises UnavailableBeforeCommit."""
        shards: dict[int, tuple[Route, list[bytes]]] = {}
        for key in keys:
            route = self._find(key) or await self.locate(key, budget)
            shard = shards.get(route.region.id)
            if shard is None:
                shards[route.region.id] = (route, [key])
            elif shard[0] is route:
                shard[1].append(key)
            else:  # the cache changed while PD was asked for another key: begin again with what is known now
                return await self.group(keys, budget)
        return list(shards.values())

    def add(self, region: Region, leader: str | None) -> Route:
        """Put a region in the place of all that overlap it."""
        first = bisect_right(self._starts, region.start)
        if first and _overlap(self._routes[first - 1].region, region):
            first -= 1
        last = first
        while last < len(self._routes) and _overlap(self._routes[last].region, region):
            last += 1
        route = Route(region, self._worth_trying(region, leader))
        self._starts[first:last] = [region.start]
        self._routes[first:last] = [route]
        return route

    def drop(self, route: Route) -> None:
        """Forget a route, so that PD is asked."""
        index = bisect_right(self._starts, route.region.start) - 1
        if index >= 0 and self._routes[index] is route:
            del self._starts[index], self._routes[index]

    def suspect(self, route: Route) -> None:
        """The store did not serve: ask PD, and if PD knows no better, try another peer."""
        self._suspects[route.region.id] = route.leader
        self.drop(route)

    def _worth_trying(self, region: Region, leader: str | None) -> str:
        failed = self._suspects.pop(region.id, None)
        if leader is not None and leader != failed:
            return leader
        peers = region.peers
        return peers[(peers.index(failed) + 1) % len(peers)] if failed in peers else peers[0]

    def _find(self, key: bytes) -> Route | None:
        index = bisect_right(self._starts, key) - 1
        if index < 0:
            return None
        route = self._routes[index]
        end = route.region.end
        return route if end == INFINITY or key < end else None


def _overlap(a: Region, b: Region) -> bool:
    return (a.end == INFINITY or b.start < a.end) and (b.end == INFINITY or a.start < b.end)
