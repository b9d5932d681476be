"""PD's HTTP API (v1), as far as it is needed: who leads what, and orders to move, split and merge regions.

Keys are the clients' keys here; in PD they are encoded as TiKV orders them (``encode_key``), so a region's bounds are
kept as PD says them.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Literal, TypeVar

import httpx
import msgspec

T = TypeVar("T")

TIMEOUT_S: Final = 3.0
_PAUSE_S: Final = 0.1
_PREFIX: Final = "/pd/api/v1"
_GROUP: Final = 8


class PdError(Exception):
    """PD did not answer, or said no; the text says which."""


class Region(msgspec.Struct, frozen=True):
    """A region as PD knows it.

    Attributes:
        start, end: encoded keys; ``end`` is empty for the last one.
        stores: ids of the stores that have a replica.
        leader: id of the store that leads, 0 if PD knows of none.
        whole: no replica is missing, behind or down.
    """

    id: int
    start: bytes
    end: bytes
    stores: tuple[int, ...]
    leader: int
    whole: bool

    def contains(self, encoded: bytes) -> bool:
        """Whether the encoded key lies in it."""
        return self.start <= encoded and (not self.end or encoded < self.end)


class StoreInfo(msgspec.Struct, frozen=True):
    """A store as PD knows it. ``state`` is ``Up``, ``Disconnected``, ``Down``, ``Offline`` or ``Tombstone``."""

    id: int
    address: str
    version: str
    state: str
    regions: int


def encode_key(key: bytes) -> bytes:
    """A client's key as transactions store it: groups of 8 bytes, each with a marker of how many of it are padding."""
    groups = []
    for at in range(0, len(key) + 1, _GROUP):
        group = key[at : at + _GROUP]
        padding = _GROUP - len(group)
        groups.append(group + bytes(padding) + bytes([0xFF - padding]))
    return b"".join(groups)


async def until(ask: Callable[[], Awaitable[T]], holds: Callable[[T], bool], limit_s: float) -> T | None:
    """What PD says when ``holds`` comes to be true of it, or at the end of the limit.

    PD may be unable to answer for a while; None: so it was at the end.
    """
    deadline = time.monotonic() + limit_s
    last: T | None = None
    while time.monotonic() < deadline:
        try:
            last = await ask()
        except PdError:
            last = None
        if last is not None and holds(last):
            break
        await asyncio.sleep(_PAUSE_S)
    return last


