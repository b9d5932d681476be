"""The routing table: the newest wins, whatever the order in which heartbeats arrive."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.sim.pd_regions import RegionTable
from cluster.sim.wire import Epoch, Region
from cluster.sim.wire_pd import RegionInfo

PEERS = ("kv1", "kv2", "kv3")


def region(id_: int, start: bytes, end: bytes, version: int) -> Region:
    return Region(id_, start, end, Epoch(1, version), PEERS)


def history(cuts: list[int]) -> list[list[Region]]:
    """The regions after each split of the whole range, at these bytes."""
    stages = [[region(1, b"", b"", 1)]]
    for n, cut in enumerate(cuts):
        key = bytes([cut])
        after = []
        for old in stages[-1]:
            if old.contains(key) and key != old.start:
                version = old.epoch.version + 1
                after += [region(old.id, old.start, key, version), region(n + 2, key, old.end, version)]
            else:
                after.append(old)
        stages.append(after)
    return stages


@settings(deadline=None, derandomize=True)
@given(st.lists(st.integers(1, 250), max_size=6, unique=True), st.randoms(use_true_random=False))
def test_late_heartbeats_of_any_stage_never_replace_the_newest(cuts: list[int], random: object) -> None:
    stages = history(cuts)
    newest = stages[-1]
    older = [r for stage in stages for r in stage]
    random.shuffle(older)  # type: ignore[attr-defined]
    table = RegionTable(stages[0])
    for r in older[: len(older) // 2]:
        table.heartbeat(r, "kv2", 5)
    for r in newest:
        assert table.heartbeat(r, "kv1", 6)
    for r in older:  # late ones: from before a split in the same term, or from a leader of an earlier term
        table.heartbeat(r, "kv3", 5 if r in newest else 6)
    for key in [b"", *(bytes([n, m]) for n in range(251) for m in (0, 255))]:
        found = table.find(key)
        assert found.region in newest
        assert found.region.contains(key)
        assert found.leader == "kv1"


def test_a_newer_term_changes_the_leader_and_an_older_one_does_not() -> None:
    whole = region(1, b"", b"", 1)
    table = RegionTable([whole])
    assert table.find(b"x") == RegionInfo(whole, None)
    assert table.heartbeat(whole, "kv2", 7)
    assert not table.heartbeat(whole, "kv1", 6)
    assert table.find(b"x") == RegionInfo(whole, "kv2")
    assert table.heartbeat(whole, "kv3", 8)
    assert table.find(b"x").leader == "kv3"


def test_where_nothing_is_known_the_answer_says_so() -> None:
    table = RegionTable([region(1, b"", b"", 1)])
    right = region(2, b"m", b"", 2)
    assert table.heartbeat(right, "kv1", 6)
    assert table.find(b"a") == RegionInfo(None, None)
    assert table.find(b"m").region == right
    assert RegionTable([]).find(b"") == RegionInfo(None, None)
