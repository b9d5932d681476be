"""What an operator or PD's schedulers do: leaders and replicas that move, regions that split and merge."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar, Final

from cluster.api import Evidence, Faults
from harness.rng import Stream
from nemesis.effect import Shuffling
from nemesis.fault import Injection, InstantFault, LastingFault, NotApplicable, Plan, Scene, World

ATTEMPT_S: Final = 1.0
MOVE_S: Final = 2.5  # where data moves
REPLICAS: Final = 3  # of a region, unless PD was told otherwise
ATTEMPTS: Final = 3  # the nemesis has other things to do
SHUFFLED = ("leader", "region", "hot-region")


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


class _OfARegion(InstantFault):
    """Something is done to the region of a key, and if it does not come about, to another's.

    Attributes:
        attempt_s: how long one may take.
    """

    attempt_s: ClassVar[float] = ATTEMPT_S

    def draw(self, stream: Stream, world: World) -> Plan:
        """Draw the key whose region it is."""
        return {"key": stream.below(max(1, world.keys))}

    def most(self, world: World) -> int | None:
        """None without keys."""
        return None if world.keys else 0

    def budget_s(self, world: World) -> float:
        """For all attempts."""
        return max(super().budget_s(world), ATTEMPTS * self.attempt_s)

    async def strike(self, plan: Plan, scene: Scene) -> tuple[list[str], Evidence]:
        """Ask for it; if it does not come about, ask for another region's."""
        keys = [*scene.keys[plan["key"] :], *scene.keys[: plan["key"]]]  # all, from the one that was drawn
        return await _first_that_moves(scene, keys, lambda key: self.ask(scene.faults, key), self.attempt_s)

    @abstractmethod
    async def ask(self, faults: Faults, key: bytes) -> Evidence:
        """Ask for it, of the region of one key."""


class LeaderTransfer(_OfARegion):
    """The leadership of a region moves to another of its stores."""

    kind: ClassVar[str] = "leader-transfer"
    needs: ClassVar[tuple[str, ...]] = ("transfer_region_leader",)

    async def ask(self, faults: Faults, key: bytes) -> Evidence:
        """Ask for it."""
        return await faults.transfer_region_leader(key)


class RegionTransfer(_OfARegion):
    """A replica of a region moves to a store that had none."""

    kind: ClassVar[str] = "region-transfer"
    needs: ClassVar[tuple[str, ...]] = ("transfer_region",)
    attempt_s: ClassVar[float] = MOVE_S  # it is copied

    def most(self, world: World) -> int | None:
        """None where every store has a replica of everything."""
        return super().most(world) if len(world.stores) > REPLICAS else 0

    async def ask(self, faults: Faults, key: bytes) -> Evidence:
        """Ask for it."""
        return await faults.transfer_region(key)


class Merge(_OfARegion):
    """Two neighbouring regions become one."""

    kind: ClassVar[str] = "merge"
    needs: ClassVar[tuple[str, ...]] = ("merge_region",)
    attempt_s: ClassVar[float] = MOVE_S  # PD first brings the replicas of both to the same stores

    async def ask(self, faults: Faults, key: bytes) -> Evidence:
        """Ask for it."""
        return await faults.merge_region(key)


class Shuffle(LastingFault):
    """PD moves leaders, replicas or busy regions about all the time."""

    kind: ClassVar[str] = "shuffle"
    needs: ClassVar[tuple[str, ...]] = ("shuffle",)

    def draw(self, stream: Stream, world: World) -> Plan:  # noqa: ARG002
        """Draw what is moved."""
        return {"what": stream.choice(SHUFFLED)}

    def durations(self, plan: Plan) -> tuple[int, int, int]:  # noqa: ARG002
        """PD's schedulers take their time."""
        return (0, 30, 70)

    def inject(self, plan: Plan, scene: Scene) -> Injection:  # noqa: ARG002
        """Let it begin."""
        return Injection([], [Shuffling(plan["what"])])


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
    scene: Scene, keys: Sequence[bytes], act: Callable[[bytes], Awaitable[Evidence]], attempt_s: float = ATTEMPT_S
) -> tuple[list[str], Evidence]:
    """Do it to the region of the first of these keys where it comes about; each leader is asked once.

    A leader may be cut off from its peers, or about to be deposed: the next one may not.
    """
    tried: dict[str, Evidence] = {}
    limit = attempt_s * scene.patience
    for key in keys:
        leader = scene.faults.region_leader(key)
        if leader is None or leader in tried:
            continue
        try:
            async with asyncio.timeout(limit):
                tried[leader] = await act(key)
        except TimeoutError:
            tried[leader] = Evidence(verified=False, measured={"leader": leader, "timeout_s": limit})
        except Exception as error:  # noqa: BLE001 (PD refuses, say because the region is moving already)
            tried[leader] = Evidence(verified=False, measured={"leader": leader, "error": str(error)})
        if tried[leader].verified or len(tried) == ATTEMPTS:
            return [leader], tried[leader]
    if not tried:
        raise NotApplicable("no region has a leader just now")
    leader, evidence = next(reversed(tried.items()))
    return [leader], evidence
