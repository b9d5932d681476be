"""The client's routes stay a partition of (part of) the key space, whatever regions it is told of."""

from hypothesis import given
from hypothesis import strategies as st

from cluster.sim.region_cache import RegionCache
from cluster.sim.wire import Epoch, Region

BOUNDS = st.integers(0, 20)


def key(i):
    return b"" if i == 0 else b"%02d" % i


@st.composite
def regions(draw):
    start = draw(BOUNDS)
    end = draw(st.one_of(st.just(0), st.integers(start + 1, 22)))
    peers = ("kv1", "kv2", "kv3")
    return Region(draw(st.integers(1, 9)), key(start), key(end), Epoch(1, draw(st.integers(1, 5))), peers)


@given(st.lists(st.tuples(regions(), st.sampled_from(["kv1", "kv2", None])), min_size=1))
def test_the_last_region_heard_of_covers_its_keys_and_others_never_overlap(told):
    cache = RegionCache(None)
    covers = [None] * 23  # the region that was last told to hold a key, as long as none that overlapped came later
    for region, leader in told:
        route = cache.add(region, leader)
        assert route.leader in region.peers
        dropped = {id(covers[i]) for i in range(23) if region.contains(key(i))}
        covers = [None if other is not None and id(other) in dropped else other for other in covers]
        covers = [region if region.contains(key(i)) else other for i, other in enumerate(covers)]
    for i, region in enumerate(covers):
        found = cache._find(key(i))
        assert (found.region if found else None) == region


@given(st.lists(regions(), min_size=1))
def test_a_route_that_is_dropped_is_forgotten_and_nothing_else(told):
    cache = RegionCache(None)
    routes = [cache.add(region, None) for region in told]
    before = [cache._find(key(i)) for i in range(23)]
    cache.drop(routes[0])
    assert [cache._find(key(i)) for i in range(23)] == [None if route is routes[0] else route for route in before]


def test_after_a_failure_the_next_peer_is_tried_unless_pd_knows_of_another():
    cache = RegionCache(None)
    region = Region(1, b"", b"", Epoch(1, 1), ("kv1", "kv2", "kv3"))
    route = cache.add(region, "kv1")
    cache.suspect(route)
    route = cache.add(region, "kv1")
    assert route.leader == "kv2"
    cache.suspect(route)
    assert cache.add(region, "kv3").leader == "kv3"
    cache.suspect(cache.add(region, "kv3"))
    assert cache.add(region, None).leader == "kv1"
