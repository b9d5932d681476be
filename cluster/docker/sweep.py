"""What of our faults is in force on a cluster, and taking it away, by what is seen: whoever did it may be gone."""

from __future__ import annotations

from typing import Final

from cluster.docker.clocks import ProcessClocks
from cluster.docker.network import NodeNetworks
from cluster.docker.node import DockerNode
from cluster.docker.nodes import Nodes
from harness.exit_codes import EnvironmentFailure

OFF_MS: Final = 1.0  # a clock that is off by less is taken to be true


async def residue(nodes: Nodes, networks: NodeNetworks, clocks: ProcessClocks, least_ms: float = OFF_MS) -> list[str]:
    """Each thing in one sentence; empty: nothing. Clocks count that are off by ``least_ms``.

    Raises:
        EnvironmentFailure: a node cannot be looked at.
    """
    found = await networks.residue()
    for node in nodes:
        state = await node.state()
        if state.status != "running":
            found.append(f"{node.name} is {state.status}")
        elif clocks.capability().available:
            found += [f"the {clock} clock of {node.name} is off by {off:g} ms" for clock, off in
                      (await _off(clocks, state.pid, least_ms)).items()]  # fmt: skip
    return found


async def _off(clocks: ProcessClocks, pid: int, least_ms: float = OFF_MS) -> dict[str, float]:
    measured = (await clocks.look(pid)).measured
    offsets = {clock: float(measured[f"{clock}_ms"]) for clock in ("wall", "monotonic")}
    return {clock: off for clock, off in offsets.items() if abs(off) >= least_ms}


async def sweep(nodes: Nodes, networks: NodeNetworks, clocks: ProcessClocks) -> list[str]:
    """Rules and queues away, every process running with true clocks; return what could not be done, in words."""
    failures = []
    try:
        await networks.clear()
    except EnvironmentFailure as failure:
        failures.append(str(failure))
    for node in nodes:
        try:
            failures += await _mend(node, clocks)
        except EnvironmentFailure as failure:
            failures.append(f"{node.name}: {failure}")
    return failures


async def _mend(node: DockerNode, clocks: ProcessClocks) -> list[str]:
    state = await node.resume()
    if state.status == "dead":
        state = await node.start()
    if state.status != "running":
        return [f"{node.name} is {state.status}"]
    if clocks.capability().available and await _off(clocks, state.pid):
        await clocks.drift(state.pid, 0)
        await clocks.skew(state.pid, 0)
        if await _off(clocks, state.pid):
            # A monotonic clock must not be seen to step: only a new process gets true time.
            await node.kill()
            clocks.forget(state.pid)
            await node.start()
    return []
