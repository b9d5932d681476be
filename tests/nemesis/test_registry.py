"""Names of faults, and what a cluster lacks."""

from __future__ import annotations

import pytest

from cluster.api import ASPECTS, KILL_CLIENT, Capability, Faults
from cluster.external import ExternalCluster
from cluster.sim.cluster import SimCluster
from harness.exit_codes import EnvironmentFailure, UsageError
from harness.rng import Streams
from nemesis.registry import FAULTS, NEMESES, beyond_assumptions, expand, select

METHODS = sorted({method for fault in FAULTS.values() for method in fault.needs} - {KILL_CLIENT})
EVERYTHING = dict.fromkeys([*METHODS, *ASPECTS, KILL_CLIENT], Capability(available=True))
SIMULATED = SimCluster(Streams(1)).capabilities()


def without(*methods: str) -> dict[str, Capability]:
    return EVERYTHING | {method: Capability(available=False, reason=f"no {method} here") for method in methods}


def test_all_is_everything_within_the_assumptions():
    beyond = {"clock-beyond", "stale-lease"}
    assert expand(["all"], EVERYTHING) == tuple(name for name in NEMESES if name not in beyond)
    assert expand(["clock-beyond", "all", "stale-lease"], EVERYTHING) == tuple(NEMESES)


def test_on_the_simulated_cluster_all_is_what_is_modelled():
    assert expand(["all"], SIMULATED) == ("partition", "kill", "pause", "clock", "network", "pd", "schedule")
    assert select(["all"], SIMULATED).kinds == (
        "partition",
        "kill",
        "pause",
        "clock-skew",
        "clock-drift",
        "network",
        "pd-transfer",
        "leader-transfer",
        "split",
    )


def test_on_a_cluster_of_somebody_else_all_is_what_is_done_to_ourselves():
    assert expand(["all"], ExternalCluster("pd://127.0.0.1:2379").capabilities()) == ("client-kill",)


def test_where_nothing_can_be_had_all_is_an_error_and_nothing_is_no_news():
    nothing = dict.fromkeys(EVERYTHING, Capability(available=False, reason="it is not ours"))
    with pytest.raises(EnvironmentFailure, match=r"^no fault can be had here: it is not ours$"):
        expand(["all"], nothing)
    assert select([], nothing).left_out() == ""


def test_the_order_and_repetition_of_names_make_no_difference():
    assert expand(["pause", "kill", "kill"], {}) == expand(["kill", "pause"], {})


def test_an_unknown_name_is_told_with_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'partition'"):
        expand(["partitions"], EVERYTHING)


def test_all_skips_what_cannot_be_had_and_says_so():
    capabilities = without("skew", "drift", "pause", "shuffle")
    selection = select(["all"], capabilities)
    assert set(expand(["all"], EVERYTHING)) - set(selection.names) == {"clock", "pause"}
    assert selection.skipped == {
        "pause": "no pause here",
        "clock-skew": "no skew here",
        "clock-drift": "no drift here",
        "shuffle": "no shuffle here",
    }
    assert select(expand(["all"], capabilities), capabilities) == selection


def test_what_is_left_out_is_told_in_one_line_with_each_reason_once():
    reason = "tc says 'Specified qdisc kind is unknown'"
    capabilities = EVERYTHING | dict.fromkeys(["delay", "reorder"], Capability(available=False, reason=reason))
    capabilities["pause"] = Capability(available=False, reason="no freezer")
    selection = select(["all"], capabilities)
    assert selection.aspects == ("loss", "duplicate", "rate")
    assert selection.left_out() == f"pause (no freezer); network by delay, network by reorder ({reason})"
    assert select(["kill"], capabilities).left_out() == ""
    assert select(["kill", "network"], capabilities).left_out() == f"network by delay, network by reorder ({reason})"


def test_a_network_that_cannot_be_made_worse_in_any_way_cannot_be_had():
    with pytest.raises(EnvironmentFailure, match="'network' cannot be had here: no loss here"):
        select(["network"], without(*ASPECTS))


def test_half_of_a_name_is_better_than_nothing():
    selection = select(["clock"], without("drift"))
    assert selection.kinds == ("clock-skew",)
    assert selection.skipped == {"clock-drift": "no drift here"}


def test_what_was_asked_for_by_name_must_be_possible():
    with pytest.raises(EnvironmentFailure, match="'pause' cannot be had here: no pause here"):
        select(["kill", "pause"], without("pause"))
    with pytest.raises(EnvironmentFailure, match="offers no kill"):
        select(["kill"], {})


def test_every_kind_belongs_to_one_name_and_needs_methods_that_there_are():
    assert sorted(kind for nemesis in NEMESES.values() for kind in nemesis.kinds) == sorted(FAULTS)
    assert all(hasattr(Faults, method) for method in METHODS)


def test_only_monotonic_steps_go_beyond():
    assert [kind for kind in FAULTS if beyond_assumptions(kind)] == ["clock-step", "stale-lease"]
    assert not beyond_assumptions("heal-all")
