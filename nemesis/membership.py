"""What operators do to a whole cluster: every node restarted in turn, a store that joins and leaves again."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar, Final

from cluster.api import Evidence
from harness.clock import MILLISECOND
from harness.rng import Stream
from nemesis.effect import Dead, Effect, Joined
from nemesis.fault import LONG_MS, Injection, InstantFault, LastingFault, NotApplicable, Plan, Scene, World
from nemesis.targets import ALL

NODE_MS: Final = 8_000  # what the restart of a node takes, as a rule
NODE_S: Final = 9.0  # and at most, with time to serve again
SERVE_S: Final = 5.0  # of that at most until leaders come to rest
# So long they must be at rest: PD goes on naming a leader that is gone, and a region elects another after some 10 s.
REST_S: Final = 2.0
PD_REST_S: Final = 0.4
LOOK_S: Final = 0.2


class RollingRestart(InstantFault):
    """All nodes are stopped and started, one after the other; each serves again before the next one's turn."""

    kind: ClassVar[str] = "rolling-restart"
    needs: ClassVar[tuple[str, ...]] = ("stop",)
    recovery_ms: ClassVar[tuple[int, ...]] = (4_000, 8_000)

    def draw(self, stream: Stream, world: World) -> Plan:
        """Draw the order."""
        return {"on": ALL, "nodes": stream.shuffle(world.servers)}

    def takes_ms(self, world: World) -> int:
        """Some seconds for each node."""
        return NODE_MS * len(world.servers)

    def budget_s(self, world: World) -> float:
        """For each node."""
        return NODE_S * len(world.servers)

    def may_leave(self, plan: Plan, scene: Scene) -> list[Effect]:
        """Any of them may be down when it is cut short."""
        return [Dead(node, graceful=True) for node in plan["nodes"] if node not in scene.down]

    async def strike(self, plan: Plan, scene: Scene) -> tuple[list[str], Evidence]:
        """Restart those that no other fault holds down."""
        nodes = [node for node in plan["nodes"] if node not in scene.down]
        if not nodes:
            raise NotApplicable("every node is down already")
        verified, measured = True, {}
        for node in nodes:
            evidence = await _restart(scene, node)
            verified, measured[node] = verified and evidence.verified, evidence.measured
        return nodes, Evidence(verified, measured)


async def _restart(scene: Scene, node: str) -> Evidence:
    """Stop and start it; that it serves again is waited for, but does not decide: other faults may forbid it."""
    await scene.faults.look()
    led = len(scene.faults.leaders())
    stopped = await scene.faults.stop(node)
    started = await scene.faults.start(node)
    measured: dict[str, Any] = {"stopped": stopped.measured, "started": started.measured}
    rest_s = PD_REST_S if node in scene.world.pds else REST_S
    measured["leaders_at_rest_after_s"] = await _time_until_rest(scene, led, rest_s * scene.patience)
    return Evidence(stopped.verified and started.verified, measured)


async def _time_until_rest(scene: Scene, led: int, rest_s: float) -> float | None:
    """Seconds until PD and as many regions as before have a leader, and keep it for ``rest_s``; None: not in time."""
    loop = asyncio.get_running_loop()
    begin = since = loop.time()
    before: dict[str, str] | None = None
    while loop.time() - begin < SERVE_S * scene.patience:
        await scene.faults.look()
        leaders = dict(scene.faults.leaders())
        if len(leaders) < led or before not in (None, leaders):
            since = loop.time()
        elif loop.time() - since >= rest_s:
            return round(since - begin, 3)
        before = leaders
        await asyncio.sleep(LOOK_S * scene.patience)
    return None


class StoreReplacement(LastingFault):
    """A store joins and takes its share of the regions; at the stop PD drains it, and it leaves."""

    kind: ClassVar[str] = "store-replacement"
    needs: ClassVar[tuple[str, ...]] = ("add_store",)

    def draw(self, stream: Stream, world: World) -> Plan:  # noqa: ARG002
        """Draw nothing: it is the next one."""
        return {}

    def draw_duration_ns(self, stream: Stream, plan: Plan) -> int:  # noqa: ARG002
        """Draw how long it stays: PD takes its time to move regions."""
        return stream.choice(LONG_MS) * MILLISECOND

    def inject(self, plan: Plan, scene: Scene) -> Injection:  # noqa: ARG002
        """Add it, under the first name that is free."""
        taken = scene.world.servers
        number = next(i for i in range(1, len(taken) + 2) if f"kv{i}" not in taken)
        return Injection([f"kv{number}"], [Joined(f"kv{number}")])
