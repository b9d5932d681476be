"""Without a planted bug nothing is found, whatever the nemesis does: a false alarm is the worst defect here."""

import numpy as np
import pytest

TRANSFERS = 500


def is_valid_and_not_empty(judged, seed, **options):
    results, history = judged(seed=seed, nemesis="all", time_limit=60, rate=100, **options)
    notes = [verdict.note for verdict in results.verdicts if verdict.note]
    assert results.valid is True, (seed, [anomaly.explanation for anomaly in results.anomalies()], notes)
    transfers = np.count_nonzero((history.f == history.f_names.index("transfer")) & (history.type == 0))
    assert transfers >= TRANSFERS, seed
    assert sum(op.f.startswith("start-") for op in history.nemesis_ops()) >= 2 * 4, seed


@pytest.mark.parametrize("chunk", range(6))
def test_a_few_seeds_with_all_faults_are_valid(judged, chunk):
    for seed in range(4 * chunk, 4 * chunk + 4):
        is_valid_and_not_empty(judged, seed)


@pytest.mark.long
@pytest.mark.parametrize("chunk", range(20))
def test_two_hundred_seeds_with_all_faults_are_valid(judged, chunk):
    for seed in range(10 * chunk, 10 * chunk + 10):
        is_valid_and_not_empty(judged, seed)


@pytest.mark.long
@pytest.mark.parametrize(
    "options",
    [
        {"nodes": 3},
        {"nodes": 7},
        {"concurrency": 30},
        {"concurrency": 5, "rate": 0},
        {"workload_options": {"accounts": 3}},
        {"workload_options": {"mode": "optimistic"}},
        {"workload_options": {"mode": "pessimistic"}},
        {"nemesis_interval": "2s"},
    ],
    ids=str,
)
def test_other_shapes_of_a_run_raise_no_alarm(judged, options):
    for seed in range(300, 308):
        results, _ = judged(**{"seed": seed, "nemesis": "all", "time_limit": 40, **options})
        assert results.valid is not False, (seed, [anomaly.explanation for anomaly in results.anomalies()])


def test_a_seed_gives_these_very_bytes_on_every_machine(judged):
    """Changes with the simulation, the nemesis or the workload; else a history has come to depend on the machine."""
    results, _ = judged(seed=7, nemesis="all", time_limit=20)
    assert results.history_sha256 == "239329b922a1f2b002111aa527fb390a91215aa79bb66da09a76838cc38232fa"