class PdApi:
    """Asks the members of PD in turn; a member passes on to the leader what only that can do.

    Args:
        addresses: of the members, ``HOST:PORT``.

    Every method raises ``PdError`` where no member gives a good answer.
    """

    def __init__(self, addresses: Sequence[str], timeout_s: float = TIMEOUT_S) -> None:
        self._addresses = list(addresses)
        self._client = httpx.AsyncClient(timeout=timeout_s, trust_env=False)

    async def close(self) -> None:
        """End the connections."""
        await self._client.aclose()

    # What there is.

    async def leader(self) -> str | None:
        """The name of the member that leads, None where there is none."""
        try:
            return (await self._ask("GET", "/leader")).get("name") or None
        except PdError:
            return None

    async def stores(self) -> list[StoreInfo]:
        """All stores that are not tombstones."""
        found = await self._ask("GET", "/stores")
        return [_store(entry) for entry in found.get("stores") or ()]

    async def store(self, store_id: int) -> StoreInfo:
        """One store, a tombstone too."""
        return _store(await self._ask("GET", f"/store/{store_id}"))

    async def regions(self) -> list[Region]:
        """All regions in the order of their keys."""
        found = await self._ask("GET", "/regions")
        return sorted((_region(entry) for entry in found.get("regions") or ()), key=lambda region: region.start)

    async def region_of(self, key: bytes) -> Region | None:
        """The region of a client's key."""
        encoded = encode_key(key)
        return next((region for region in await self.regions() if region.contains(encoded)), None)

    async def replicas(self) -> int:
        """How many replicas a region is to have."""
        return int((await self._ask("GET", "/config/replicate"))["max-replicas"])

    async def operators(self) -> list[Any]:
        """What PD is about to change, in its own words."""
        return list(await self._ask("GET", "/operators") or ())

    async def version(self) -> str:
        """Of PD."""
        return str((await self._ask("GET", "/version")).get("version", ""))

    async def cluster_id(self) -> int:
        """Of the cluster."""
        return int((await self._ask("GET", "/cluster"))["id"])

    # Orders. PD's answer says that it has taken the order, not that it is done.

    async def resign_leader(self) -> None:
        """PD is to elect another leader."""
        await self._ask("POST", "/leader/resign")

    async def split(self, keys: Sequence[bytes]) -> None:
        """Split regions at these client's keys."""
        await self._ask("POST", "/regions/split", {"split_keys": [encode_key(key).hex() for key in keys]})

    async def transfer_leader(self, region: int, store: int) -> None:
        """The region's leader is to be at that store."""
        await self._operator({"name": "transfer-leader", "region_id": region, "to_store_id": store})

    async def transfer_peer(self, region: int, source: int, target: int) -> None:
        """A replica of the region is to move from one store to another."""
        order = {"name": "transfer-peer", "region_id": region, "from_store_id": source, "to_store_id": target}
        await self._operator(order)

    async def merge(self, source: int, target: int) -> None:
        """The region is to become part of its neighbour."""
        await self._operator({"name": "merge-region", "source_region_id": source, "target_region_id": target})

    async def add_scheduler(self, name: str) -> None:
        """Let a scheduler run, such as ``shuffle-leader-scheduler``; one that runs already is no error."""
        if name not in await self.schedulers():
            await self._ask("POST", "/schedulers", {"name": name})

    async def remove_scheduler(self, name: str) -> None:
        """End a scheduler; one that does not run is no error."""
        if name in await self.schedulers():
            await self._ask("DELETE", f"/schedulers/{name}")

    async def schedulers(self) -> list[str]:
        """Those that run."""
        return [str(name) for name in await self._ask("GET", "/schedulers") or ()]

    async def remove_store(self, store_id: int) -> None:
        """Its replicas are to move elsewhere; then it is a tombstone."""
        await self._ask("DELETE", f"/store/{store_id}")

    async def tso_physical_ms(self, address: str) -> float | None:
        """The physical part of the last timestamp that this member saved, None where it does not allocate any."""
        try:
            answer = await self._client.get(f"http://{address}/metrics")
        except httpx.HTTPError as error:
            raise PdError(f"{address}: {_words(error)}") from None
        for line in answer.text.splitlines():
            if line.startswith("pd_cluster_tso{") and 'type="tso"' in line:
                return float(line.rpartition(" ")[2]) or None
        return None

    async def _operator(self, order: dict[str, Any]) -> None:
        await self._ask("POST", "/operators", order)

    async def _ask(self, method: Literal["GET", "POST", "DELETE"], path: str, content: Any = None) -> Any:
        failures = []
        for address in list(self._addresses):
            try:
                answer = await self._client.request(method, f"http://{address}{_PREFIX}{path}", json=content)
            except httpx.HTTPError as error:
                failures.append(f"{address}: {_words(error)}")
                continue
            if answer.is_success:
                self._prefer(address)
                return _json(answer.text)
            failures.append(f"{address}: {answer.status_code} {answer.text.strip()[:200]}")
        raise PdError("; ".join(failures))

    def _prefer(self, address: str) -> None:
        """Ask the one first that answered last."""
        if self._addresses[0] != address:
            self._addresses.remove(address)
            self._addresses.insert(0, address)


def _words(error: httpx.HTTPError) -> str:
    return str(error) or type(error).__name__


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return {}


def _store(entry: dict[str, Any]) -> StoreInfo:
    store, status = entry["store"], entry.get("status", {})
    return StoreInfo(
        id=store["id"],
        address=store.get("address", ""),
        version=store.get("version", ""),
        state=store.get("state_name", ""),
        regions=status.get("region_count", 0),
    )


def _region(entry: dict[str, Any]) -> Region:
    leader = (entry.get("leader") or {}).get("store_id", 0)
    return Region(
        id=entry["id"],
        start=bytes.fromhex(entry.get("start_key", "")),
        end=bytes.fromhex(entry.get("end_key", "")),
        stores=tuple(sorted(peer["store_id"] for peer in entry.get("peers") or ())),
        leader=leader,
        whole=bool(leader) and not entry.get("pending_peers") and not entry.get("down_peers"),
    )
