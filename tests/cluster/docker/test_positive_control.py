"""A positive control of the whole way: stale reads that a real cluster serves are found in its history.

The library beneath the stand-in measures leases in wall-clock time, which the stand-in's main corrects. With that taken
back, a leader whose clock is set back and that is cut off goes on serving reads after others have elected another.
"""

from __future__ import annotations

import pytest

from harness.clock import SECOND
from nemesis.schedule import PlannedFault, Schedule

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("docker")]

SUBNET = "198.18.90.0/24"
LEASE = '[raftstore]\nraft-store-max-leader-lease = "9s"\n'
# A read that meets the lock of a transaction which is stuck makes its client look for the new leader: few may be about,
# and what they have locked must not be what the next transfers need.
FEW_LOCKS = {"read_share": 94, "mode": "pessimistic", "accounts": 64, "total": 6400}
CUT_S = 18  # elections take 5 to 10 s here; then clients that have noticed write, and those that have not read


def deposed_leaders(*starts_s: int) -> Schedule:
    """At each of these times another region's leader is cut off and its clocks go back.

    The wall clock goes back so that it takes its lease for good, the monotonic ones so that the leader, whose timers
    stand still then, does not notice how long it has heard of nobody.
    """
    faults: list[PlannedFault] = []
    for number, start in enumerate(starts_s):
        aim = {"nodes": ["kv1"], "key": 16 * number}
        steps = (
            ("partition", 0, {"shape": "alone", "on": "region-leader", **aim}),
            ("clock-skew", 1, {"on": "isolated", **aim, "offsets_ms": [-300_000]}),
            ("clock-step", 2, {"on": "isolated", **aim, "back_ms": 60_000}),
        )
        faults += [
            PlannedFault(len(faults) + at, kind, (start + later) * SECOND, (CUT_S - 2 * later) * SECOND, plan)
            for at, (kind, later, plan) in enumerate(steps, 1)
        ]
    return Schedule(tuple(faults))


def test_stale_reads_of_a_store_whose_leases_run_on_the_wall_clock_are_found(
    judged, tmp_path, docker_engine, standin_images
):
    del docker_engine
    (tmp_path / "kv.toml").write_text(LEASE)
    pd_image, kv_image, version = standin_images
    for seed in range(1, 4):  # what is under way when the leader is cut off, no seed decides
        results, history = judged(
            deposed_leaders(4, 28),
            workload_options=FEW_LOCKS,
            cluster="docker",
            subnet=SUBNET,
            pd_image=pd_image,
            kv_image=kv_image,
            version=version,
            kv_config=str(tmp_path / "kv.toml"),
            nemesis="partition,clock",
            time_limit="50s",
            seed=seed,
        )
        shown = [op for op in history.nemesis_ops() if (op.value or {}).get("evidence", {}).get("verified")]
        assert {op.f for op in shown} >= {"start-partition", "start-clock-skew", "start-clock-step"}
        found = next(verdict for verdict in results.verdicts if verdict.checker == "strict-serializability")
        if found.valid is False:
            break
    assert found.valid is False, results
    assert {anomaly.name for anomaly in found.anomalies} & {"stale-read", "G-single", "G-nonadjacent"}
    assert results.exceeds_assumptions
