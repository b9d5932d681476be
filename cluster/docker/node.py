"""One node: a pause container that holds its network, and a server container that lives in it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import docker.errors
import docker.types
import msgspec

from cluster.docker.archive import archive_of
from cluster.docker.engine import Engine
from cluster.docker.images import PAUSE_IMAGE
from cluster.docker.layout import CONFIG, NETWORK_PART, SERVER_PART, Layout, Place
from cluster.docker.pause import PROGRAM
from harness.exit_codes import EnvironmentFailure

T = TypeVar("T")

STOP_S: Final = 10  # for a process to end when it is asked to
STATE_S: Final = 10.0  # for a process to be what it was told to be
_LOG_OPTIONS: Final = {"max-size": "500m", "max-file": "2"}

Status = Literal["running", "paused", "dead", "gone"]


class State(msgspec.Struct, frozen=True):
    """What the engine says of a node's process.

    Attributes:
        pid: on the host, 0 if there is none.
        exit_code: of the process that ended last.
        started: when the process that runs was started, in RFC 3339.
    """

    status: Status
    pid: int = 0
    exit_code: int = 0
    started: str = ""


class DockerNode:
    """A node's two containers.

    Attributes:
        holder: id of the container that holds its network, and that container's process on the host, as of the last
            ``find_holder``.
    """

    def __init__(self, engine: Engine, layout: Layout, place: Place) -> None:
        self._engine = engine
        self._layout = layout
        self.place = place
        self.name = place.name
        self._net = layout.container(place.name, NETWORK_PART)
        self._server = layout.container(place.name, SERVER_PART)
        self.holder: tuple[str, int] = ("", 0)
        self._turn = asyncio.Lock()

    # Making it.

    async def create(self, config: bytes) -> None:
        """Make both containers and start the one that holds the network.

        Raises:
            EnvironmentFailure: Docker says no.
        """
        await self._engine.call(self._create, config)

    def _create(self, config: bytes) -> None:
        api, layout, place = self._engine.api, self._layout, self.place
        endpoint = api.create_endpoint_config(ipv4_address=place.address)
        api.create_container(
            PAUSE_IMAGE,
            name=self._net,
            entrypoint=[PROGRAM],
            hostname=place.name,
            labels=layout.labels(place, NETWORK_PART),
            networking_config=api.create_networking_config({layout.network: endpoint}),
            host_config=api.create_host_config(),
        )
        api.start(self._net)
        program, *flags = layout.command(place)
        api.create_container(
            layout.image(place.role),
            name=self._server,
            entrypoint=[program],
            command=flags,
            labels=layout.labels(place, SERVER_PART),
            host_config=api.create_host_config(
                network_mode=f"container:{self._net}",
                log_config=docker.types.LogConfig(type="json-file", config=_LOG_OPTIONS),
            ),
        )
        api.put_archive(self._server, "/", archive_of(CONFIG, config))

    # What faults do to it. Each is harmless where it is so already.

    async def start(self) -> State:
        """Start the server from its disk."""
        await self._order(self._engine.api.start, self._server)
        return await self._until("running")

    async def kill(self) -> State:
        """SIGKILL, a frozen process too: it is not to live on for a moment."""
        state = await self.state()
        if state.status == "gone":
            return state
        if state.status == "paused":
            if state.pid and os.geteuid() == 0:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(state.pid, signal.SIGKILL)  # taken as soon as it thaws; the engine would refuse
            await self.resume()
        with contextlib.suppress(EnvironmentFailure):  # it has just ended
            await self._order(self._engine.api.kill, self._server, "SIGKILL")
        return await self._until("dead")

    async def stop(self) -> State:
        """SIGTERM, and SIGKILL if that is not enough."""
        await self._order(self._engine.api.stop, self._server, timeout=STOP_S)
        return await self._until("dead")

    async def pause(self) -> State:
        """Freeze it."""
        if (await self.state()).status == "running":
            await self._order(self._engine.api.pause, self._server)
        return await self._until("paused")

    async def resume(self) -> State:
        """Let it run again."""
        if (await self.state()).status == "paused":
            with contextlib.suppress(EnvironmentFailure):  # it was killed while it was frozen
                await self._order(self._engine.api.unpause, self._server)
        state = await self.state()
        return state if state.status == "dead" else await self._until("running")

    async def remove(self) -> None:
        """Take both containers away."""
        await self._engine.call(remove_container, self._engine, self._server)
        await self._engine.call(remove_container, self._engine, self._net)

    # What it is like.

    async def state(self) -> State:
        """What the engine says of the server's process."""
        return await self._order(self._state)

    async def _order(self, function: Callable[..., T], *arguments: Any, **options: Any) -> T:
        """One call after the other: whoever gave it may be cancelled, but the engine carries it out all the same.

        Else a stop that takes its time would end what the healing has found running, and left alone, meanwhile.
        """
        await self._turn.acquire()
        order = asyncio.ensure_future(self._engine.call(function, *arguments, **options))
        order.add_done_callback(self._next_turn)
        return await asyncio.shield(order)

    def _next_turn(self, order: asyncio.Future[Any]) -> None:
        self._turn.release()
        if not order.cancelled():
            order.exception()  # there may be nobody left to tell

    def _state(self) -> State:
        try:
            state = self._engine.api.inspect_container(self._server)["State"]
        except docker.errors.NotFound:
            return State("gone")
        running = state["Running"]
        status: Status = "paused" if state["Paused"] else "running" if running else "dead"
        return State(status, state["Pid"] if running else 0, state["ExitCode"], state["StartedAt"])

    async def find_holder(self) -> None:
        """Find out who holds the network.

        Raises:
            EnvironmentFailure: nobody does: the machine was started anew, say.
        """
        found: dict[str, Any] = {}
        with contextlib.suppress(docker.errors.NotFound):
            found = await self._engine.call(self._engine.api.inspect_container, self._net)
        if not found or not found["State"]["Running"]:
            name = self._layout.name
            raise EnvironmentFailure(f"the network of {self.name} is gone: `quorumquake cluster down {name}`")
        self.holder = (found["Id"], found["State"]["Pid"])

    async def last_lines(self, count: int) -> list[str]:
        """The end of the server's log."""
        try:
            text: bytes = await self._engine.call(self._engine.api.logs, self._server, tail=count)
        except docker.errors.NotFound:
            return []
        return text.decode(errors="replace").splitlines()

    async def save_log(self, path: Path, since: float) -> None:
        """Append what it has logged since then (wall clock, s; 0: ever), each line after its true time."""
        await self._engine.call(self._save_log, path, since)

    def _save_log(self, path: Path, since: float) -> None:
        try:
            chunks: Iterator[bytes] = self._engine.api.logs(
                self._server, stream=True, timestamps=True, since=since or None, follow=False
            )
        except docker.errors.NotFound:
            return
        with path.open("ab") as file:
            for chunk in chunks:
                file.write(chunk)

    async def _until(self, status: Status) -> State:
        deadline = time.monotonic() + STATE_S
        while True:
            state = await self.state()
            if state.status == status or time.monotonic() > deadline:
                return state
            await asyncio.sleep(0.02)


def remove_container(engine: Engine, container: str) -> None:
    """Take a container away, whatever state it is in. Blocks. None is there: fine."""
    api = engine.api
    with contextlib.suppress(docker.errors.APIError):
        api.unpause(container)  # what is frozen cannot be ended
    try:
        api.remove_container(container, force=True, v=True)
    except docker.errors.NotFound:
        pass
    except docker.errors.APIError as error:
        if "already in progress" not in str(error):  # somebody else is about to
            raise
