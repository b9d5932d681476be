"""Networks that lose and delay messages without being cut."""

from __future__ import annotations

from typing import ClassVar

from cluster.api import Degradation
from harness.clock import MILLISECOND
from harness.rng import Stream
from nemesis.effect import Degraded
from nemesis.fault import Injection, LastingFault, Plan, Scene, World
from nemesis.targets import ALL, ONE, PD_LEADER, REGION_LEADER, SOME, Weights, draw_targets, find_targets

DEGRADED: Weights = ((ONE, 2), (SOME, 3), (ALL, 1), (PD_LEADER, 1), (REGION_LEADER, 2))
LOSSES_PPM = (1_000, 5_000, 10_000, 20_000, 50_000)
DELAYS_MS = (5, 10, 20, 50, 100, 200)


class Degrade(LastingFault):
    """Messages from and to some nodes are lost, or late, or both."""

    kind: ClassVar[str] = "network"
    needs: ClassVar[tuple[str, ...]] = ("degrade",)

    def draw(self, stream: Stream, world: World) -> Plan:
        """Draw whom, and the share lost and the delay, one of which may be 0."""
        how = stream.choice(("loss", "delay", "both"))
        loss = 0 if how == "delay" else stream.choice(LOSSES_PPM)
        delay = 0 if how == "loss" else stream.choice(DELAYS_MS)
        return {**draw_targets(stream, world, DEGRADED), "loss_ppm": loss, "delay_ms": delay}

    def inject(self, plan: Plan, scene: Scene) -> Injection:
        """Degrade the nodes' links."""
        targets = find_targets(plan, scene)
        how = Degradation(loss_ppm=plan["loss_ppm"], delay_ns=plan["delay_ms"] * MILLISECOND)
        return Injection(targets, [Degraded(tuple(targets), how)])
