"""What the bank's processes are asked to do."""

from __future__ import annotations

from collections import Counter

import pytest

from harness.exit_codes import UsageError
from harness.generator import later
from harness.op import FAIL, INFO, INVOKE, NEMESIS, OK
from harness.protocols import PENDING, Context
from harness.rng import Streams
from harness.settings import resolve_workload_options
from workloads.bank import Bank
from workloads.bank_generator import FINAL_ATTEMPTS, RETRY_NS


def bank(**options) -> Bank:
    return Bank(resolve_workload_options(Bank.OPTIONS, options), run_id="t")


def context(free, time: int = 0, processes=None) -> Context:
    return Context(time, tuple(free), processes or {thread: thread for thread in (0, 1, 2, NEMESIS)}, Streams(5))


def take(workload: Bank, count: int, free=(0, 1, 2)):
    generator = workload.generator()
    ctx = context(free)
    return [generator.next(ctx) for _ in range(count)]


def test_transfers_and_reads_are_within_their_options():
    operations = take(bank(accounts=5, max_transfer=3), 3000)
    assert sorted(op.value["id"] for op in operations) == list(range(1, 3001))
    transfers = [op.value for op in operations if op.f == "transfer"]
    reads = [op.value for op in operations if op.f == "read"]
    assert {value["from"] for value in transfers} == {value["to"] for value in transfers} == set(range(5))
    assert all(value["from"] != value["to"] for value in transfers)
    assert {value["amount"] for value in transfers} == {1, 2, 3}
    assert {value["mode"] for value in transfers} == {"optimistic", "pessimistic"}
    assert 800 < len(reads) < 1000
    assert all(count > 150 for count in Counter(value["via"] for value in reads).values())
    assert len({value["via"] for value in reads}) == 4
    assert all(count > 800 for count in Counter(op.process for op in operations).values())


def test_modes_and_shares_can_be_chosen():
    assert {op.value["mode"] for op in take(bank(mode="pessimistic", read_share=0), 200)} == {"pessimistic"}
    assert {op.f for op in take(bank(read_share=100), 200)} == {"read"}


def test_a_thread_does_the_same_whatever_the_others_do():
    def without_ids(operations):
        return [(op.f, {name: value for name, value in op.value.items() if name != "id"}) for op in operations]

    alone = take(bank(), 50, free=(1,))
    generator = bank().generator()
    among = []
    for i in range(50):
        for _ in range(i % 3):
            generator.next(context((0,)))
        among.append(generator.next(context((1,))))
    assert without_ids(alone) == without_ids(among)


def test_it_waits_for_a_free_client_thread_and_leaves_the_nemesis_alone():
    assert bank().generator().next(context(())) is PENDING
    assert bank().generator().next(context((NEMESIS,))) is PENDING


def test_options_that_make_no_sense_are_refused():
    with pytest.raises(UsageError, match="at most 100"):
        bank(read_share=101)
    with pytest.raises(UsageError, match="at least 2"):
        bank(accounts=1)


def test_final_reads_end_when_every_thread_has_had_one():
    workload = bank()
    workload.generator().next(context((0,)))
    generator = workload.final_generator()
    processes = {0: 0, 1: 1, NEMESIS: NEMESIS}
    free, ids, outcomes = [0, 1], [], {0: [FAIL, INFO, OK], 1: [OK]}
    for time in range(0, 10 * RETRY_NS, RETRY_NS // 2):
        op = generator.next(context(free, time, processes))
        if op is None:
            break
        if op is PENDING or op.time > time:
            continue
        assert op.value["final"] is True
        ids.append(op.value["id"])
        generator.update(op)
        thread = next(t for t, process in processes.items() if process == op.process)
        outcome = outcomes[thread].pop(0)
        generator.update(op.replace(type=outcome, time=time))
        if outcome == INFO:
            processes[thread] += 2
    else:
        pytest.fail("it never ended")
    assert outcomes == {0: [], 1: []}
    assert ids == [2, 3, 4, 5]


def test_final_reads_pause_between_attempts_and_give_up_at_last():
    generator = bank().final_generator()
    processes = {0: 0}
    time, attempts = 0, 0
    while (op := generator.next(context((0,), time, processes))) is not None:
        if op.time > time:
            assert op == later(context((0,), time, processes), time + RETRY_NS)
            time = op.time
            continue
        attempts += 1
        generator.update(op)
        assert op.type == INVOKE
        generator.update(op.replace(type=FAIL))
    assert attempts == FINAL_ATTEMPTS
