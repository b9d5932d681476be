"""All nodes of a cluster in Docker: made, started, watched, and joined by more of them."""

from __future__ import annotations

import asyncio
import importlib.resources
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from cluster.api import Evidence, Role
from cluster.docker.engine import Engine
from cluster.docker.layout import KV_PORT, Layout, Place
from cluster.docker.membership import Membership
from cluster.docker.node import DockerNode
from cluster.docker.scratch import scratch_folder
from cluster.pd_api import PdApi
from harness.exit_codes import EnvironmentFailure
from harness.spec import DockerOptions

REPLICAS: Final = 3
_LAST_LINES: Final = 20


class Nodes:
    """The nodes by name. What is not there raises a KeyError."""

    def __init__(self, engine: Engine, layout: Layout, api: PdApi) -> None:
        self._engine = engine
        self._membership = Membership(api)
        self.layout = layout
        self._nodes = {place.name: DockerNode(engine, layout, place) for place in layout.places}
        self._logs_of_the_gone: tempfile.TemporaryDirectory[str] | None = None

    def __getitem__(self, name: str) -> DockerNode:
        return self._nodes[name]

    def __iter__(self) -> Iterator[DockerNode]:
        return iter(list(self._nodes.values()))

    def at(self, address: str) -> str:
        """The name of the store at ``HOST:PORT``; the address itself if it is none of ours."""
        host = address.rpartition(":")[0]
        return next((node.name for node in self if node.place.address == host), address)

    async def create(self) -> None:
        """Make all containers; only those that hold the network run."""
        await asyncio.gather(*(node.create(config_of(self.layout.options, node.place.role)) for node in self))
        await self.find_holders()

    async def find_holders(self) -> None:
        """Find out which processes hold the nodes' networks.

        Raises:
            EnvironmentFailure: one is gone.
        """
        await asyncio.gather(*(node.find_holder() for node in self))

    async def start(self) -> None:
        """Start all servers."""
        await asyncio.gather(*(node.start() for node in self))

    async def must_live(self) -> None:
        """Raise if a server has ended.

        Raises:
            EnvironmentFailure: with the last lines of its log.
        """
        for node in self:
            state = await node.state()
            if state.status == "dead":
                raise EnvironmentFailure(
                    f"{node.name} has ended with exit code {state.exit_code}; its last lines:\n"
                    + "\n".join(await node.last_lines(_LAST_LINES))
                )

    async def save_logs(self, folder: Path, since: float) -> None:
        """Write ``NODE.log`` for each, and for those that have left; what cannot be had is left out."""
        await asyncio.to_thread(self._begin_logs, folder)
        jobs = (node.save_log(folder / f"{node.name}.log", since) for node in self)
        await asyncio.gather(*jobs, return_exceptions=True)

    def _begin_logs(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for node in self:
            (folder / f"{node.name}.log").unlink(missing_ok=True)
        if self._logs_of_the_gone is not None:
            shutil.copytree(self._logs_of_the_gone.name, folder, dirs_exist_ok=True)

    # Stores that join and leave.

    async def add_store(self, name: str) -> Evidence:
        """Make a store, start it, and wait until it serves."""
        if name not in self._nodes:
            place = self.layout.joining(name)
            node = DockerNode(self._engine, self.layout, place)
            self._adopt(node, (*self.layout.places, place))
            await node.create(config_of(self.layout.options, "tikv"))
            await node.find_holder()
        await self._nodes[name].start()
        return await self._membership.join(f"{self._nodes[name].place.address}:{KV_PORT}")

    async def remove_store(self, name: str) -> Evidence:
        """Drain a store and take it away; nothing is left to do where it is not there."""
        node = self._nodes.get(name)
        if node is None:
            return Evidence(verified=True, measured={"state": "gone"})
        evidence = await self._membership.drain(f"{node.place.address}:{KV_PORT}")
        if evidence.verified:
            await node.kill()
            if self._logs_of_the_gone is None:
                self._logs_of_the_gone = scratch_folder()
            await node.save_log(Path(self._logs_of_the_gone.name) / f"{name}.log", 0)
            await node.remove()
            del self._nodes[name]
            self.layout = msgspec.structs.replace(self.layout, places=_without(self.layout.places, name))
        return evidence

    def _adopt(self, node: DockerNode, places: Sequence[Place]) -> None:
        self._nodes[node.name] = node
        self.layout = msgspec.structs.replace(self.layout, places=tuple(places))


def _without(places: Sequence[Place], name: str) -> tuple[Place, ...]:
    return tuple(place for place in places if place.name != name)


def config_of(options: DockerOptions, role: Role) -> bytes:
    """The configuration of a server: the user's, else ours for small machines.

    Raises:
        EnvironmentFailure: the user's cannot be read.
    """
    own = options.pd_config if role == "pd" else options.kv_config
    if own:
        try:
            return Path(own).read_bytes()
        except OSError as error:
            raise EnvironmentFailure(f"cannot read {own}: {error.strerror}") from None
    file = importlib.resources.files("cluster.docker") / "config" / ("pd.toml" if role == "pd" else "tikv.toml")
    content = file.read_bytes()
    if role == "pd":
        replicas = REPLICAS if options.kv >= REPLICAS else 1
        content += f"\n[replication]\nmax-replicas = {replicas}\n".encode()
    return content
