"""Names of faults, and what a cluster lacks."""

from __future__ import annotations

import pytest

from cluster.api import Capability, Faults
from harness.exit_codes import EnvironmentFailure, UsageError
from nemesis.registry import FAULTS, NEMESES, beyond_assumptions, expand, select

METHODS = sorted({method for fault in FAULTS.values() for method in fault.needs})
EVERYTHING = dict.fromkeys(METHODS, Capability(available=True))


def without(*methods: str) -> dict[str, Capability]:
    return EVERYTHING | {method: Capability(available=False, reason=f"no {method} here") for method in methods}


def test_all_is_everything_within_the_assumptions():
    assert expand(["all"]) == ("partition", "kill", "pause", "clock", "network", "pd", "schedule")
    assert expand(["clock-beyond", "all"]) == tuple(NEMESES)


def test_the_order_and_repetition_of_names_make_no_difference():
    assert expand(["pause", "kill", "kill"]) == expand(["kill", "pause"])


def test_an_unknown_name_is_told_with_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'partition'"):
        expand(["partitions"])


def test_all_skips_what_cannot_be_had_and_says_so():
    selection = select(["all"], without("skew", "drift", "pause"))
    assert selection.names == ("partition", "kill", "network", "pd", "schedule")
    assert selection.skipped == {
        "pause": "no pause here",
        "clock-skew": "no skew here",
        "clock-drift": "no drift here",
    }


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
    assert [kind for kind in FAULTS if beyond_assumptions(kind)] == ["clock-step"]
    assert not beyond_assumptions("heal-all")
