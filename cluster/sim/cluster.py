"""The simulated cluster as a whole: three PD members and some TiKV stores on one loop of virtual time.

It starts bootstrapped: one region for each range between the split keys, each on three stores in turn, so that all
stores take part from the beginning.
"""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from cluster.api import ASPECTS, INJECTIONS, KILL_CLIENT, Capability, Node
from cluster.sim.backoff import CALL_BUDGET_NS, RPC_TIMEOUT_NS
from cluster.sim.bugs import BUGS
from cluster.sim.client import SimStore
from cluster.sim.client_context import ClientContext
from cluster.sim.faults import MODELLED, SimFaults
from cluster.sim.leaders import Leaders
from cluster.sim.network import Network
from cluster.sim.pd import PdMember
from cluster.sim.pessimistic import LOCK_TTL_MS
from cluster.sim.probes import CONTROL, Probes
from cluster.sim.rpc import Rpc
from cluster.sim.store import TikvStore
from cluster.sim.wire import INFINITY, Epoch, Region
from harness.clock import MILLISECOND, SECOND
from harness.exit_codes import EnvironmentFailure, UsageError
from harness.rng import Streams
from harness.virtual_time import VirtualLoop

T = TypeVar("T")

PD_NAMES: Final = ("pd1", "pd2", "pd3")
REPLICAS: Final = 3
_START_LIMIT_NS: Final = 60 * SECOND


class SimCluster:
    """Implements ``cluster.api.Cluster``. ``bugs``: names of planted bugs (``cluster.sim.bugs``)."""

    name = "sim"
    deterministic = True
    pd_addresses: tuple[str, ...] = ()

    def __init__(self, streams: Streams, nodes: int = 5, bugs: frozenset[str] = frozenset()) -> None:
        if nodes < REPLICAS:
            raise UsageError(f"the simulated cluster needs at least {REPLICAS} nodes, not {nodes}")
        unknown = sorted(bugs.difference(BUGS))
        if unknown:
            raise UsageError(f"there is no planted bug {unknown[0]!r}")
        self._streams = streams
        self._bugs = bugs
        self.clock = self._loop = loop = VirtualLoop()
        self._network = network = Network(loop, streams)
        self._pd = [PdMember(name, PD_NAMES, loop, network, streams, bugs) for name in PD_NAMES]
        names = [f"kv{i + 1}" for i in range(nodes)]
        self._stores = [TikvStore(name, loop, network, streams, PD_NAMES, bugs) for name in names]
        for node in (*self._pd, *self._stores):
            network.add(node)
        self.nodes = (*(Node(name, "pd") for name in PD_NAMES), *(Node(name, "tikv") for name in names))
        control = Rpc(CONTROL, loop, network)
        self._probes = Probes(loop, network)
        self._leaders = Leaders(loop, control, self._probes, streams("control"), pd=self._pd, stores=self._stores)
        self.faults = SimFaults(loop, network, [*self._pd, *self._stores], self._probes, self._leaders)

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run the coroutine in this cluster's virtual time."""
        return self._loop.run_until_complete(main)

    def capabilities(self) -> Mapping[str, Capability]:
        """What is modelled works."""
        refused = Capability(available=False, reason=SimFaults.reason)
        possible = Capability(available=True)
        return {name: possible if name in MODELLED else refused for name in (*INJECTIONS, *ASPECTS, KILL_CLIENT)}

    async def start(self, split_keys: Sequence[bytes]) -> None:
        """Bring it up, with regions split at these keys, until PD serves and every region has a leader."""
        bounds = [b"", *sorted(set(split_keys) - {b""}), INFINITY]
        regions = [self._region(i, bounds[i], bounds[i + 1]) for i in range(len(bounds) - 1)]
        for member in self._pd:
            member.bootstrap(regions)
        for store in self._stores:
            store.bootstrap([region for region in regions if store.name in region.peers])
        for node in (*self._pd, *self._stores):
            node.start()
        if not await self._probes.wait_until(lambda: self._serves(regions), _START_LIMIT_NS):
            raise EnvironmentFailure("the simulated cluster did not come up")

    def _region(self, index: int, start: bytes, end: bytes) -> Region:
        """On three stores in turn; the first of them is meant to lead."""
        stores = self._stores
        peers = tuple(stores[(index + i) % len(stores)].name for i in range(REPLICAS))
        return Region(index + 1, start, end, Epoch(1, 1), peers)

    def _serves(self, regions: Sequence[Region]) -> bool:
        leaders = self._leaders
        return leaders.pd_leader() is not None and all(leaders.region_leader(region.start) for region in regions)

    async def stop(self) -> None:
        """End all processes."""
        for node in (*self._pd, *self._stores):
            node.kill()

    def store(self, client: str) -> SimStore:
        """A new client. One of the same name takes the place of the former, which should be closed."""
        context = ClientContext(client, self._loop, self._network, self._streams, pd_members=PD_NAMES, bugs=self._bugs)
        self.faults.add_client(client)
        return SimStore(context)

    async def save_logs(self, folder: Path) -> None:
        """Simulated nodes log nothing."""

    def describe(self) -> dict[str, Any]:
        """What it consists of, and its settings."""
        return {
            "kind": "simulated",
            "seed": self._streams.seed,
            "pd": list(PD_NAMES),
            "stores": [store.name for store in self._stores],
            "replicas": REPLICAS,
            "planted bugs": sorted(self._bugs),
            "lock TTL (ms)": LOCK_TTL_MS,
            "RPC time-out (ms)": RPC_TIMEOUT_NS // MILLISECOND,
            "client's budget for a call (ms)": CALL_BUDGET_NS // MILLISECOND,
        }
