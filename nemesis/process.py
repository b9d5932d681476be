"""Processes: killed or asked to end, and started again from their disks, or frozen for a while."""

from __future__ import annotations

from typing import ClassVar

from harness.rng import Stream
from nemesis.effect import Dead, Paused
from nemesis.fault import Injection, LastingFault, Plan, Scene, World
from nemesis.targets import (
    ALL,
    MAJORITY,
    MINORITY,
    ONE,
    PD_LEADER,
    REGION_LEADER,
    STORES,
    Weights,
    draw_targets,
    find_targets,
    spare,
)

KILLED: Weights = ((ONE, 3), (MINORITY, 2), (MAJORITY, 3), (ALL, 2), (PD_LEADER, 2), (REGION_LEADER, 4))
_SINGLE = (ONE, PD_LEADER, REGION_LEADER)
PAUSED: Weights = ((ONE, 3), (MINORITY, 2), (STORES, 1), (PD_LEADER, 2), (REGION_LEADER, 4))


class Kill(LastingFault):
    """Processes are ended at once; at the stop they start again."""

    kind: ClassVar[str] = "kill"
    needs: ClassVar[tuple[str, ...]] = ("kill",)
    recovery_ms: ClassVar[tuple[int, ...]] = (4_000, 8_000, 12_000, 16_000)  # an election follows

    def draw(self, stream: Stream, world: World) -> Plan:
        """Draw whom."""
        return draw_targets(stream, world, KILLED)

    def durations(self, plan: Plan) -> tuple[int, int, int]:
        """Where regions lose their majority nothing happens at all, which takes no long time to find out."""
        return (40, 35, 25) if plan["on"] in _SINGLE else (50, 50, 0)

    def inject(self, plan: Plan, scene: Scene) -> Injection:
        """Kill those that are not dead."""
        dead = [node for node, state in scene.down.items() if state == "dead"]
        targets = spare(find_targets(plan, scene), dead, scene.world)
        return Injection(targets, [Dead(node) for node in targets])


class Stop(LastingFault):
    """Processes are asked to end, as at an upgrade or when a machine shuts down; at the stop they start again."""

    kind: ClassVar[str] = "stop"
    needs: ClassVar[tuple[str, ...]] = ("stop",)
    recovery_ms: ClassVar[tuple[int, ...]] = Kill.recovery_ms

    def draw(self, stream: Stream, world: World) -> Plan:
        """Draw whom."""
        return draw_targets(stream, world, KILLED)

    def durations(self, plan: Plan) -> tuple[int, int, int]:
        """Mostly they are wanted back soon."""
        return (60, 25, 15) if plan["on"] in _SINGLE else (70, 30, 0)

    def inject(self, plan: Plan, scene: Scene) -> Injection:
        """Ask those that run: one that is frozen would not hear it."""
        targets = spare(find_targets(plan, scene), list(scene.down), scene.world)
        return Injection(targets, [Dead(node, graceful=True) for node in targets])


class Pause(LastingFault):
    """Processes are frozen; their clocks and connections are not."""

    kind: ClassVar[str] = "pause"
    needs: ClassVar[tuple[str, ...]] = ("pause",)
    recovery_ms: ClassVar[tuple[int, ...]] = (1_000, 2_000, 4_000, 8_000)

    def draw(self, stream: Stream, world: World) -> Plan:
        """Draw whom."""
        return draw_targets(stream, world, PAUSED)

    def durations(self, plan: Plan) -> tuple[int, int, int]:
        """A pause past the election makes a leader that does not know it was deposed."""
        return (25, 35, 40) if plan["on"] in _SINGLE else (50, 50, 0)

    def inject(self, plan: Plan, scene: Scene) -> Injection:
        """Freeze those that run."""
        targets = spare(find_targets(plan, scene), list(scene.down), scene.world)
        return Injection(targets, [Paused(node) for node in targets])
