"""A real cluster in Docker, behind ``cluster.api.Cluster``: made for one run, or left running and used again."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from cluster.api import ASPECTS, INJECTIONS, KILL_CLIENT, Capability, Node
from cluster.docker.clocks import ProcessClocks
from cluster.docker.engine import Engine
from cluster.docker.faults import DockerFaults
from cluster.docker.helper import runner_for
from cluster.docker.hold import hold
from cluster.docker.images import ensure_images, image_id
from cluster.docker.layout import Layout
from cluster.docker.netns import HostRunner, NetNode, is_privileged
from cluster.docker.network import NodeNetworks
from cluster.docker.nodes import Nodes
from cluster.docker.objects import find_cluster, make_network, new_name, remove_cluster
from cluster.docker.owner import owner_of_this_process
from cluster.docker.ready import split_at, spread_leaders, until_ready
from cluster.docker.regions import Regions
from cluster.docker.sweep import residue, sweep
from cluster.pd_api import PdApi, PdError
from cluster.tikv_wheel import client_version
from harness.clock import RealClock
from harness.exit_codes import EnvironmentFailure, UsageError
from harness.spec import DockerOptions

T = TypeVar("T")
Origin = Literal["for a run", "to stay", "there"]

MEMORY_PER_NODE_MB: Final = 200
_POSSIBLE: Final = Capability(available=True)


class DockerCluster:
    """One cluster. Use ``new`` or ``existing``.

    Attributes:
        layout: its nodes.
    """

    name = "docker"
    deterministic = False

    def __init__(self, engine: Engine, layout: Layout, origin: Origin) -> None:
        """``origin``: it is made for this process's run, or to stay, or it is there already."""
        self.clock = RealClock()
        self._engine = engine
        self._origin: Origin = origin
        self._api = PdApi(layout.pd_addresses)
        self._members = Nodes(engine, layout, self._api)
        self._networks = NodeNetworks(self._net_nodes, runner_for(engine))
        self._clocks = ProcessClocks()
        regions = Regions(self._api, self._members.at)
        self.faults = DockerFaults(self._members, regions, self._api, networks=self._networks, clocks=self._clocks)
        self._began = time.time()
        self._facts: dict[str, Any] = {}
        self._held: socket.socket | None = None
        self._made = False  # by this object: what was there before under the same name is not ours to remove

    @staticmethod
    def new(options: DockerOptions, name: str = "") -> DockerCluster:
        """A cluster that is made by ``start``: for this process's run, or, with a name, to stay.

        Raises:
            EnvironmentFailure: no engine answers.
            UsageError: the name would not do.
        """
        layout = Layout.of(name or new_name(), options)
        return DockerCluster(Engine(), layout, "to stay" if name else "for a run")

    @staticmethod
    def existing(name: str) -> DockerCluster:
        """A cluster that was left running.

        Raises:
            EnvironmentFailure: no engine answers.
            UsageError: there is no such cluster, or not all of it.
        """
        engine = Engine()
        found = find_cluster(engine, name)
        if found is None:
            raise UsageError(f"there is no cluster {name!r}: `quorumquake cluster up --name {name}` makes one")
        if found.layout is None:
            raise UsageError(f"of the cluster {name!r} only parts are left: `quorumquake cluster down {name}`")
        return DockerCluster(engine, found.layout, "there")

    @property
    def layout(self) -> Layout:
        """Its nodes, those included that have joined."""
        return self._members.layout

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The servers that faults can be aimed at."""
        return tuple(node.place.node for node in self._members)

    @property
    def pd_addresses(self) -> tuple[str, ...]:
        """Where clients connect to."""
        return self.layout.pd_addresses

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run the coroutine on the standard library's event loop."""
        try:
            with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
                return runner.run(main)
        finally:
            if self._origin == "for a run" and self._made:
                # After an interruption a thread may have made something that ``stop`` did not see; all have ended now.
                remove_cluster(self._engine, self.layout.name)
                self._engine.close()

    def capabilities(self) -> Mapping[str, Capability]:
        """What works here depends on the kernel, its tools and our rights."""
        clocks = self._clocks.capability()
        found: dict[str, Capability] = dict.fromkeys((*INJECTIONS, *ASPECTS, KILL_CLIENT), _POSSIBLE)
        found |= dict.fromkeys(("skew", "drift", "step_monotonic"), clocks)
        found |= self._networks.capabilities()
        if len(self.layout.pds) == 1:
            found["transfer_pd_leader"] = Capability(available=False, reason="PD has one member only")
        return found

    # Its life.

    async def start(self, split_keys: Sequence[bytes]) -> None:
        """Make it, unless it is there; wait until it serves; split and spread its regions.

        Raises:
            EnvironmentFailure: it does not come up; what of it was made is taken away by ``stop``.
        """
        self.take()
        if self._origin == "there":
            await self._members.find_holders()
            await self._must_be_whole()
        else:
            await self._make()
        self._began = time.time()
        stores = len([node for node in self._members if node.place.role == "tikv"])
        await until_ready(self._api, stores, self._members.must_live)
        if split_keys:
            await split_at(self._api, split_keys)
            await until_ready(self._api, stores, self._members.must_live)
            await spread_leaders(self._api, split_keys)
        self._facts = await self._ask()
        await self.faults.look()

    async def _must_be_whole(self) -> None:
        """Raise unless all is as it should be: what a killed run left in force would be blamed on the system."""
        # A clock that was drifting comes back slowly, which harms nobody.
        if left := await residue(self._members, self._networks, self._clocks, least_ms=1000):
            name = self.layout.name
            raise EnvironmentFailure(f"{'; '.join(left)}: first heal it: quorumquake cluster heal {name}")

    async def _make(self) -> None:
        _must_have_memory(len(self.layout.places))
        await ensure_images(self._engine, self.layout.options)
        await self._engine.call(self._make_network)
        await self._members.create()
        await self._members.start()

    def _make_network(self) -> None:
        make_network(self._engine, self.layout, owner_of_this_process(), stays=self._origin == "to stay")
        self._made = True  # said here, in the thread: after an interruption nobody waits for it any more

    async def stop(self) -> None:
        """Take it away, if it was made for this run; else let go of it."""
        if self._origin == "for a run":
            await self.undo_start()
        await self.close()

    async def close(self) -> None:
        """Let go of it without changing anything."""
        await self._api.close()
        await self._networks.close()
        self._engine.close()
        if self._held is not None:
            self._held.close()
            self._held = None

    async def undo_start(self) -> None:
        """Take away what ``start`` has made."""
        if self._made:
            await self._engine.call(remove_cluster, self._engine, self.layout.name)

    def store(self, client: str) -> Any:
        """Clients live in processes of their own (``pd_addresses``)."""
        raise NotImplementedError(client)

    # For whoever looks after clusters that stay.

    async def reopen(self) -> None:
        """Find out about the nodes, so that faults can be undone whoever put them there.

        Raises:
            EnvironmentFailure: a node's network is gone.
        """
        await self._members.find_holders()
        await self.faults.look()

    async def residue(self) -> list[str]:
        """After ``reopen``: what of our faults is in force, in words."""
        return await residue(self._members, self._networks, self._clocks)

    async def heal(self) -> list[str]:
        """After ``reopen``: bring everything back to normal, whatever was done to it; say what could not be."""
        return await sweep(self._members, self._networks, self._clocks)

    async def states(self) -> dict[str, str]:
        """For each node its address and what the engine says of its process."""
        found = {}
        for node in self._members:
            state = await node.state()
            found[node.name] = f"{node.place.address}:{node.place.port} {state.status}"
        return found

    async def save_all_logs(self, folder: Path) -> None:
        """Write what each node has logged since it was made."""
        await self._members.save_logs(folder, 0)

    async def save_logs(self, folder: Path) -> None:
        """Write what each node has logged since the cluster was taken into use."""
        await self._members.save_logs(folder, self._began)

    def describe(self) -> dict[str, Any]:
        """Images, versions and addresses, as far as ``start`` found them."""
        options = self.layout.options
        return {
            "kind": self.name,
            "cluster": self.layout.name,
            "nodes": {place.name: f"{place.address}:{place.port}" for place in self.layout.places},
            "images": {"pd": self.layout.image("pd"), "kv": self.layout.image("tikv")},
            "configuration": {"pd": options.pd_config or "small", "kv": options.kv_config or "small"},
            "client": f"tikv-client {client_version()}".strip(),
            "engine": self._engine.version,
            **self._facts,
        }

    # Parts.

    def take(self) -> None:
        """Hold the cluster for this process, until it is closed.

        Raises:
            EnvironmentFailure: another process holds it.
        """
        self._held = hold(self.layout.name)

    async def _ask(self) -> dict[str, Any]:
        facts: dict[str, Any] = {}
        try:
            facts["pd_version"] = await self._api.version()
            facts["stores"] = {self._members.at(store.address): store.version for store in await self._api.stores()}
            facts["cluster_id"] = await self._api.cluster_id()
            facts["regions"] = len(await self._api.regions())
        except PdError:
            pass
        options = self.layout.options
        for role, image in (("pd", options.pd_image), ("kv", options.kv_image)):
            facts[f"{role}_image_id"] = await image_id(self._engine, f"{image}:{options.version}")
        return facts

    def _net_nodes(self) -> list[NetNode]:
        places = [(node.place, *node.holder) for node in self._members]
        return [
            NetNode(name=place.name, address=place.address, pid=pid, port=place.port, container=container)
            for place, container, pid in places
            if pid
        ]


