"""Faults of a real cluster, each measured before and after it was put in place or taken away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from cluster.api import Cut, Degradation, Evidence
from cluster.docker.clocks import ProcessClocks
from cluster.docker.network import NodeNetworks
from cluster.docker.node import State, Status
from cluster.docker.nodes import Nodes
from cluster.docker.regions import Regions
from cluster.pd_api import PdApi, PdError
from harness.clock import MILLISECOND

TSO_S: Final = 0.5  # for the TSO to follow its PD's clock
TSO_TOLERANCE_MS: Final = 200  # PD writes it down every 50 ms
_PAUSE_S: Final = 0.05


class DockerFaults:
    """Implements ``cluster.api.Faults``: puts the tools together that each know one thing."""

    restart_resets_clocks = True

    def __init__(
        self, nodes: Nodes, regions: Regions, api: PdApi, *, networks: NodeNetworks, clocks: ProcessClocks
    ) -> None:
        self._nodes = nodes
        self._regions = regions
        self._api = api
        self._networks = networks
        self._clocks = clocks

    # Who leads.

    async def look(self) -> None:
        """Ask PD."""
        await self._regions.look()

    def leaders(self) -> Mapping[str, str]:
        """As of the last look."""
        return self._regions.leaders()

    def pd_leader(self) -> str | None:
        """As of the last look."""
        return self._regions.pd_leader()

    def region_leader(self, key: bytes) -> str | None:
        """As of the last look."""
        return self._regions.region_leader(key)

    # The network.

    async def partition(self, cut: Cut) -> Evidence:
        """Drop packets inside the nodes' network namespaces; verified by connection attempts from inside."""
        return await self._networks.partition(cut)

    async def heal(self, cut: Cut) -> Evidence:
        """Take this cut away."""
        return await self._networks.heal(cut)

    async def degrade(self, nodes: Sequence[str], how: Degradation) -> Evidence:
        """Make the nodes' network worse."""
        return await self._networks.degrade(nodes, how)

    # Processes, verified by what the engine says of them.

    async def kill(self, node: str) -> Evidence:
        """SIGKILL."""
        before = await self._nodes[node].state()
        after = await self._nodes[node].kill()
        self._forget(before)
        return _process(before, after, "dead")

    async def stop(self, node: str) -> Evidence:
        """SIGTERM, and wait."""
        before = await self._nodes[node].state()
        after = await self._nodes[node].stop()
        self._forget(before)
        return _process(before, after, "dead")

    async def start(self, node: str) -> Evidence:
        """Start the server again from its disk; verified by the process, and then by its port."""
        before = await self._nodes[node].state()
        await self._nodes[node].start()
        place = self._nodes[node].place
        began = time.monotonic()
        answers = await _answers(place.address, place.port)
        answered_after_ms = round((time.monotonic() - began) * 1000)
        # Only now: it may have ended again. That it answers does not decide: others may be missing for that.
        evidence = _process(before, await self._nodes[node].state(), "running")
        evidence.measured |= {"answers": answers, "answered_after_ms": answered_after_ms}
        return evidence

    async def pause(self, node: str) -> Evidence:
        """Freeze."""
        before = await self._nodes[node].state()
        return _process(before, await self._nodes[node].pause(), "paused")

    async def resume(self, node: str) -> Evidence:
        """Thaw."""
        before = await self._nodes[node].state()
        return _process(before, await self._nodes[node].resume(), "running")

    def _forget(self, before: State) -> None:
        if before.pid:
            self._clocks.forget(before.pid)  # a restart returns to true time

    # Clocks, verified by what the process itself reads; on the PD leader the TSO shows it, too.

    async def skew(self, node: str, offset_ns: int) -> Evidence:
        """Set the wall clock of the node's process to true time plus the offset."""

        async def skewed(pid: int) -> Evidence:
            evidence = await self._clocks.skew(pid, offset_ns)
            if offset_ns > 0 and self._regions.pd_leader() == node:
                evidence.measured["tso_offset_ms"] = await self._tso_offset_ms(node, offset_ns)
            return evidence

        return await self._changed(node, skewed, undone=offset_ns == 0)

    async def drift(self, node: str, ppm: int) -> Evidence:
        """Let both clocks of the node's process run fast or slow."""
        return await self._changed(node, lambda pid: self._clocks.drift(pid, ppm), undone=ppm == 0)

    async def step_monotonic(self, node: str, offset_ns: int) -> Evidence:
        """Step the monotonic clocks of the node's process."""

        async def stepped(pid: int) -> Evidence:
            if offset_ns < 0 and self._clocks.needs_restart(pid):
                # A clock that was set ahead must not be seen to go back: only a new process gets true time.
                await self.kill(node)
                evidence = await self.start(node)
                evidence.measured["restarted"] = "a monotonic clock that was ahead is undone by a restart"
                return evidence
            return await self._clocks.step_monotonic(pid, offset_ns)

        return await self._changed(node, stepped, undone=False)

    async def _changed(self, node: str, change: Callable[[int], Awaitable[Evidence]], *, undone: bool) -> Evidence:
        """Change the clocks of the node's process; ``undone``: without a process they are as they should be.

        A frozen process cannot be changed: it runs for the few milliseconds that this takes.
        """
        state = await self._nodes[node].state()
        if state.status == "dead":
            return Evidence(undone, {"state": "dead"})
        if state.status != "paused":
            return await change(state.pid)
        await self._nodes[node].resume()
        try:
            evidence = await self._changed(node, change, undone=undone)
        finally:
            await self._nodes[node].pause()
        evidence.measured["thawed"] = "for as long as the change took"
        return evidence

    async def _tso_offset_ms(self, node: str, offset_ns: int) -> float | None:
        """How far the TSO is from true time once it has followed a clock that is ahead. It never falls back."""
        place = self._nodes[node].place
        deadline = time.monotonic() + TSO_S
        found: float | None = None
        while time.monotonic() < deadline:
            try:
                physical = await self._api.tso_physical_ms(f"{place.address}:{place.port}")
            except PdError:
                physical = None
            if physical is not None:
                found = round(physical - time.time_ns() / MILLISECOND, 1)
                if abs(found - offset_ns / MILLISECOND) < TSO_TOLERANCE_MS:
                    break
            await asyncio.sleep(_PAUSE_S)
        return found

    # Leaders, regions and stores, through PD.

    async def transfer_pd_leader(self) -> Evidence:
        """Let PD's leader resign."""
        return await self._regions.transfer_pd_leader()

    async def transfer_region_leader(self, key: bytes) -> Evidence:
        """Hand a region over."""
        return await self._regions.transfer_region_leader(key)

    async def split_region(self, key: bytes) -> Evidence:
        """Split a region."""
        return await self._regions.split_region(key)

    async def transfer_region(self, key: bytes) -> Evidence:
        """Move a replica."""
        return await self._regions.transfer_region(key)

    async def merge_region(self, key: bytes) -> Evidence:
        """Merge a region."""
        return await self._regions.merge_region(key)

    async def shuffle(self, what: str, on: bool) -> Evidence:
        """Let PD shuffle."""
        return await self._regions.shuffle(what, on)

    async def add_store(self, node: str) -> Evidence:
        """Let a new store join."""
        return await self._nodes.add_store(node)

    async def remove_store(self, node: str) -> Evidence:
        """Drain a store and take it away."""
        return await self._nodes.remove_store(node)


def _process(before: State, after: State, wanted: Status) -> Evidence:
    measured = {
        "before": {"state": before.status, "pid": before.pid},
        "after": {"state": after.status, "pid": after.pid},
    }
    return Evidence(after.status == wanted, measured)


async def _answers(address: str, port: int, limit_s: float = 10.0) -> bool:
    """Whether the server takes connections within the limit."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        try:
            async with asyncio.timeout(1.0):
                _, writer = await asyncio.open_connection(address, port)
        except (OSError, TimeoutError):
            await asyncio.sleep(_PAUSE_S)
            continue
        writer.close()
        return True
    return False
