"""Servers that do nothing, under the real faults of the simulated cluster: fast, and all state can be looked at."""

from __future__ import annotations

import pytest

from cluster.api import Evidence, Node
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

    def pd_leader(self) -> None:
        return None

    def region_leader(self, key: bytes) -> None:
        return None


class Bare:
    """A cluster of servers without software."""

    def __init__(self) -> None:
        self.loop = VirtualLoop()
        self.network = Network(self.loop, Streams(0))
        self.servers = {name: SimNode(name, self.loop) for name in (*PDS, *STORES)}
        for node in self.servers.values():
            self.network.add(node)
            node.start()
        self.nodes = tuple(Node(name, "pd" if name in PDS else "tikv") for name in self.servers)
        Rpc(CONTROL, self.loop, self.network)
        self.probes = Probes(self.loop, self.network)
        self.faults = SimFaults(self.loop, self.network, list(self.servers.values()), self.probes, Nobody())
        self.network.add(client := SimNode("client-0", self.loop))
        client.start()
        self.faults.add_client(client.name)

    def nemesis(self, journal=None) -> NemesisClient:
        return NemesisClient(self, Schedule(()), KEYS, SPLIT_KEYS, journal)

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
        return found

    def degraded(self, a: str, b: str) -> bool:
        return any(self.network.degradation(a, b))


@pytest.fixture
def bare() -> Bare:
    return Bare()


@pytest.fixture(scope="session")
def make_bare() -> type[Bare]:
    return Bare
