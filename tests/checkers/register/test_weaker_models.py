"""The models below linearizability, against their definitions by brute force, and planted anomalies."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkers.models import OF_REGISTERS, stronger
from checkers.register.columns import RegisterEncoder
from checkers.register.consistency import RegisterConsistency
from harness.history import History
from harness.protocols import CheckContext
from tests.checkers.register.brute import Causality, done, linearizable, sequential, that_were_seen
from tests.checkers.register.writing import Registers, register_ops

GUARANTEES = ("monotonic-reads", "monotonic-writes", "read-your-writes", "writes-follow-reads")


def judge(ops, *asked):
    history = History.from_ops(ops, RegisterEncoder())
    return RegisterConsistency().check(history, CheckContext(models=asked or ("linearizable",)))


def agrees(ops):
    models = judge(ops).models
    assert set(models) == set(OF_REGISTERS)
    truth = Causality(that_were_seen(done(ops)))
    assert models["linearizable"] is linearizable(done(ops))
    assert models["sequential"] is sequential(done(ops))
    assert models["causal"] is truth.causal()
    for model, kept in truth.guarantees().items():
        assert models[model] is kept or (models[model] == "unknown" and truth.circular), model


@settings(max_examples=1200, derandomize=True, deadline=None)
@given(register_ops(processes=3, most=8))
def test_two_keys_are_decided_by_the_definitions(ops):
    agrees(ops)


@settings(max_examples=600, derandomize=True, deadline=None)
@given(register_ops(keys=1, processes=3, most=8))
def test_one_key_is_decided_by_the_definitions(ops):
    agrees(ops)


@settings(max_examples=500, derandomize=True, deadline=None)
@given(register_ops(processes=2, most=9, stale=1))
def test_two_processes_are_decided_by_the_definitions(ops):
    agrees(ops)


@settings(max_examples=500, derandomize=True, deadline=None)
@given(register_ops(unique=False, processes=3, most=8))
def test_repeated_values_are_decided_where_they_can_be(ops):
    models = judge(ops).models
    assert models["sequential"] is sequential(done(ops))


@settings(max_examples=300, derandomize=True, deadline=None)
@given(register_ops(processes=4, most=25, stale=2))
def test_a_stronger_model_is_not_kept_where_a_weaker_one_is_broken(ops):
    models = judge(ops, "sequential").models
    for model in OF_REGISTERS:
        for above in stronger(model):
            assert not (models[model] is False and models[above] is True)


# What is rejected: one of each kind, at the first version and in mid-chain.


def chain(length):
    """Writes to key 0 and reads of them, by processes of their own, one after the other."""
    world = Registers()
    for value in range(1, length):
        world.do(7, "write", [0, value]).do(8, "read", [0, value])
    return world


def told(verdict, name):
    (found,) = [anomaly for anomaly in verdict.anomalies if anomaly.name == name]
    assert set(found.ops) <= set(range(10_000))
    return found


def broken(verdict):
    return {model for model, valid in verdict.models.items() if valid is False}


@pytest.mark.parametrize("before", [1, 20])
def test_a_process_that_misses_its_own_write(before):
    verdict = judge(chain(before).do(0, "write", [1, 50]).do(0, "read", [1, None]).ops)
    found = told(verdict, "own-write-missed")
    assert broken(verdict) - {"eventual"} == {"read-your-writes", "causal", "sequential", "linearizable"}
    assert "the read of nil from key 1 by process 0" in found.explanation
    assert "saw the initial value, but its process had done the write of 50 to key 1" in found.explanation
    assert "own-write-missed" not in judge(chain(before).do(0, "write", [1, 50]).do(0, "read", [1, 50]).ops).counts


@pytest.mark.parametrize("before", [1, 20])
def test_a_process_that_sees_time_run_backwards(before):
    world = chain(before).do(0, "write", [1, 50]).do(0, "write", [1, 51])
    verdict = judge(world.do(2, "read", [1, 51]).do(2, "read", [1, 50]).ops)
    assert broken(verdict) - {"eventual"} == {"monotonic-reads", "causal", "sequential", "linearizable"}
    found = told(verdict, "non-monotonic-read")
    assert "its process had seen something later before, as the read of 51 from key 1 by process 2" in found.explanation


def test_concurrent_writes_may_be_seen_in_either_order():
    world = Registers().begin(0, "write", [1, 50]).begin(1, "write", [1, 51]).end(0).end(1)
    for process, values in ((2, (50, 51)), (3, (51, 50))):
        for value in values:
            world.do(process, "read", [1, value])
    assert broken(judge(world.ops)) == {"sequential", "linearizable", "eventual"}


@pytest.mark.parametrize("before", [1, 20])
def test_a_second_write_that_is_seen_without_the_first(before):
    world = (
        chain(before).do(0, "write", [1, 50]).do(0, "write", [2, 51]).do(1, "read", [2, 51]).do(1, "read", [1, None])
    )
    verdict = judge(world.ops)
    assert broken(verdict) - {"eventual"} == {"monotonic-writes", "causal", "sequential", "linearizable"}
    found = told(verdict, "non-monotonic-write")
    assert "process 1 had read what process 0 wrote after the write of 50 to key 1" in found.explanation


@pytest.mark.parametrize("before", [1, 20])
def test_an_answer_that_is_seen_without_the_question(before):
    world = chain(before).do(0, "write", [1, 50]).do(1, "read", [1, 50]).do(1, "write", [2, 51])
    verdict = judge(world.do(2, "read", [2, 51]).do(2, "read", [1, None]).ops)
    assert broken(verdict) - {"eventual"} == {"writes-follow-reads", "causal", "sequential", "linearizable"}
    found = told(verdict, "cause-missed")
    assert "process 2 had read what process 1 wrote after the read of 50 from key 1" in found.explanation
    found = told(verdict, "WriteCOInitRead")
    assert "process 1 did the read of 50 from key 1 by process 1" in found.explanation


@pytest.mark.parametrize("before", [1, 20])
def test_a_cause_three_steps_away_breaks_causal_alone(before):
    world = chain(before).do(0, "write", [1, 50]).do(1, "read", [1, 50]).do(1, "write", [2, 51])
    world.do(2, "read", [2, 51]).do(2, "write", [3, 52]).do(3, "read", [3, 52]).do(3, "read", [1, None])
    verdict = judge(world.ops)
    assert broken(verdict) - {"eventual"} == {"causal", "sequential", "linearizable"}
    text = told(verdict, "WriteCOInitRead").explanation
    assert text.count("saw what") == 3
    assert "process 2 did the read of 51 from key 2" in text


def test_a_value_that_was_replaced_on_the_way():
    world = Registers().do(0, "write", [1, 50]).do(1, "cas", [1, [50, 51]]).do(1, "write", [2, 60])
    verdict = judge(world.do(2, "read", [2, 60]).do(2, "read", [1, 50]).ops)
    text = told(verdict, "WriteCORead").explanation
    assert "saw what the write of 50 to key 1 by process 0 (index 0) wrote, but the cas from 50 to 51 of key 1" in text
    assert "and what it saw comes before that: the cas from 50 to 51" in text


def test_values_that_cause_each_other():
    world = Registers().begin(0, "read", [1, None]).begin(1, "read", [2, None]).end(0, [1, 51]).end(1, [2, 50])
    verdict = judge(world.do(0, "write", [2, 50]).do(1, "write", [1, 51]).ops)
    assert verdict.models["causal"] is False
    found = told(verdict, "CyclicCO")
    assert len(found.ops) == 4
    assert "the session guarantees: the causal order is circular" in verdict.note


@pytest.mark.parametrize("before", [1, 20])
def test_two_processes_that_miss_each_others_write(before):
    """The store buffer: causal, but no order of all operations."""
    world = chain(before).begin(0, "write", [1, 50]).begin(1, "write", [2, 51]).end(0).end(1)
    world.begin(0, "read", [2, None]).begin(1, "read", [1, None]).end(0, [2, None]).end(1, [1, None])
    verdict = judge(world.ops)
    assert broken(verdict) - {"eventual"} == {"sequential", "linearizable"}
    found = told(verdict, "non-sequential")
    assert found.explanation.count("did not yet see") == 2
    assert len(found.ops) == 4


def test_writes_that_two_readers_saw_in_different_orders_are_no_sequence():
    world = Registers()
    for process in range(4):
        world.do(process, "write", [process, 100 + process])
    world.begin(0, "write", [9, 1]).begin(1, "write", [9, 2]).end(0).end(1)
    for process, values in ((2, (1, 2)), (3, (2, 1))):
        for value in values:
            world.do(process, "read", [9, value])
    verdict = judge(world.ops, "sequential")
    assert verdict.valid is False
    found = told(verdict, "non-sequential")
    assert "fits what was read, not even of these: " in found.explanation
    assert len(found.ops) == 6


def test_an_old_value_that_no_process_can_tell_is_sequential():
    world = chain(5).do(0, "write", [1, 50]).do(1, "read", [1, None]).do(1, "read", [1, 50])
    verdict = judge(world.ops, "sequential")
    assert verdict.valid is True
    assert broken(verdict) - {"eventual"} == {"linearizable"}


# When all is over.


def test_final_reads_that_differ():
    world = Registers().begin(0, "write", 1).begin(1, "write", 2).end(0).end(1).do(2, "read", 1).do(3, "read", 2)
    verdict = judge(world.ops)
    found = told(verdict, "not-converged")
    assert verdict.models["eventual"] is False
    assert "the read of 1 by process 2 (index 4); the read of 2 by process 3 (index 6)" in found.explanation


@pytest.mark.parametrize("count", [1, 20])
def test_final_reads_of_what_was_overwritten(count):
    world = Registers()
    for value in range(count):
        world.do(0, "write", value)
    verdict = judge(world.do(0, "write", 99).do(1, "read", count - 1).do(2, "read", count - 1).ops)
    found = told(verdict, "stale-final-read")
    assert f"saw what had been overwritten: the write of 99 by process 0 (index {2 * count})" in found.explanation
    assert verdict.models["eventual"] is False


@st.composite
def writes_and_final_reads(draw):
    """Writes that overlap, some of unknown outcome; and when all of them are over, reads one after the other."""
    world, keys = Registers(), [0, 1]
    for _ in range(draw(st.integers(1, 12))):
        process = draw(st.integers(0, 2))
        if process not in world.open:
            world.begin(process, "write", [draw(st.sampled_from(keys)), draw(st.integers(0, 4))])
        else:
            world.end(process)
    unknown = draw(st.booleans())
    for process in list(world.open):
        world.end(process, kind="info" if unknown else "ok")
    for process in range(10, 10 + draw(st.integers(1, 4))):
        key = draw(st.sampled_from(keys))
        written = [op.value[1] for op in world.ops if op.type == "invoke" and op.f == "write" and op.value[0] == key]
        world.do(process, "read", [key, draw(st.sampled_from([None, *written]))])
    return world.ops


@settings(max_examples=1000, derandomize=True, deadline=None)
@given(writes_and_final_reads())
def test_final_reads_agree_where_some_order_of_the_writes_explains_them(ops):
    """With nothing else read, that is linearizability; only writes of unknown outcome may leave it open."""
    held = linearizable(done(ops))
    has_unknown = any(op.type == "info" for op in ops)
    assert judge(ops).models["eventual"] in ((held, "unknown") if has_unknown else (held,))


def test_reads_before_the_faults_were_healed_may_differ():
    world = Registers().nemesis("start-partition").do(0, "write", 1).do(0, "write", 2).do(1, "read", 1)
    assert judge(world.ops).models["eventual"] == "unknown"
    assert judge(world.nemesis("heal-all").do(1, "read", 2).ops).models["eventual"] is True


def test_reads_under_a_fault_after_the_healing_may_differ():
    world = Registers().nemesis("start-partition").nemesis("stop-partition").do(0, "write", 1).do(0, "write", 2)
    world.nemesis("start-partition").do(1, "read", 2).do(1, "read", 1)
    assert judge(world.ops).models["eventual"] == "unknown"
    assert judge(world.nemesis("stop-partition").do(1, "read", 2).do(2, "read", 1).ops).models["eventual"] is False
    assert judge(world.do(1, "read", 1).ops).models["eventual"] is False


def test_without_final_reads_nobody_knows():
    world = Registers().do(0, "write", 1).do(1, "read", None).do(0, "write", 2)
    verdict = judge(world.ops)
    assert verdict.models["eventual"] == "unknown"
    assert "no read began after the last write was complete" in verdict.note


def test_a_write_of_unknown_outcome_may_come_between_final_reads():
    world = (
        Registers()
        .do(9, "write", 7, kind="info")
        .do(0, "write", 1)
        .do(0, "write", 2)
        .do(1, "read", 1)
        .do(0, "write", 3)
    )
    verdict = judge(world.do(1, "read", 3).do(1, "read", 7).ops)
    assert verdict.models["linearizable"] is False
    assert verdict.models["eventual"] == "unknown"


def test_repeated_values_leave_causality_open():
    world = (
        Registers()
        .do(0, "write", 1)
        .do(0, "write", 2)
        .do(0, "write", 1)
        .do(0, "write", 3)
        .do(1, "read", 3)
        .do(1, "read", 1)
    )
    verdict = judge(world.ops)
    assert verdict.models["causal"] == "unknown"
    assert "a value that was seen was written more than once" in verdict.note


def test_repeated_values_of_one_key_hide_nothing_that_another_shows():
    world = Registers().do(0, "write", [1, 1]).do(0, "write", [1, 1]).do(0, "read", [1, 1])
    verdict = judge(world.do(2, "write", [2, 50]).do(2, "read", [2, None]).ops)
    assert broken(verdict) - {"eventual"} == {"read-your-writes", "causal", "sequential", "linearizable"}
    assert verdict.models["monotonic-reads"] == "unknown"
