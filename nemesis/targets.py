"""Whom a fault hits: drawn before the run by role or by name, found out when the time comes.

In a plan ``on`` says how the targets are chosen and ``nodes`` names nodes that were drawn. Where ``on`` is a role, they
stand in for its holder in case nobody knows it at that moment.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.rng import Stream
from nemesis.fault import NotApplicable, Plan, Scene, World

ONE = "one"
SOME = "some"
MINORITY = "minority"
MAJORITY = "majority"
STORES = "stores"
PDS = "pds"
ALL = "all"
PD_LEADER = "pd-leader"
REGION_LEADER = "region-leader"
ISOLATED = "isolated"  # a store that a partition has cut off just now; else a region's leader

Weights = tuple[tuple[str, int], ...]


def draw_weighted(stream: Stream, weights: Weights) -> str:
    """Draw one of the words, each with its weight."""
    at = stream.below(sum(weight for _, weight in weights))
    for word, weight in weights:
        at -= weight
        if at < 0:
            return word
    raise AssertionError("the weights add up")


def draw_targets(stream: Stream, world: World, weights: Weights) -> Plan:
    """Draw whom to hit: ``on`` and ``nodes``, and ``key`` where a region is meant."""
    on = draw_weighted(stream, weights)
    if on in {REGION_LEADER, ISOLATED} and not world.keys:
        on = ONE
    plan: Plan = {"on": on, "nodes": _draw_nodes(stream, world, on)}
    if on in {REGION_LEADER, ISOLATED}:
        plan["key"] = stream.below(world.keys)
    return plan


def _draw_nodes(stream: Stream, world: World, on: str) -> list[str]:
    whole = {STORES: world.stores, PDS: world.pds, ALL: world.servers}
    if on in whole:
        return list(whole[on])
    if on == SOME:
        return sorted(stream.sample(world.servers, stream.between(2, len(world.servers))))
    if on in {MINORITY, MAJORITY}:
        stores = len(world.stores)
        count = max(1, (stores - 1) // 2) if on == MINORITY else stores // 2 + 1
        return sorted(stream.sample(world.stores, count))
    single = {ONE: world.servers, PD_LEADER: world.pds}
    return [stream.choice(single.get(on, world.stores))]


def find_targets(plan: Plan, scene: Scene) -> list[str]:
    """The nodes that the plan means at this moment; never none."""
    leader: str | None = None
    if plan["on"] == PD_LEADER:
        leader = scene.faults.pd_leader()
    elif plan["on"] == ISOLATED and scene.isolated:
        leader = scene.isolated[0]
    elif plan["on"] in {REGION_LEADER, ISOLATED}:
        leader = scene.faults.region_leader(scene.keys[plan["key"]])
    return [leader] if leader is not None else list(plan["nodes"])


def with_clocks(targets: Sequence[str], scene: Scene) -> list[str]:
    """Those whose clocks can be set now: where clocks belong to processes, these must run, or others are taken.

    Raises:
        NotApplicable: none runs.
    """
    if not scene.faults.restart_resets_clocks:
        return list(targets)
    return spare(targets, list(scene.down), scene.world)


def spare(targets: Sequence[str], unfit: Sequence[str], world: World) -> list[str]:
    """Leave out those that are ``unfit``; if that leaves none, take another node, of the same role if there is one.

    Raises:
        NotApplicable: every node is unfit.
    """
    fit = [node for node in targets if node not in unfit]
    if fit:
        return fit
    group = world.pds if targets[0] in world.pds else world.stores
    others = world.stores if group is world.pds else world.pds
    at = group.index(targets[0])
    for node in (*group[at:], *group[:at], *others):
        if node not in unfit:
            return [node]
    raise NotApplicable("every node is down already")


def words(plan: Plan) -> str:
    """The targets of a plan, for a person."""
    named = ", ".join(plan["nodes"])
    if plan["on"] == PD_LEADER:
        return f"the PD leader (else {named})"
    if plan["on"] == REGION_LEADER:
        return f"the leader of key {plan['key']}'s region (else {named})"
    if plan["on"] == ISOLATED:
        return f"the cut-off store, or the leader of key {plan['key']}'s region (else {named})"
    return named if plan["on"] == ONE else f"{plan['on']}: {named}"
