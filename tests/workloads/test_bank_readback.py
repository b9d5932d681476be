"""Which transfers are read back, in which order, and how often."""

from __future__ import annotations

import itertools

import pytest

from checkers.bank.columns import BANK_ENCODER
from harness import readback
from harness.clock import MILLISECOND, SECOND
from harness.generator_simulation import perfect, simulate
from harness.op import FAIL, INFO, INVOKE, OK
from harness.registry import make_cluster, make_spec, make_workload
from harness.results import Results
from harness.verdict import Anomaly, Verdict
from tests.checkers.conftest import Bank, follow
from workloads.bank_readback import ATTEMPTS, RETRY_NS, Readback


@pytest.fixture
def recorded():
    """Transfers 1 to 40 with a commit_ts, one without, one that failed, one of which nobody knows, and a read."""
    bank, records = Bank(), [[1, 100, 0, 0, -1], [0, 100, 0, 0, -1]]
    for number in range(1, 41):
        bank.transfer(0, number, records, commit_ts=10 * number)
        records = follow(number, records)
    bank.transfer(0, 41, records, commit_ts=None)
    bank.transfer(0, 42, records, "fail", commit_ts=420).read(0, 43, sorted(records))
    bank.transfer(0, 44, records, "info", commit_ts=440)
    return bank.history()


def done(history, share=0.0, anomalies=(), complete=perfect, **more):
    return simulate(Readback(itertools.count(100), history, share, list(anomalies)), complete=complete, **more)


def asked(ops):
    return [op for op in ops if op.type == INVOKE]


def test_all_that_were_acknowledged_are_read_back_where_the_share_is_one(recorded):
    ops = asked(done(recorded, 1.0))
    assert [op.value["of"] for op in ops] == list(range(1, 41))
    assert {op.f for op in ops} == {"readback"}
    assert ops[2].value == {"id": 102, "of": 3, "ts": 30, "accounts": [0, 1]}
    BANK_ENCODER.encode(ops[2])


def test_a_share_is_drawn_from_a_stream_of_its_own(recorded):
    some = [op.value["of"] for op in asked(done(recorded, 0.5, concurrency=2))]
    assert 10 <= len(some) <= 30
    assert some == sorted(some)
    assert some == [op.value["of"] for op in asked(done(recorded, 0.5, concurrency=7))]
    assert some != [op.value["of"] for op in asked(done(recorded, 0.5, seed=2))]


def test_none_where_nothing_contradicts_and_none_are_asked_for(recorded):
    assert done(recorded) == []


def test_all_where_the_history_contradicts_itself_those_that_are_named_first(recorded):
    named = [Anomaly("lost-update", [20, 4], ""), Anomaly("wrong-total", [84, 20, 82], "")]
    order = [op.value["of"] for op in asked(done(recorded, 0.0, named))]
    assert order[:2] == [11, 3]
    assert sorted(order) == list(range(1, 41))


@pytest.mark.parametrize("kind", [FAIL, INFO])
def test_what_cannot_be_read_comes_again_later_and_not_for_ever(recorded, kind):
    ops = done(recorded, 1.0, complete=lambda op: (MILLISECOND, op.replace(type=kind)))
    tries = {of: [op.time for op in asked(ops) if op.value["of"] == of] for of in range(1, 41)}
    for times in tries.values():
        assert len(times) == ATTEMPTS
        assert all(later - first >= RETRY_NS for first, later in itertools.pairwise(times))


def test_what_was_read_is_not_read_again(recorded):
    ops = done(recorded, 1.0, complete=lambda op: (MILLISECOND, op.replace(type=FAIL if op.value["id"] < 105 else OK)))
    assert len(asked(ops)) == 45


class RealCluster:
    pd_addresses = ("127.0.0.1:2379",)


def test_there_is_no_such_phase_on_the_simulated_cluster():
    spec = make_spec("bank", seed=1)
    assert (
        readback.readback_phase(spec, make_cluster(spec), make_workload(spec, "t"), lambda: pytest.fail("judged")) == []
    )


def test_the_phase_judges_once_and_late_and_ends_in_time(recorded):
    spec = make_spec("bank", cluster="pd://127.0.0.1:2379", nemesis="none", seed=1)
    judged = []

    def so_far():
        judged.append(1)
        verdicts = [
            Verdict("a", valid="unknown", anomalies=[Anomaly("x", [8], "")]),
            Verdict("b", valid=False, anomalies=[Anomaly("y", [10], "")]),
        ]
        return Results(verdicts=verdicts), recorded

    (phase,) = readback.readback_phase(spec, RealCluster(), make_workload(spec, "t"), so_far)
    assert not judged
    ops = simulate(phase, complete=lambda op: (7 * SECOND, op.replace(type=OK)))
    assert judged == [1]
    assert asked(ops)[0].value["of"] == 6
    assert len(asked(ops)) == 27
    assert ops[-1].time < readback.LIMIT_NS + 7 * SECOND
