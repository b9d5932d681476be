"""Faults in the simulated cluster, each measured after it was put in place or taken away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, ClassVar, Final

from cluster.api import Cut, Degradation, Evidence
from cluster.refusal import Refusal
from cluster.sim.leaders import Leaders
from cluster.sim.network import Network
from cluster.sim.node import SimNode
from cluster.sim.probes import Link, Probes
from harness.clock import MILLISECOND
from harness.virtual_time import VirtualLoop

_PROBES_PER_NODE = 100
MODELLED: Final = (
    "partition",
    "kill",
    "pause",
    "skew",
    "drift",
    "step_monotonic",
    "degrade",
    "transfer_pd_leader",
    "transfer_region_leader",
    "split_region",
    "loss",
    "delay",
)


class SimFaults(Refusal):
    """Implements ``cluster.api.Faults``. Targets that move are the business of ``leaders``."""

    reason: ClassVar[str] = "the simulation does not model it"
    restart_resets_clocks = False

    def __init__(
        self, loop: VirtualLoop, network: Network, nodes: Sequence[SimNode], probes: Probes, leaders: Leaders
    ) -> None:
        self._loop = loop
        self._network = network
        self._nodes = {node.name: node for node in nodes}
        self._probes = probes
        self._leaders = leaders
        self._clients: list[str] = []
        self._cuts: dict[Cut, None] = {}  # those in force
        self._degraded: dict[str, tuple[int, int]] = {}  # node -> loss (ppm), delay (ns)

    def add_client(self, name: str) -> None:
        """A new host: what degrades a node degrades its links to this one, too."""
        if name not in self._clients:
            self._clients.append(name)
        self._apply_degradation()

    # Partitions.

    async def partition(self, cut: Cut) -> Evidence:
        """Drop the messages on these links; verified by messages that do not arrive."""
        if cut not in self._cuts:
            self._cuts[cut] = None
            for link in cut.links:
                self._network.cut(*link)
        carrying = await self._probes.arriving(cut.links, all_must=False)
        return Evidence(bool(cut.links) and not carrying, _links_measured(cut.links, carrying))

    async def heal(self, cut: Cut) -> Evidence:
        """Take this cut away; verified by messages that arrive, except where another cut holds the link."""
        if cut in self._cuts:
            del self._cuts[cut]
            for link in cut.links:
                self._network.mend(*link)
        held = [link for link in cut.links if any(link in other.links for other in self._cuts)]
        expected = [link for link in cut.links if link not in held]
        carrying = await self._probes.arriving(expected, all_must=True)
        measured = _links_measured(cut.links, carrying)
        if held:
            measured["held_by_others"] = len(held)
        return Evidence(len(carrying) == len(expected), measured)

    # Processes.

    async def kill(self, node: str) -> Evidence:
        """End the process; verified by its silence."""
        target = self._nodes[node]
        if target.alive:
            target.kill()
            self._network.break_connections(node)
        return await self._process(target, "dead")

    async def start(self, node: str) -> Evidence:
        """Start it from its disk; verified by its answer."""
        self._nodes[node].start()
        return await self._process(self._nodes[node], "running")

    async def pause(self, node: str) -> Evidence:
        """Freeze the process; verified by its silence."""
        self._nodes[node].pause()
        return await self._process(self._nodes[node], "paused")

    async def resume(self, node: str) -> Evidence:
        """Let it run again; verified by its answer."""
        self._nodes[node].resume()
        return await self._process(self._nodes[node], "running")

    async def _process(self, node: SimNode, expected: str) -> Evidence:
        answers = await self._probes.answers(node.name)
        state = "dead" if not node.alive else "paused" if node.paused else "running"
        verified = state == expected and answers == (expected == "running")
        return Evidence(verified, {"state": state, "answers": answers})

    # Clocks.

    async def skew(self, node: str, offset_ns: int) -> Evidence:
        """Set a wall clock; verified by reading it before and after."""
        target = self._nodes[node]
        before = self._probes.wall_offset_ns(target)
        target.clocks.set_wall_offset(self._loop.now(), offset_ns)
        after = self._probes.wall_offset_ns(target)
        return Evidence(after == offset_ns, {"offset_ns": after, "before_ns": before})

    async def drift(self, node: str, ppm: int) -> Evidence:
        """Let both clocks of a node run fast; verified by timing them."""
        target = self._nodes[node]
        target.clocks.set_rate(self._loop.now(), ppm)
        monotonic, wall = await self._probes.rates_ppm(target, 100 * MILLISECOND)
        verified = abs(monotonic - ppm) <= 1 and abs(wall - ppm) <= 1
        return Evidence(verified, {"monotonic_ppm": monotonic, "wall_ppm": wall})

    async def step_monotonic(self, node: str, offset_ns: int) -> Evidence:
        """Step a monotonic clock; verified by reading it before and after."""
        target = self._nodes[node]
        before = target.monotonic()
        target.clocks.step_monotonic(self._loop.now(), offset_ns)
        stepped = target.monotonic() - before
        return Evidence(stepped == offset_ns, {"stepped_ns": stepped})

    # The network.

    async def degrade(self, nodes: Sequence[str], how: Degradation) -> Evidence:
        """Lose and delay what flows from and to these nodes; verified by timing and counting messages.

        A link between two such nodes gets the worse of the two. Links that a partition cuts cannot be measured.
        """
        before = max((self._degraded.get(node, (0, 0))[1] for node in nodes), default=0)
        for node in nodes:
            self._degraded.pop(node, None)
            if how != Degradation():
                self._degraded[node] = (how.loss_ppm, how.delay_ns)
        self._apply_degradation()
        sound = [name for name in self._hosts() if name not in nodes and name not in self._degraded]
        others = sound or self._hosts()
        # A link keeps the order of its messages: let those pass that were sent at the former delay.
        await self._loop.sleep_until(self._loop.now() + before)
        links = [(a, b) for a, b in product(nodes, others) if a != b and not self._network.is_cut(a, b)]
        each = -(-_PROBES_PER_NODE * len(nodes) // len(links)) if links else 0
        return _degradation_measured(await self._probes.times(links, each), each, how.loss_ppm, how.delay_ns)

    def _apply_degradation(self) -> None:
        none = (0, 0)
        for src, dst in product(self._hosts(), repeat=2):
            if src != dst and (src in self._nodes or dst in self._nodes):
                (loss, delay), (loss_too, delay_too) = (self._degraded.get(name, none) for name in (src, dst))
                self._network.degrade(src, dst, max(loss, loss_too), max(delay, delay_too))

    def _hosts(self) -> list[str]:
        return [*self._nodes, *self._clients]

    # Leaders and regions.

    async def transfer_pd_leader(self) -> Evidence:
        """Let PD's leader resign; verified by another one that serves."""
        return await self._leaders.transfer_pd_leader()

    async def transfer_region_leader(self, key: bytes) -> Evidence:
        """Hand the region over to another of its stores; verified by another one that leads."""
        return await self._leaders.transfer_region_leader(key)

    async def split_region(self, key: bytes) -> Evidence:
        """Split the region of ``key`` there; verified by PD, which knows the two parts."""
        return await self._leaders.split_region(key)

    def leaders(self) -> Mapping[str, str]:
        """Who leads now."""
        return self._leaders.leaders()

    def pd_leader(self) -> str | None:
        """The PD member that leads now."""
        return self._leaders.pd_leader()

    def region_leader(self, key: bytes) -> str | None:
        """The store that leads the region of ``key`` now."""
        return self._leaders.region_leader(key)


def _links_measured(links: Sequence[Link], carrying: Sequence[Link]) -> dict[str, Any]:
    return {"links": len(links), "carrying": [f"{src}>{dst}" for src, dst in carrying]}


def _degradation_measured(times: dict[Link, list[int]], each: int, loss_ppm: int, delay_ns: int) -> Evidence:
    """Judge a degradation by messages sent over the links.

    Losing is a matter of chance: that none got lost proves something only if at least ten should have been.
    """
    sent = each * len(times)
    took = [time for link in times.values() for time in link]
    lost = sent - len(took)
    fastest = min(took, default=0)
    loss_shows = (lost > 0) == (loss_ppm > 0) or 0 < sent * loss_ppm < 10_000_000
    verified = bool(took) and fastest >= delay_ns and loss_shows
    return Evidence(verified, {"sent": sent, "lost": lost, "fastest_ns": fastest})
