"""Servers that do nothing, under the real faults of the simulated cluster: fast, and all state can be looked at."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cluster.api import Evidence, Node
from cluster.sim.clocks import NodeClocks
from cluster.sim.faults import SimFaults
from cluster.sim.network import Network
from cluster.sim.node import SimNode
from cluster.sim.probes import CONTROL, Probes
from cluster.sim.rpc import Rpc
from harness.rng import Streams
from harness.virtual_time import VirtualLoop
from nemesis.client import NemesisClient
from nemesis.schedule import Schedule

PDS = ("pd1", "pd2", "pd3")
STORES = ("kv1", "kv2", "kv3", "kv4", "kv5")
KEYS = tuple(b"key%d" % i for i in range(8))
SPLIT_KEYS = (KEYS[2], KEYS[4], KEYS[6])


class Nobody:
    """In place of ``Leaders``: servers without software lead nothing."""

    async def transfer_pd_leader(self) -> Evidence:
        return Evidence(verified=False)

    def leaders(self) -> dict[str, str]:
        return {}

    def pd_leader(self) -> None:
        return None

    def region_leader(self, key: bytes) -> None:
        return None


class MortalFaults(SimFaults):
    """Faults as on a real cluster: clocks belong to processes, stores join, PD shuffles."""

    restart_resets_clocks = True

    def __init__(self, *args) -> None:
        super().__init__(*args)
        self.joined: set[str] = set()
        self.shuffled: set[str] = set()
        self.stopped: list[str] = []  # by asking, in order

    async def stop(self, node: str) -> Evidence:
        assert not self._nodes[node].paused, "it would not hear it"
        self.stopped.append(node)
        return await self.kill(node)

    async def start(self, node: str) -> Evidence:
        if not self._nodes[node].alive:
            self._nodes[node].clocks = NodeClocks()
        return await super().start(node)

    def _runs(self, node: str) -> None:
        if not self._nodes[node].alive or self._nodes[node].paused:
            raise OSError(f"{node} has no process that runs")

    async def skew(self, node: str, offset_ns: int) -> Evidence:
        self._runs(node)
        return await super().skew(node, offset_ns)

    async def drift(self, node: str, ppm: int) -> Evidence:
        self._runs(node)
        return await super().drift(node, ppm)

    async def step_monotonic(self, node: str, offset_ns: int) -> Evidence:
        self._runs(node)
        return await super().step_monotonic(node, offset_ns)

    async def add_store(self, node: str) -> Evidence:
        self.joined.add(node)
        return Evidence(verified=True, measured={"regions": 1})

    async def remove_store(self, node: str) -> Evidence:
        self.joined.discard(node)
        return Evidence(verified=True, measured={"state": "gone"})

    async def shuffle(self, what: str, on: bool) -> Evidence:
        (self.shuffled.add if on else self.shuffled.discard)(what)
        return Evidence(verified=True, measured={"scheduler": on})


class Bare:
    """A cluster of servers without software."""

    deterministic = True

    def __init__(self, faults: type[SimFaults] = SimFaults) -> None:
        self.loop = VirtualLoop()
        self.network = Network(self.loop, Streams(0))
        self.servers = {name: SimNode(name, self.loop) for name in (*PDS, *STORES)}
        for node in self.servers.values():
            self.network.add(node)
            node.start()
        self.nodes = tuple(Node(name, "pd" if name in PDS else "tikv") for name in self.servers)
        Rpc(CONTROL, self.loop, self.network)
        self.probes = Probes(self.loop, self.network)
        self.faults = faults(self.loop, self.network, list(self.servers.values()), self.probes, Nobody())
        self.network.add(client := SimNode("client-0", self.loop))
        client.start()
        self.faults.add_client(client.name)

    def nemesis(self, journal=None, **options) -> NemesisClient:
        return NemesisClient(self, Schedule(()), KEYS, SPLIT_KEYS, journal, **options)

    def run(self, main):
        return self.loop.run_until_complete(main)

    def state(self, name: str) -> str:
        node = self.servers[name]
        return "dead" if not node.alive else "paused" if node.paused else "running"

    def cut_links(self) -> set[tuple[str, str]]:
        return {(a, b) for a in self.servers for b in self.servers if a != b and self.network.is_cut(a, b)}

    def abnormal(self) -> list[str]:
        """Everything that is not as it was at the start, but for the monotonic clocks' readings."""
        now = self.loop.now()
        found = [f"{name} is {self.state(name)}" for name in self.servers if self.state(name) != "running"]
        found += [f"{a}>{b} is cut" for a, b in sorted(self.cut_links())]
        found += [f"{a}>{b} is degraded" for a in self.servers for b in self.servers if a != b and self.degraded(a, b)]
        for name, node in self.servers.items():
            if node.clocks.ppm:
                found.append(f"{name} drifts")
            elif node.clocks.wall_offset(now):
                found.append(f"{name} is off by {node.clocks.wall_offset(now)}")
        found += [f"{store} is there" for store in sorted(getattr(self.faults, "joined", ()))]
        return found + [f"{what} is shuffled" for what in sorted(getattr(self.faults, "shuffled", ()))]

    def degraded(self, a: str, b: str) -> bool:
        return any(self.network.degradation(a, b))


@pytest.fixture
def bare() -> Bare:
    return Bare()


@pytest.fixture
def mortal() -> Bare:
    """One on which clocks belong to processes, as on a real cluster."""
    return Bare(MortalFaults)


@pytest.fixture(scope="session")
def make_bare() -> type[Bare]:
    return Bare


@pytest.fixture(scope="session")
def make_mortal() -> Callable[[], Bare]:
    return lambda: Bare(MortalFaults)
