"""The network namespaces of nodes for a user who may use Docker, but is not root on the host: by helper containers.

Helpers bear the labels of their nodes, so whoever takes a cluster away takes them along. Those of a harness that was
killed end by themselves within minutes.
"""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

import docker.errors

from cluster.docker.engine import Engine
from cluster.docker.helper_container import LIFE_S, TIMED_OUT, HelperContainer, close_sockets
from cluster.docker.images import ensure_pause_image
from cluster.docker.netns import COMMAND_S, Done, HostRunner, NetNode, Runner, is_privileged
from cluster.docker.scratch import scratch_folder
from harness.exit_codes import EnvironmentFailure

T = TypeVar("T")

_IN_USE_S: Final = LIFE_S - 60  # then another one is made, while this one still lives


def runner_for(engine: Engine) -> Runner:
    """The host's own rights where we have them, else helper containers."""
    return HostRunner() if is_privileged() else HelperRunner(engine)


class HelperRunner:
    """Implements ``cluster.docker.netns.Runner`` with one helper container for each node, made when it is needed."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._helpers: dict[str, tuple[HelperContainer, float]] = {}  # by pause container; and when to make another
        self._locks: dict[str, asyncio.Lock] = {}
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    async def run(self, node: NetNode, command: Sequence[str], stdin: str = "") -> Done:
        """Run it in the node's helper."""
        done = await self._in_helper(node, lambda helper: helper.execute(command, stdin))
        if done.status == TIMED_OUT:
            raise EnvironmentFailure(f"{command[0]} did not end within {COMMAND_S:g} s on {node.name}")
        return done

    async def open_sockets(self, node: NetNode, streams: int) -> list[socket.socket]:
        """The node's helper makes them and hands them out."""
        return await self._in_helper(node, lambda helper: helper.open_sockets(node.address, streams))

    def try_apart(self, commands: Sequence[Sequence[str]]) -> list[Done]:
        """In a helper that belongs to no node.

        Raises:
            EnvironmentFailure: helpers do not work here.
        """
        self._engine.do(ensure_pause_image, self._engine)
        with scratch_folder() as folder:
            helper = HelperContainer(self._engine, "none", {}, Path(folder))
            try:
                close_sockets(helper.open_sockets("127.0.0.1", 0))
                return [helper.execute(command) for command in commands]
            finally:
                helper.remove()

    async def close(self) -> None:
        """Take the helpers away; one that cannot be ends by itself."""
        helpers = [helper for helper, _ in self._helpers.values()]
        self._helpers.clear()
        await asyncio.gather(*(asyncio.to_thread(helper.remove) for helper in helpers), return_exceptions=True)
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    async def _in_helper(self, node: NetNode, work: Callable[[HelperContainer], T]) -> T:
        """Do it in a thread, which is waited for even if the call is cancelled.

        It is over within seconds, and must not come after what is asked for next.
        """
        self._folder = self._folder or scratch_folder()
        async with self._locks.setdefault(node.container, asyncio.Lock()):
            task = asyncio.create_task(asyncio.to_thread(self._work, node, Path(self._folder.name), work))
            try:
                return await asyncio.shield(task)
            except asyncio.CancelledError:
                await asyncio.wait([task])
                if not task.cancelled() and task.exception() is None:
                    close_sockets(task.result())
                raise

    def _work(self, node: NetNode, folder: Path, work: Callable[[HelperContainer], T]) -> T:
        try:
            return work(self._helper_of(node, folder))
        except docker.errors.NotFound:  # somebody has taken the helper away
            self._helpers.pop(node.container, None)
            return work(self._helper_of(node, folder))

    def _helper_of(self, node: NetNode, folder: Path) -> HelperContainer:
        helper, until = self._helpers.get(node.container, (None, 0.0))
        if helper is None or time.monotonic() > until:
            if helper is not None:
                helper.remove()
            until = time.monotonic() + _IN_USE_S
            helper = self._join(node, folder)
            self._helpers[node.container] = (helper, until)
        return helper

    def _join(self, node: NetNode, folder: Path) -> HelperContainer:
        try:
            inspected = self._engine.do(self._engine.api.inspect_container, node.container)
            labels = inspected["Config"]["Labels"] or {}
            helper = HelperContainer(self._engine, f"container:{node.container}", labels, folder)
        except docker.errors.NotFound:
            raise EnvironmentFailure(f"the network namespace of {node.name} is gone: so is its container") from None
        try:
            _must_be(node, helper)
        except BaseException:
            helper.remove()
            raise
        return helper


def _must_be(node: NetNode, helper: HelperContainer) -> None:
    """Raise unless the helper is in the node's namespace, and that is not the one of this process."""
    joined = helper.execute(["readlink", "/proc/self/ns/net"])
    if joined.status or joined.out.strip() == os.readlink("/proc/self/ns/net"):  # noqa: PTH115
        raise EnvironmentFailure(f"{node.name} has no network namespace of its own: nothing was done there")
    close_sockets(helper.open_sockets(node.address, 0))
