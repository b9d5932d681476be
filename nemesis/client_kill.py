"""Clients that die in the middle of a commit: the locks they leave must be resolved, and no money may be missing."""

from __future__ import annotations

from typing import ClassVar

from cluster.api import KILL_CLIENT, Evidence
from harness.rng import Stream
from nemesis.fault import InstantFault, NotApplicable, Plan, Scene, World


class ClientKill(InstantFault):
    """A process in which clients live is killed; another takes its place."""

    kind: ClassVar[str] = "client-kill"
    needs: ClassVar[tuple[str, ...]] = (KILL_CLIENT,)

    def draw(self, stream: Stream, world: World) -> Plan:  # noqa: ARG002
        """Draw nothing: which one is in the middle of something is known only then."""
        return {}

    async def strike(self, plan: Plan, scene: Scene) -> tuple[list[str], Evidence]:  # noqa: ARG002
        """Kill it."""
        if scene.clients is None:
            raise NotApplicable("the clients live in the harness's own process")
        return [], await scene.clients.kill()
