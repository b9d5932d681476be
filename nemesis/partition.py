"""Partitions: which servers cannot hear which. Clients reach every server at all times.

That clients still reach a server that has lost its peers is what makes a deposed leader dangerous.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from cluster.api import Cut
from harness.clock import MILLISECOND
from harness.rng import Stream
from nemesis.effect import Severed
from nemesis.fault import MIDDLE_MS, Injection, LastingFault, Plan, Scene, World
from nemesis.targets import ONE, PD_LEADER, REGION_LEADER, Weights, draw_targets, draw_weighted, find_targets

# Who is cut off from whom, and how often of 20 draws.
SHAPES: Weights = (
    ("alone", 9),  # one node from all servers: any, the PD leader, a region's leader
    ("from-stores", 4),  # a region's leader from the other stores, while PD still hears of it
    ("halves", 2),
    ("minority", 1),  # a minority of the stores and one PD member
    ("one-way", 2),  # messages flow in one direction only
    ("ring", 1),  # every server sees a majority, no two the same
    ("bridge", 1),  # two halves, and one server that sees both
)
ALONE: Weights = ((ONE, 1), (PD_LEADER, 2), (REGION_LEADER, 7))


class Partition(LastingFault):
    """Links between servers are cut."""

    kind: ClassVar[str] = "partition"
    needs: ClassVar[tuple[str, ...]] = ("partition",)
    recovery_ms: ClassVar[tuple[int, ...]] = (1_000, 2_000, 4_000, 8_000)

    def draw(self, stream: Stream, world: World) -> Plan:
        """Draw a shape and the nodes on one side of it."""
        shape = draw_weighted(stream, SHAPES)
        if not _fits(shape, world):
            shape = "alone"
        if shape == "alone":
            return {"shape": shape, **draw_targets(stream, world, ALONE)}
        if shape == "from-stores":
            return {"shape": shape, **draw_targets(stream, world, ((REGION_LEADER, 1),))}
        if shape == "one-way":
            direction = stream.choice(("in", "out"))
            return {"shape": shape, "lost": direction, **draw_targets(stream, world, ((ONE, 1), (REGION_LEADER, 1)))}
        return {"shape": shape, "on": shape, "nodes": _draw_side(stream, world, shape)}

    def durations(self, plan: Plan) -> tuple[int, int, int]:
        """A leader cut off matters once its transactions' locks expire, and once another is elected: PD's after 6 s."""
        if plan["on"] == REGION_LEADER and plan["shape"] != "one-way":
            return (5, 45, 50)
        return (20, 70, 10) if plan["on"] == PD_LEADER else (45, 40, 15)

    def draw_flaps(self, stream: Stream, plan: Plan, duration_ns: int) -> int:
        """Draw how often it comes back a moment after it has healed: links seldom fail once and for all."""
        cuts_off_leader = plan["on"] == REGION_LEADER and duration_ns <= MIDDLE_MS[-1] * MILLISECOND
        return stream.choice((1, 2, 3)) if cuts_off_leader else 0

    def inject(self, plan: Plan, scene: Scene) -> Injection:
        """Cut the links."""
        targets = find_targets(plan, scene)
        return Injection(targets, [Severed(cut_of(plan, targets, scene.world))])


def _fits(shape: str, world: World) -> bool:
    """Whether this shape cuts any link: of few servers it may not."""
    if shape == "from-stores":
        return len(world.stores) > 1
    return len(world.servers) >= {"ring": 4, "bridge": 3}.get(shape, 2)


def _draw_side(stream: Stream, world: World, shape: str) -> list[str]:
    if shape == "minority":
        return sorted([*stream.sample(world.stores, (len(world.stores) - 1) // 2), stream.choice(world.pds)])
    order = stream.shuffle(world.servers)
    if shape == "halves":
        return sorted(order[: len(order) // 2])
    return order


def cut_of(plan: Plan, targets: Sequence[str], world: World) -> Cut:
    """The links that a partition of this shape around ``targets`` cuts."""
    rest = [node for node in world.servers if node not in targets]
    shape = plan["shape"]
    if shape == "from-stores":
        return Cut.between(targets, [node for node in rest if node in world.stores])
    if shape == "one-way":
        return Cut.one_way(rest, targets) if plan["lost"] == "in" else Cut.one_way(targets, rest)
    if shape == "ring":
        return _ring(targets)
    if shape == "bridge":
        middle = len(targets) // 2
        return Cut.between(targets[:middle], targets[middle + 1 :])
    return Cut.between(targets, rest)


def _ring(order: Sequence[str]) -> Cut:
    """Leave each node connected to the nearest nodes on both sides, just enough for a majority (Jepsen's)."""
    count = len(order)
    reach = -(-(count // 2) // 2)
    pairs = [
        (order[a], order[b])
        for a in range(count)
        for b in range(count)
        if min((a - b) % count, (b - a) % count) > reach
    ]
    return Cut(tuple(pairs))
