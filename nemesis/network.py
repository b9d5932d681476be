"""Networks that lose, delay, repeat, reorder and throttle messages without being cut.

What of it can be had differs from machine to machine (``World.aspects``): without the kernel's netem only loss is left.
"""

from __future__ import annotations

from typing import ClassVar

from cluster.api import ASPECTS, Degradation
from harness.clock import MILLISECOND
from harness.rng import Stream
from nemesis.effect import Degraded
from nemesis.fault import Injection, LastingFault, Plan, Scene, World
from nemesis.targets import ALL, ONE, PD_LEADER, REGION_LEADER, SOME, Weights, draw_targets, find_targets

DEGRADED: Weights = ((ONE, 2), (SOME, 3), (ALL, 1), (PD_LEADER, 1), (REGION_LEADER, 2))
LOSSES_PPM = (1_000, 5_000, 10_000, 20_000, 50_000)
DELAYS_MS = (5, 10, 20, 50, 100, 200)
DUPLICATES_PPM = (10_000, 50_000, 200_000)
REORDERED_PPM = (50_000, 250_000, 500_000)
KBITS = (256, 1_000, 4_000, 16_000)


class Degrade(LastingFault):
    """Messages from and to some nodes are lost, late, both, or worse, as far as the machine can do that."""

    kind: ClassVar[str] = "network"
    needs: ClassVar[tuple[str, ...]] = ("degrade",)
    needs_one_of: ClassVar[tuple[str, ...]] = ASPECTS

    def draw(self, stream: Stream, world: World) -> Plan:
        """Draw whom, and what is wrong: the loss and the delay, one of which may be 0, or something else."""
        how = stream.choice(_ways(world))
        loss = stream.choice(LOSSES_PPM) if how in {"loss", "both"} else 0
        delay = stream.choice(DELAYS_MS) if how in {"delay", "both", "reorder"} else 0
        plan = {**draw_targets(stream, world, DEGRADED), "loss_ppm": loss, "delay_ms": delay}
        for way, (name, choices) in _OTHERS.items():
            if how == way:
                plan[name] = stream.choice(choices)
        return plan

    def inject(self, plan: Plan, scene: Scene) -> Injection:
        """Degrade the nodes' links."""
        targets = find_targets(plan, scene)
        others = {name: plan[name] for name, _ in _OTHERS.values() if name in plan}
        how = Degradation(loss_ppm=plan["loss_ppm"], delay_ns=plan["delay_ms"] * MILLISECOND, **others)
        return Injection(targets, [Degraded(tuple(targets), how)])


_OTHERS = {
    "duplicate": ("duplicate_ppm", DUPLICATES_PPM),
    "reorder": ("reorder_ppm", REORDERED_PPM),
    "rate": ("kbit", KBITS),
}


def _ways(world: World) -> list[str]:
    """What can be wrong with the network of this world; what is late by chance overtakes, so that needs a delay."""
    ways = [aspect for aspect in ASPECTS if aspect in world.aspects and aspect not in _OTHERS]
    if len(ways) > 1:
        ways.append("both")
    return ways + [way for way in _OTHERS if way in world.aspects and (way != "reorder" or "delay" in ways)]
