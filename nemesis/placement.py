"""What an operator or PD's schedulers do: leaders that move, regions that split."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar, Final

from cluster.api import Evidence
from harness.rng import Stream
from nemesis.fault import InstantFault, NotApplicable, Plan, Scene, World

ATTEMPT_S: Final = 1.0
ATTEMPTS: Final = 3  # the nemesis has other things to do


class PdTransfer(InstantFault):
    """PD gets another leader, and with it the TSO."""

    kind: ClassVar[str] = "pd-transfer"
    needs: ClassVar[tuple[str, ...]] = ("transfer_pd_leader",)

    def draw(self, stream: Stream, world: World) -> Plan:  # noqa: ARG002
        """Nothing to draw: PD chooses."""
        return {}

    async def strike(self, plan: Plan, scene: Scene) -> tuple[list[str], Evidence]:  # noqa: ARG002
        """Ask for it."""
        leader = scene.faults.pd_leader()
        if leader is None:
            raise NotApplicable("PD has no leader just now")
        return [leader], await scene.faults.transfer_pd_leader()


class LeaderTransfer(InstantFault):
    """The leadership of a region moves to another of its stores."""

    kind: ClassVar[str] = "leader-transfer"
    needs: ClassVar[tuple[str, ...]] = ("transfer_region_leader",)

    def draw(self, stream: Stream, world: World) -> Plan:
        """Draw the key whose region it is."""
        return {"key": stream.below(max(1, world.keys))}

    def most(self, world: World) -> int | None:
        """None without keys."""
        return None if world.keys else 0

    async def strike(self, plan: Plan, scene: Scene) -> tuple[list[str], Evidence]:
        """Ask for it; if it does not come about, ask for another region's."""
        keys = [*scene.keys[plan["key"] :], *scene.keys[: plan["key"]]]
        return await _first_that_moves(scene, keys, scene.faults.transfer_region_leader)


class Split(InstantFault):
    """A region becomes two, at a key where none begins yet."""

    kind: ClassVar[str] = "split"
    needs: ClassVar[tuple[str, ...]] = ("split_region",)

    def draw(self, stream: Stream, world: World) -> Plan:
        """Draw a key; the first one from there on that is no boundary by then will be taken."""
        return {"key": stream.choice([key for key in range(world.keys) if key not in world.boundaries])}

    def most(self, world: World) -> int | None:
        """As often as there are keys that are no boundaries yet."""
        return world.keys - len(world.boundaries)

    async def strike(self, plan: Plan, scene: Scene) -> tuple[list[str], Evidence]:
        """Ask for it."""
        count = len(scene.keys)
        numbers = [(plan["key"] + i) % count for i in range(count)]
        left = {scene.keys[number]: number for number in numbers if number not in scene.boundaries}
        if not left:
            raise NotApplicable("regions begin at all keys already")

        async def split(key: bytes) -> Evidence:
            evidence = await scene.faults.split_region(key)
            if evidence.verified:
                scene.boundaries.add(left[key])
            return evidence

        return await _first_that_moves(scene, list(left), split)


async def _first_that_moves(
    scene: Scene, keys: Sequence[bytes], act: Callable[[bytes], Awaitable[Evidence]]
) -> tuple[list[str], Evidence]:
    """Do it to the region of the first of these keys where it comes about; each leader is asked once.

    A leader may be cut off from its peers, or about to be deposed: the next one may not.
    """
    tried: dict[str, Evidence] = {}
    for key in keys:
        leader = scene.faults.region_leader(key)
        if leader is None or leader in tried:
            continue
        try:
            async with asyncio.timeout(ATTEMPT_S):
                tried[leader] = await act(key)
        except TimeoutError:
            tried[leader] = Evidence(verified=False, measured={"leader": leader, "timeout_s": ATTEMPT_S})
        if tried[leader].verified or len(tried) == ATTEMPTS:
            return [leader], tried[leader]
    if not tried:
        raise NotApplicable("no region has a leader just now")
    leader, evidence = next(reversed(tried.items()))
    return [leader], evidence
