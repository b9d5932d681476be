"""A client's end of the network: each request is one future, no task."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from cluster.sim.network import Network
from cluster.sim.node import SimNode
from harness.virtual_time import VirtualLoop


class Rpc:
    """Sends the requests of one client."""

    __slots__ = ("_loop", "_name", "_network")

    def __init__(self, name: str, loop: VirtualLoop, network: Network) -> None:
        self._name = name
        self._loop = loop
        self._network = network
        node = SimNode(name, loop)
        node.start()
        network.add(node)

    def call(self, dst: str, request: Any, timeout_ns: int) -> asyncio.Future[Any]:
        """Send; the future gets the answer or an ``RpcError``, never an exception, and may be abandoned."""
        future = self._loop.create_future()
        self._network.call(self._name, dst, request, partial(_settle, future), timeout_ns)
        return future


def _settle(future: asyncio.Future[Any], answer: Any) -> None:
    if not future.done():
        future.set_result(answer)
