"""Reads at one timestamp: what was committed up to it, however many regions that takes.

A lock of a transaction that may have committed below the timestamp is in the way of a read until it is resolved.
"""

from __future__ import annotations

from collections.abc import Sequence

from cluster.sim.client_context import ClientContext
from cluster.sim.wire import INFINITY, BatchGet, Get, Locked, Scan


class SimSnapshot:
    """Implements ``cluster.api.Snapshot``."""

    def __init__(self, context: ClientContext, ts: int) -> None:
        self._context = context
        self._ts = ts

    @property
    def ts(self) -> int:
        """The timestamp."""
        return self._ts

    async def get(self, key: bytes) -> bytes | None:
        """Read one key. Raises UnavailableBeforeCommit or LockTimeout."""
        context = self._context
        budget = context.budget()
        command = Get(key, self._ts)
        while True:
            answer = await context.sender.send(key, command, budget)
            if not isinstance(answer, Locked):
                return answer.value
            await context.resolver.resolve((answer,), budget)

    async def batch_get(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Read several keys; those that are absent are left out. Raises as ``get``."""
        context, ts = self._context, self._ts
        budget = context.budget()
        found: dict[bytes, bytes] = {}
        left: Sequence[bytes] = keys
        while left:
            again: list[bytes] = []
            locks: list[Locked] = []
            for share, answer in await context.sender.send_by_region(left, lambda ks: BatchGet(tuple(ks), ts), budget):
                if isinstance(answer, Locked):
                    again += share
                    locks.append(answer)
                else:
                    found.update(answer.pairs)
            if locks:
                await context.resolver.resolve(locks, budget)
            left = again
        return {key: found[key] for key in keys if key in found}

    async def scan(self, start: bytes, end: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """Read ``start <= key < end`` in the order of keys, at most ``limit``, region by region. Raises as ``get``."""
        context = self._context
        budget = context.budget()
        pairs: list[tuple[bytes, bytes]] = []
        at = start
        while len(pairs) < limit and (end == INFINITY or at < end):
            route = await context.cache.locate(at, budget)
            # The store refuses unless it has this region with these very bounds, so nothing is passed over.
            stop = _earlier(route.region.end, end)
            answer = await context.sender.try_once(route, Scan(at, stop, limit - len(pairs), self._ts), budget)
            if isinstance(answer, Locked):
                await context.resolver.resolve((answer,), budget)
            elif answer is not None:
                pairs += answer.pairs
                if stop == INFINITY:
                    break
                at = stop
        return pairs


def _earlier(a: bytes, b: bytes) -> bytes:
    return min(a, b) if a != INFINITY != b else a or b
