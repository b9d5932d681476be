"""What the contract's suite asks of a real PD: to split a region, and to move its leader."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from typing import Any

PATIENCE_S = 30.0


class PdApi:
    """PD's HTTP interface, at the first address that answers."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = addresses

    async def split(self, key: bytes) -> None:
        """Split the region of ``key`` at ``key``, and wait until PD knows the two."""
        bound = encoded(key).hex()

        def is_split() -> bool:
            return self._region(key)["start_key"].lower() == bound

        region = self._region(key)
        order = {"name": "split-region", "region_id": region["id"], "policy": "usekey", "keys": [bound]}
        await self._order(order, is_split)

    async def move_leader(self, key: bytes) -> bool:
        """Let the next of the region's stores lead, and wait until it does; False where there is no other."""
        region = self._region(key)
        leader = region["leader"]["store_id"]
        others = [peer["store_id"] for peer in region["peers"] if peer["store_id"] != leader]
        if not others:
            return False
        order = {"name": "transfer-leader", "region_id": region["id"], "to_store_id": others[0]}
        await self._order(order, lambda: self._region(key)["leader"].get("store_id") == others[0])
        return True

    async def _order(self, order: dict[str, Any], done: Callable[[], bool]) -> None:
        """Give the order until it is done: PD drops one that meets another of the same region."""
        deadline = asyncio.get_running_loop().time() + PATIENCE_S
        while not await asyncio.to_thread(done):
            assert asyncio.get_running_loop().time() < deadline, f"PD did not carry out {order}"
            await asyncio.to_thread(self._ask, "operators", order)
            for _ in range(20):
                if await asyncio.to_thread(done):
                    return
                await asyncio.sleep(0.1)

    def _region(self, key: bytes) -> dict[str, Any]:
        """The region of a key, among all: PD's search by a key wants it escaped."""
        wanted = encoded(key).hex()
        for region in self._ask("regions")["regions"]:
            start, end = region["start_key"].lower(), region["end_key"].lower()
            if start <= wanted and (not end or wanted < end):
                return region
        raise AssertionError("no region")

    def _ask(self, what: str, order: dict[str, Any] | None = None) -> Any:
        data = None if order is None else json.dumps(order).encode()
        for address in self._addresses:
            try:
                with urllib.request.urlopen(f"http://{address}/pd/api/v1/{what}", data, timeout=5) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as error:
                if order is not None and error.code < 600:
                    return None  # another order is under way: again
                raise
            except OSError as error:
                failure = error
        raise failure


def encoded(key: bytes) -> bytes:
    """A key as PD knows it: groups of eight bytes, padded with zeros, each followed by 255 less the padding."""
    groups = [key[at : at + 8] for at in range(0, len(key) + 1, 8)]
    return b"".join(group.ljust(8, b"\0") + bytes([247 + len(group)]) for group in groups)
