"""Schedules: whatever the seed, they keep what the rest of the run relies on."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.clock import SECOND
from harness.rng import Streams
from nemesis.fault import LastingFault, World
from nemesis.registry import FAULTS
from nemesis.schedule import FLAP_NS, REST_NS, Schedule, draw_schedule

WORLD = World(("pd1", "pd2", "pd3"), ("kv1", "kv2", "kv3", "kv4", "kv5"), 8, (2, 4, 6))

seeds = st.integers(0, 2**32)
kind_sets = st.lists(st.sampled_from(list(FAULTS)), min_size=1, unique=True)
intervals = st.integers(SECOND // 2, 30 * SECOND)
limits = st.integers(10 * SECOND, 300 * SECOND)


def draw(seed: int, kinds: list[str], interval: int = 5 * SECOND, limit: int = 60 * SECOND) -> Schedule:
    return draw_schedule(kinds, WORLD, Streams(seed), interval_ns=interval, limit_ns=limit)


@settings(deadline=None)
@given(seeds, kind_sets, intervals, limits)
def test_faults_are_sorted_distinct_and_over_before_the_limit(seed, kinds, interval, limit):
    faults = draw(seed, kinds, interval, limit).faults
    assert [f.start for f in faults] == sorted(f.start for f in faults)
    assert len({f.id for f in faults}) == len(faults)
    for fault in faults:
        assert 0 <= fault.start <= fault.stop < limit
        assert (fault.duration > 0) == isinstance(FAULTS[fault.kind], LastingFault)


@settings(deadline=None)
@given(seeds, kind_sets, intervals, limits)
def test_every_kind_asked_for_comes(seed, kinds, interval, limit):
    assert {fault.kind for fault in draw(seed, kinds, interval, limit).faults} == set(kinds)


@settings(deadline=None)
@given(seeds, kind_sets, intervals, limits)
def test_faults_of_one_kind_do_not_overlap(seed, kinds, interval, limit):
    faults = draw(seed, kinds, interval, limit).faults
    for kind in kinds:
        mine = [fault for fault in faults if fault.kind == kind]
        if isinstance(FAULTS[kind], LastingFault):
            assert all(b.start >= a.stop + REST_NS for a, b in itertools.pairwise(mine))


@settings(deadline=None)
@given(seeds, kind_sets, kind_sets)
def test_plans_do_not_depend_on_the_other_kinds(seed, kinds, others):
    """The n-th fault of a kind is the same whatever comes beside it; only its time may differ."""
    for kind in set(kinds) & set(others):
        a, b = (
            [f.plan for f in draw(seed, group).faults if f.kind == kind and not {"beside", "again"} & set(f.plan)]
            for group in (kinds, others)
        )
        shorter = min(len(a), len(b))
        assert a[:shorter] == b[:shorter]


@settings(deadline=None)
@given(seeds, kind_sets, st.data())
def test_taking_one_away_leaves_the_rest(seed, kinds, data):
    schedule = draw(seed, kinds)
    gone = data.draw(st.sampled_from(schedule.faults))
    rest = schedule.without(gone.id)
    assert rest.faults == tuple(fault for fault in schedule.faults if fault is not gone)


@settings(deadline=None)
@given(seeds, kind_sets)
def test_the_order_in_which_kinds_are_asked_for_makes_no_difference(seed, kinds):
    assert draw(seed, kinds) == draw(seed, kinds[::-1])


@settings(deadline=None)
@given(seeds, kind_sets)
def test_a_schedule_is_plain_json(seed, kinds):
    schedule = draw(seed, kinds)
    assert msgspec.json.decode(msgspec.json.encode(schedule), type=Schedule) == schedule


def test_the_interval_is_kept_on_average():
    starts = [fault.start for fault in draw(3, ["split", "pd-transfer", "leader-transfer"], limit=1000 * SECOND).faults]
    assert 195 <= len(starts) <= 200


def test_splits_end_with_the_keys():
    kinds = [fault.kind for fault in draw(3, ["split"], limit=1000 * SECOND).faults]
    assert kinds == ["split"] * 5


def test_all_variants_are_drawn():
    """Over some seeds every way to choose targets and every shape turns up."""
    plans = [f.plan for seed in range(60) for f in draw(seed, ["partition", "kill", "pause", "clock-skew"]).faults]
    assert {plan["shape"] for plan in plans if "shape" in plan} == {
        "alone",
        "from-stores",
        "halves",
        "minority",
        "one-way",
        "ring",
        "bridge",
    }
    assert {"one", "minority", "majority", "all", "stores", "pd-leader", "region-leader", "isolated", "some"} <= {
        plan["on"] for plan in plans
    }
    assert any("period_ms" in plan for plan in plans)


@settings(deadline=None)
@given(seeds)
def test_what_all_stands_for_stays_within_the_assumptions(seed):
    kinds = [kind for kind, fault in FAULTS.items() if not fault.beyond_assumptions]
    for fault in draw(seed, kinds).faults:
        for ppm in fault.plan.get("ppm", []):
            assert 0 < abs(ppm) <= 20_000
        for offset in fault.plan.get("offsets_ms", []):
            assert 100 <= abs(offset) <= 300_000


DISRUPTIVE = ["partition", "kill", "pause"]


@settings(deadline=None)
@given(seeds)
def test_disruptive_faults_are_spread_and_most_are_recovered_from(seed):
    """From one seed all of it: later rounds wait for the cluster to be up again, but for some faults on purpose."""
    faults = [f for f in draw(seed, DISRUPTIVE, limit=1200 * SECOND).faults if "again" not in f.plan]
    first, rest = faults[:3], faults[3:]
    assert {fault.kind for fault in first} == set(DISRUPTIVE)
    overlapping = sum(b.start < a.stop for a, b in itertools.pairwise(rest))
    assert 0 < overlapping < len(rest) // 3


@settings(deadline=None)
@given(seeds, limits)
def test_a_partition_that_flaps_comes_back_as_it_was(seed, limit):
    faults = draw(seed, ["partition", "clock-skew", "kill"], limit=limit).faults
    partitions = [fault for fault in faults if fault.kind == "partition"]
    for before, flap in itertools.pairwise(partitions):
        if "again" in flap.plan:
            assert flap.plan == {**before.plan, "again": before.plan.get("again", 0) + 1}
            assert (flap.start - before.stop, flap.duration) == (FLAP_NS, before.duration)


def test_leaders_are_cut_off_for_longer_than_a_lock_lives_and_than_an_election_takes():
    faults = [fault for seed in range(60) for fault in draw(seed, ["partition"]).faults]
    cut_off = [f for f in faults if f.plan["on"] == "region-leader" and f.plan["shape"] in {"alone", "from-stores"}]
    assert len(cut_off) > len(faults) // 2
    longer = {seconds: sum(f.duration > seconds * SECOND for f in cut_off) for seconds in (3, 10, 16)}
    assert longer[3] > 0.85 * len(cut_off)
    assert len(cut_off) // 8 < longer[16] <= longer[10] < len(cut_off) // 2
    assert any("again" in fault.plan for fault in cut_off)


small_worlds = st.builds(
    lambda pds, stores, keys, aspects: World(
        tuple(f"pd{i + 1}" for i in range(pds)),
        tuple(f"kv{i + 1}" for i in range(stores)),
        keys,
        tuple(range(0, keys, 2)),
        tuple(sorted(aspects)),
    ),
    st.integers(1, 3),
    st.integers(1, 4),
    st.integers(0, 3),
    st.sets(st.sampled_from(["loss", "delay", "duplicate", "rate"]), min_size=1),
)


@settings(deadline=None)
@given(seeds, kind_sets, small_worlds)
def test_in_the_smallest_world_every_plan_has_somebody_to_hit(seed, kinds, world):
    schedule = draw_schedule(kinds, world, Streams(seed), interval_ns=2 * SECOND, limit_ns=60 * SECOND)
    for fault in schedule.faults:
        if "on" in fault.plan:
            assert fault.plan["nodes"]
            assert set(fault.plan["nodes"]) <= set(world.servers)
        assert fault.plan.get("key", 0) < max(1, world.keys)


@settings(deadline=None)
@given(seeds, st.sets(st.sampled_from(["loss", "delay", "duplicate", "reorder", "rate"]), min_size=1))
def test_the_network_is_made_worse_only_as_the_machine_can(seed, aspects):
    world = World(("pd1",), ("kv1", "kv2"), 0, (), tuple(sorted(aspects)))
    if aspects == {"reorder"}:
        return  # without a delay nothing is overtaken
    seen = set()
    for number in range(200):
        plan = FAULTS["network"].draw(Streams(seed)("test", number), world)
        values = {"loss": "loss_ppm", "delay": "delay_ms", "duplicate": "duplicate_ppm", "rate": "kbit"}
        values["reorder"] = "reorder_ppm"
        wrong = {aspect for aspect, name in values.items() if plan.get(name)}
        assert wrong
        assert wrong <= aspects
        assert "reorder" not in wrong or "delay" in wrong
        seen |= wrong
    assert seen == (aspects if "delay" in aspects else aspects - {"reorder"})


@pytest.mark.parametrize("limit", [8, 20, 60, 120, 300])
def test_a_script_is_kept_whatever_else_is_asked_for(limit):
    alone = draw(5, ["stale-lease"], limit=limit * SECOND)
    beside = draw(5, ["kill", "stale-lease", "partition", "split"], limit=limit * SECOND)
    assert [
        (f.start, f.duration, f.plan) for f in beside.faults if f.kind == "stale-lease"
    ] == [(f.start, f.duration, f.plan) for f in alone.faults]  # fmt: skip
    times = [(fault.start // SECOND, fault.stop // SECOND) for fault in alone.faults]
    assert (
        times
        == {
            8: [(2, 7)],
            20: [(5, 19)],
            60: [(10, 35)],
            120: [(10, 35), (55, 80)],
            300: [(10 + 45 * i, 35 + 45 * i) for i in range(6)],
        }[limit]
    )


@settings(deadline=None)
@given(seeds, st.sampled_from([30, 60, 120, 600]))
def test_a_rolling_restart_has_the_cluster_to_itself(seed, limit):
    """It comes once at least, last of its round; then nothing begins for as long as it takes."""
    kinds = ["rolling-restart", "partition", "kill", "pause", "split", "shuffle"]
    faults = draw(seed, kinds, limit=limit * SECOND).faults
    rolls = [fault for fault in faults if fault.kind == "rolling-restart"]
    assert len(rolls) > limit // 300
    assert {fault.kind for fault in faults if fault.start <= rolls[0].start} >= {*kinds}
    for roll in rolls:
        end = roll.start + 8 * SECOND * len(WORLD.servers)
        assert [f.kind for f in faults if roll.start < f.start < end and "again" not in f.plan] == []
    alone = [roll for roll in rolls if not any(f.start < roll.start < f.stop for f in faults)]
    assert len(alone) >= len(rolls) - 1  # the first may have no time to wait


def test_nothing_asked_for_is_nothing_drawn():
    assert draw(1, []).faults == ()


DRY_RUN = """\
   5.407 s                 pd-transfer
   8.618 s  for 1.000 s    kill             the leader of key 3's region (else kv5)
  13.347 s                 split            key 5
  22.079 s  for 1.000 s    network          kv3; loss_ppm 50000; delay_ms 0
  22.515 s  for 5.000 s    partition        the leader of key 0's region (else kv5); shape one-way; lost in
  25.003 s  for 2.512 s    clock-skew       the cut-off store, or the leader of key 0's region (else kv5); offsets_ms -30000; beside partition
  30.515 s  for 5.000 s    partition        the leader of key 0's region (else kv5); shape one-way; lost in; again 1
  31.942 s  for 20.000 s   clock-skew       pd2; offsets_ms 10000
  33.154 s  for 3.000 s    network          pd1; loss_ppm 20000; delay_ms 0
  38.077 s                 pd-transfer
  38.515 s  for 5.000 s    partition        the leader of key 0's region (else kv5); shape one-way; lost in; again 2
  47.171 s  for 12.827 s   partition        the leader of key 2's region (else kv1); shape alone
  49.545 s                 split            key 0
  52.633 s  for 4.000 s    network          the leader of key 1's region (else kv1); loss_ppm 50000; delay_ms 0
  52.942 s  for 7.056 s    clock-skew       the cut-off store, or the leader of key 2's region (else kv1); offsets_ms -120000; beside partition
  57.932 s                 split            key 1
"""  # noqa: E501


def test_the_dry_run_of_a_seed_stays_as_it_is():
    """Whoever kept a seed relies on it: a change of this text is a change of every schedule."""
    kinds = ["partition", "clock-skew", "split", "network", "kill", "pd-transfer"]
    assert draw(10, kinds).describe() == DRY_RUN.strip("\n")


@pytest.mark.parametrize("kind", FAULTS)
def test_every_kind_can_be_described(kind):
    for seed in range(20):
        lines = draw(seed, [kind]).describe().splitlines()
        assert lines
        assert all(kind in line for line in lines)