def _must_have_memory(nodes: int) -> None:
    needed = nodes * MEMORY_PER_NODE_MB
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return
    free = next((int(line.split()[1]) // 1024 for line in lines if line.startswith("MemAvailable:")), needed)
    if free < needed:
        raise EnvironmentFailure(
            f"{nodes} nodes need about {needed} MB of memory, and {free} MB are free: fewer with --pd and --kv"
        )


def local_capabilities() -> list[tuple[str, Capability]]:
    """What this machine can inject into a cluster in Docker, whether an engine runs or not; names that go together."""
    try:
        engine = Engine()
    except EnvironmentFailure:
        engine = None
    none = Capability(available=False, reason="no Docker engine lets this user in")
    possible = _network_capabilities(engine)
    possible["clock"] = ProcessClocks().capability()
    possible["kill, stop, pause"] = _POSSIBLE if engine else none
    if engine:
        engine.close()
    return sorted(possible.items())


def _network_capabilities(engine: Engine | None) -> dict[str, Capability]:
    if engine is None and not is_privileged():
        none = Capability(available=False, reason="needs root on the host, or a Docker engine that lets this user in")
        return dict.fromkeys(("partition", "degrade", *ASPECTS), none)
    return NodeNetworks(list, runner_for(engine) if engine else HostRunner()).capabilities()
