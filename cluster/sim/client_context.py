"""What the transactions of one client share: its routes, its randomness, and its work in the background."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from cluster.errors import StoreError
from cluster.sim.backoff import Budget
from cluster.sim.lock_resolver import LockResolver
from cluster.sim.network import Network
from cluster.sim.pd_client import PdClient
from cluster.sim.region_cache import RegionCache
from cluster.sim.rpc import Rpc
from cluster.sim.sender import Sender
from harness.rng import Streams
from harness.virtual_time import VirtualLoop


class ClientContext:
    """The parts of one client, and its tasks in the background."""

    def __init__(
        self,
        name: str,
        loop: VirtualLoop,
        network: Network,
        streams: Streams,
        *,
        pd_members: Sequence[str],
        bugs: frozenset[str],
    ) -> None:
        self.loop = loop
        self.bugs = bugs
        self.stream = streams("client", name)
        rpc = Rpc(name, loop, network)
        self.pd = PdClient(rpc, pd_members)
        self.cache = RegionCache(self.pd)
        self.sender = Sender(rpc, self.cache)
        self.resolver = LockResolver(self.pd, self.sender)
        self.closed = False
        self._background: dict[asyncio.Task[None], None] = {}  # in the order of their start

    def budget(self) -> Budget:
        """The time of one call."""
        return Budget(self.loop, self.stream)

    def in_background(self, work: Callable[..., Coroutine[Any, Any, object]], *args: Any) -> None:
        """Run ``work(*args)`` beside the caller, best effort: others finish what it cannot when they meet the locks."""
        if self.closed:
            return
        task = self.loop.create_task(_best_effort(work, args))
        self._background[task] = None
        task.add_done_callback(self._ended)

    def close(self) -> None:
        """Give up what runs in the background."""
        self.closed = True
        for task in list(self._background):
            task.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._background[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            self.loop.call_exception_handler({"message": "work in the background failed", "exception": error})


async def _best_effort(work: Callable[..., Coroutine[Any, Any, object]], args: tuple[Any, ...]) -> None:
    with contextlib.suppress(StoreError):
        await work(*args)
