"""Partitions: what each shape cuts, and what it must leave."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.api import Cut
from harness.rng import Stream
from nemesis.fault import World
from nemesis.partition import Partition, cut_of

worlds = st.integers(3, 9).map(lambda n: World(("pd1", "pd2", "pd3"), tuple(f"kv{i + 1}" for i in range(n)), 8))
any_worlds = st.builds(
    lambda pds, stores: World(
        tuple(f"pd{i + 1}" for i in range(pds)), tuple(f"kv{i + 1}" for i in range(stores)), keys=8
    ),
    st.integers(1, 5),
    st.integers(1, 6),
)
seeds = st.integers(0, 2**32)


def draw(seed: int, world: World) -> tuple[dict, Cut]:
    plan = Partition().draw(Stream(seed), world)
    return plan, cut_of(plan, plan["nodes"], world)


def sees(cut: Cut, world: World, node: str) -> set[str]:
    """Whom ``node`` can talk with, both ways, itself included."""
    links = set(cut.links)
    return {other for other in world.servers if (node, other) not in links and (other, node) not in links}


@settings(deadline=None)
@given(seeds, any_worlds)
def test_only_links_between_servers_are_cut_and_always_some(seed, world):
    _, cut = draw(seed, world)
    assert cut.links
    assert len(set(cut.links)) == len(cut.links)
    assert all(a != b and a in world.servers and b in world.servers for a, b in cut.links)


@settings(deadline=None)
@given(seeds, worlds)
def test_shapes(seed, world):
    plan, cut = draw(seed, world)
    links, nodes, shape = set(cut.links), plan["nodes"], plan["shape"]
    mutual = {(b, a) for a, b in links} == links
    assert mutual == (shape != "one-way")
    if shape in {"alone", "from-stores", "one-way"}:
        (node,) = nodes
        assert all(node in link for link in links)
        reached = {"alone": {node}, "from-stores": {node, *world.pds}}.get(shape)
        assert reached is None or sees(cut, world, node) == reached
    elif shape in {"halves", "minority"}:
        assert all(sees(cut, world, node) == set(nodes) for node in nodes)
    elif shape == "ring":
        views = [frozenset(sees(cut, world, node)) for node in world.servers]
        assert all(2 * len(view) > len(world.servers) for view in views)
        assert len(set(views)) == len(views)
    else:
        bridges = [node for node in world.servers if sees(cut, world, node) == set(world.servers)]
        assert len(bridges) == 1


@settings(deadline=None)
@given(seeds, worlds)
def test_a_minority_has_no_quorum_of_anything(seed, world):
    plan, _ = draw(seed, world)
    if plan["shape"] == "minority":
        assert 2 * sum(node in world.stores for node in plan["nodes"]) < len(world.stores)
        assert 2 * sum(node in world.pds for node in plan["nodes"]) < len(world.pds)
