"""What an operator or PD's schedulers do: leaders that move, regions that split."""

from __future__ import annotations

from typing import ClassVar

from cluster.api import Evidence
from harness.rng import Stream
from nemesis.fault import InstantFault, NotApplicable, Plan, Scene, World


class PdTransfer(InstantFault):
    """PD gets another leader, and with it the TSO."""

    kind: ClassVar[str] = "pd-transfer"
    needs: ClassVar[tuple[str, ...]] = ("transfer_pd_leader",)
    colour: ClassVar[str] = "#b0578d"

    def draw(self, stream: Stream, world: World) -> Plan:  # noqa: ARG002
        """Nothing to draw: PD chooses."""
        return {}

    async def strike(self, plan: Plan, scene: Scene) -> tuple[list[str], Evidence]:  # noqa: ARG002
        """Ask for it."""
        targets = _leader(scene.faults.pd_leader(), "PD")
        return targets, await scene.faults.transfer_pd_leader()


class LeaderTransfer(InstantFault):
    """The leadership of a region moves to another of its stores."""

    kind: ClassVar[str] = "leader-transfer"
    needs: ClassVar[tuple[str, ...]] = ("transfer_region_leader",)
    colour: ClassVar[str] = "#6f9d4f"

    def draw(self, stream: Stream, world: World) -> Plan:
        """Draw the key whose region it is."""
        return {"key": stream.below(max(1, world.keys))}

    def most(self, world: World) -> int | None:
        """None without keys."""
        return None if world.keys else 0

    async def strike(self, plan: Plan, scene: Scene) -> tuple[list[str], Evidence]:
        """Ask for it."""
        key = scene.keys[plan["key"]]
        targets = _leader(scene.faults.region_leader(key), "the region")
        return targets, await scene.faults.transfer_region_leader(key)


class Split(InstantFault):
    """A region becomes two, at a key where none begins yet."""

    kind: ClassVar[str] = "split"
    needs: ClassVar[tuple[str, ...]] = ("split_region",)
    colour: ClassVar[str] = "#9dae4f"

    def draw(self, stream: Stream, world: World) -> Plan:
        """Draw a key; the first one from there on that is no boundary by then will be taken."""
        return {"key": stream.choice([key for key in range(world.keys) if key not in world.boundaries])}

    def most(self, world: World) -> int | None:
        """As often as there are keys that are no boundaries yet."""
        return world.keys - len(world.boundaries)

    async def strike(self, plan: Plan, scene: Scene) -> tuple[list[str], Evidence]:
        """Ask for it."""
        count = len(scene.keys)
        for number in range(plan["key"], plan["key"] + count):
            if number % count not in scene.boundaries:
                key = scene.keys[number % count]
                targets = _leader(scene.faults.region_leader(key), "the region")
                evidence = await scene.faults.split_region(key)
                if evidence.verified:
                    scene.boundaries.add(number % count)
                return targets, evidence
        raise NotApplicable("regions begin at all keys already")


def _leader(node: str | None, of: str) -> list[str]:
    if node is None:
        raise NotApplicable(f"{of} has no leader just now")
    return [node]
