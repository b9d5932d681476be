"""Every planted bug is caught and named, and the same seeds without it are valid.

The checkers can fail, and only then do.

What must be named is fixed in ``cluster.sim.bugs``. The seeds are a few consecutive ones of those measured for
docs/bugs.md, with the options that ``quorumquake run bank --bug NAME --seed N`` has by itself.
"""

import pytest

from cluster.sim.bugs import BUGS
from nemesis import stale_lease

SEEDS = {
    "skip-write-conflict": (1, 2),
    "drop-secondary": (1, 2),
    "wall-clock-lease": (2, 3, 4),
    "tso-fallback": (9, 10, 11),
    "unsynced-log": (5, 6, 7),
    "minority-leader": (1, 2, 3),
    "read-skips-lock": (1, 2),
    "rollback-ignored": (6, 7, 8),
}


def names_of(results):
    return {anomaly.name for anomaly in results.anomalies()}


def test_every_bug_has_its_seeds():
    assert SEEDS.keys() == BUGS.keys()


@pytest.mark.parametrize("bug", BUGS)
def test_it_is_caught_and_named_within_a_few_seeds(judged, bug):
    found = {seed: judged(bug=bug, seed=seed)[0] for seed in SEEDS[bug]}
    assert any(
        results.valid is False and results.exit_code == 1 and names_of(results) & set(BUGS[bug].expects)
        for results in found.values()
    ), {seed: names_of(results) for seed, results in found.items()}


# Bugs that need the same faults share seeds: their sound runs are the same ones.
SOUND = sorted({(BUGS[bug].needs, seed) for bug, seeds in SEEDS.items() for seed in seeds})


@pytest.mark.parametrize(("faults", "seed"), SOUND)
def test_the_same_seeds_and_faults_without_it_are_valid(judged, faults, seed):
    results, _ = judged(nemesis=list(faults) or "none", seed=seed)
    assert results.valid is True, [anomaly.explanation for anomaly in results.anomalies()]
    assert not results.exceeds_assumptions


def test_the_scenario_shows_a_stale_read_and_that_it_exceeds_the_assumptions(judged):
    found = [judged(nemesis="stale-lease", seed=seed, time_limit=40)[0] for seed in (3, 7)]
    assert all(results.exceeds_assumptions for results in found)
    shown = [results for results in found if results.valid is False]
    assert shown
    for results in shown:
        assert results.exit_code == 1
        assert names_of(results) & {"stale-read", "G-single", "G-nonadjacent"}


def test_the_scenario_without_the_step_back_is_survived(judged, monkeypatch):
    monkeypatch.setattr(stale_lease, "BACK_MS", 0)
    for seed in (3, 7):
        results, history = judged(nemesis="stale-lease", seed=seed, time_limit=40)
        assert results.valid is True
        assert {op.f for op in history.nemesis_ops()} >= {"start-stale-lease", "stop-stale-lease"}


def test_beyond_the_assumptions_a_sound_cluster_serves_stale_reads(judged):
    found = [judged(nemesis="clock-beyond", seed=seed)[0] for seed in range(1, 5)]
    assert all(results.exceeds_assumptions for results in found)
    assert any(
        results.valid is False and results.exit_code == 1 and names_of(results) & set(BUGS["wall-clock-lease"].expects)
        for results in found
    )
