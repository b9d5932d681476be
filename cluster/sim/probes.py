"""Measurements in the simulated cluster: what shows that a fault is really there, taken rather than assumed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from cluster.sim.clocks import EPOCH_NS
from cluster.sim.network import Network
from cluster.sim.node import SimNode
from harness.clock import MILLISECOND
from harness.virtual_time import VirtualLoop

CONTROL: Final = "control"  # the host from which faults are put in place; no fault is aimed at its links
_ARRIVAL_NS: Final = 3 * MILLISECOND  # longer than any message of a sound network takes
_TRIES: Final = 20  # of messages that may be lost

Link = tuple[str, str]


class Probes:
    """Sends messages of its own over links and to processes, and reads clocks."""

    def __init__(self, loop: VirtualLoop, network: Network) -> None:
        self._loop = loop
        self._network = network

    async def wait_until(self, condition: Callable[[], bool], limit_ns: int) -> bool:
        """Look every 10 ms whether the condition holds; answer whether it did within the limit."""
        deadline = self._loop.now() + limit_ns
        while not condition():
            if self._loop.now() >= deadline:
                return False
            await self._loop.sleep_until(self._loop.now() + 10 * MILLISECOND)
        return True

    async def times(self, links: Sequence[Link], each: int = 1) -> dict[Link, list[int]]:
        """Send ``each`` messages over each link; return how long those that arrived took, in ns."""
        took: dict[Link, list[int]] = {link: [] for link in links}
        began = self._loop.now()

        def arrived(link: Link) -> None:
            took[link].append(self._loop.now() - began)

        for link in took:
            for _ in range(each):
                self._network.probe(*link, arrived, link)
        slowest = max((self._network.degradation(*link)[1] for link in took), default=0)
        await self._loop.sleep_until(began + _ARRIVAL_NS + slowest)
        return took

    async def arriving(self, links: Sequence[Link], *, all_must: bool) -> list[Link]:
        """The links that carry messages; if all should, those that seem not to are tried again, for loss' sake."""
        carrying: dict[Link, None] = {}
        for _ in range(_TRIES if all_must else 1):
            rest = [link for link in links if link not in carrying]
            if not rest:
                break
            took = await self.times(rest, each=1 if all_must else 3)
            carrying.update({link: None for link, times in took.items() if times})
        return list(carrying)

    async def answers(self, node: str) -> bool:
        """Whether the process of a node answers a message."""
        answered: list[bool] = []

        def process() -> None:
            self._network.send(node, CONTROL, answered.append, True)

        self._network.send(CONTROL, node, process)
        await self._loop.sleep_until(self._loop.now() + 2 * _ARRIVAL_NS)
        return bool(answered)

    def wall_offset_ns(self, node: SimNode) -> int:
        """How far its wall clock, as its process reads it, is ahead of true time."""
        return node.wall() - EPOCH_NS - self._loop.now()

    async def rates_ppm(self, node: SimNode, over_ns: int) -> tuple[int, int]:
        """How fast its monotonic and its wall clock run, in parts per million above the true rate."""
        began, monotonic, wall = self._loop.now(), node.monotonic(), node.wall()
        await self._loop.sleep_until(began + over_ns)
        passed = self._loop.now() - began
        return _ppm(node.monotonic() - monotonic, passed), _ppm(node.wall() - wall, passed)


def _ppm(local: int, true: int) -> int:
    """The rate error, rounded to the nearest part in a million."""
    return (2_000_000 * (local - true) + true) // (2 * true)
