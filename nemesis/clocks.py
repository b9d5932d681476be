"""Wall clocks that jump, clocks that run fast or slow, and beyond what TiKV assumes: monotonic clocks that step.

TiKV's leases are safe under any wall clock, and as long as monotonic clocks do not step and err by at most 2 %
(lease 9 s, election 10 s).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from cluster.api import Cut
from harness.clock import MILLISECOND
from harness.rng import Stream
from nemesis.effect import Drifting, Severed, Skewed, Stepped
from nemesis.fault import LONG_MS, Injection, LastingFault, Plan, Scene, World
from nemesis.targets import (
    ALL,
    ISOLATED,
    ONE,
    PD_LEADER,
    PDS,
    REGION_LEADER,
    SOME,
    Weights,
    draw_targets,
    find_targets,
    with_clocks,
)

# The members of PD, each off by another amount: that is what its saved window is for.
SKEWED: Weights = ((ONE, 2), (SOME, 2), (ALL, 2), (PDS, 4), (PD_LEADER, 2), (REGION_LEADER, 2), (ISOLATED, 4))
DRIFTING: Weights = ((ONE, 2), (SOME, 3), (ALL, 1), (PD_LEADER, 1), (REGION_LEADER, 2))

OFFSETS_MS = (100, 250, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 20_000, 30_000, 60_000, 120_000, 300_000)
# The TSO follows a PD leader's clock ahead, however far, and then stands still until true time has caught up: PD never
# lets it fall back (pd/pkg/tso/tso.go: UpdateTimestamp). As long as it stands, no lock expires. Five minutes of that
# would test nothing but patience; and newer TiKVs end themselves when a timestamp is more than a minute above the TSO
# that they fetched last (``storage.max-ts.max-drift``).
PD_AHEAD_MS = 10_000
PERIODS_MS = (50, 100, 200, 500, 1_000, 2_000)
RATES_PPM = (500, 2_000, 5_000, 10_000, 20_000)
STEPS_BACK_MS = (20_000, 30_000, 45_000, 60_000)


class ClockSkew(LastingFault):
    """Wall clocks jump: once (a bump), or forth and back all the time (a strobe)."""

    kind: ClassVar[str] = "clock-skew"
    needs: ClassVar[tuple[str, ...]] = ("skew",)

    def draw(self, stream: Stream, world: World) -> Plan:
        """Draw whom, and for each node how far; a period makes it a strobe."""
        targets = draw_targets(stream, world, SKEWED)
        offsets = [_draw_offset_ms(stream, node in world.pds) for node in targets["nodes"]]
        plan: Plan = {**targets, "offsets_ms": offsets}
        if stream.chance(1, 3):
            plan["period_ms"] = stream.choice(PERIODS_MS)
        return plan

    def draw_beside_partition(self, stream: Stream, partition: Plan) -> Plan:
        """Draw one for the region leader that a partition cuts off: back, by more than a lease may forgive."""
        targets = {"on": ISOLATED, "nodes": partition["nodes"], "key": partition["key"]}
        return {**targets, "offsets_ms": [-stream.choice(OFFSETS_MS[-6:])], "beside": "partition"}

    def inject(self, plan: Plan, scene: Scene) -> Injection:
        """Set the clocks."""
        targets = find_targets(plan, scene)
        period = plan.get("period_ms", 0) * MILLISECOND
        pairs = _for_each(with_clocks(targets, scene), targets, plan["offsets_ms"])
        offsets = {node: _bearable_ms(offset, node in scene.world.pds) for node, offset in pairs.items()}
        return Injection(list(offsets), [Skewed(node, ms * MILLISECOND, period) for node, ms in offsets.items()])


def _for_each(able: Sequence[str], targets: Sequence[str], values: Sequence[int]) -> dict[str, int]:
    """What was drawn for each of the targets; for one that takes their place, what was drawn for the first."""
    drawn = dict(zip(targets, values, strict=True))
    return {node: drawn.get(node, values[0]) for node in able}


def _draw_offset_ms(stream: Stream, on_pd: bool) -> int:
    offset = stream.choice(OFFSETS_MS)
    if stream.chance(1, 2):
        return -offset
    return _bearable_ms(offset, on_pd)


def _bearable_ms(offset: int, on_pd: bool) -> int:
    return min(offset, PD_AHEAD_MS) if on_pd else offset


class ClockDrift(LastingFault):
    """Clocks, wall and monotonic alike, run fast or slow by up to 2 %."""

    kind: ClassVar[str] = "clock-drift"
    needs: ClassVar[tuple[str, ...]] = ("drift",)

    def durations(self, plan: Plan) -> tuple[int, int, int]:  # noqa: ARG002
        """It takes its time until rates show."""
        return (30, 30, 40)

    def draw(self, stream: Stream, world: World) -> Plan:
        """Draw whom, and for each node its rate."""
        targets = draw_targets(stream, world, DRIFTING)
        rates = [stream.choice(RATES_PPM) * stream.choice((1, -1)) for _ in targets["nodes"]]
        return {**targets, "ppm": rates}

    def inject(self, plan: Plan, scene: Scene) -> Injection:
        """Set the rates."""
        targets = find_targets(plan, scene)
        rates = _for_each(with_clocks(targets, scene), targets, plan["ppm"])
        return Injection(list(rates), [Drifting(node, ppm) for node, ppm in rates.items()])


class ClockStep(LastingFault):
    """The monotonic clock of a region's leader steps back while it is cut off from all servers, not from clients.

    Its lease then seems good for long after others have elected a new leader: a sound TiKV serves stale reads.
    """

    kind: ClassVar[str] = "clock-step"
    needs: ClassVar[tuple[str, ...]] = ("step_monotonic", "partition")
    beyond_assumptions: ClassVar[bool] = True
    recovery_ms: ClassVar[tuple[int, ...]] = (2_000, 4_000, 8_000)

    def draw(self, stream: Stream, world: World) -> Plan:
        """Draw the region, and how far back."""
        targets = draw_targets(stream, world, ((REGION_LEADER, 1),))
        return {**targets, "back_ms": stream.choice(STEPS_BACK_MS)}

    def draw_duration_ns(self, stream: Stream, plan: Plan) -> int:  # noqa: ARG002
        """Draw how long: past any election."""
        return stream.choice(LONG_MS) * MILLISECOND

    def inject(self, plan: Plan, scene: Scene) -> Injection:
        """Step the clock and cut the links."""
        targets = with_clocks(find_targets(plan, scene), scene)
        rest = [node for node in scene.world.servers if node not in targets]
        steps = [Stepped(node, -plan["back_ms"] * MILLISECOND) for node in targets]
        return Injection(targets, [*steps, Severed(Cut.between(targets, rest))])
