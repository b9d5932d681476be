"""Linearizability by zones and by search, against trying all orders and against each other."""

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkers.models import OF_REGISTERS
from checkers.register import search
from checkers.register.columns import RegisterEncoder
from checkers.register.consistency import RegisterConsistency
from checkers.register.linearizability import linearizability, search_calls
from checkers.register.machines import register
from checkers.register.operations import operations_of, seen, sources
from checkers.register.search import linearize
from harness.exit_codes import UsageError
from harness.history import History
from harness.protocols import CheckContext
from tests.checkers.register.brute import done, linearizable
from tests.checkers.register.writing import Registers, register_ops

LINEARIZABLE = CheckContext(models=("linearizable",))


def judge(ops):
    return RegisterConsistency().check(History.from_ops(ops, RegisterEncoder()), LINEARIZABLE)


def happened(ops):
    history = History.from_ops(ops, RegisterEncoder())
    possible, failed = operations_of(history)
    return history, possible.where(seen(possible, history.n)), failed


@settings(max_examples=1500, derandomize=True, deadline=None)
@given(register_ops())
def test_zones_decide_as_all_orders_do(ops):
    assert judge(ops).valid is linearizable(done(ops))


@settings(max_examples=800, derandomize=True, deadline=None)
@given(register_ops(keys=1, most=8))
def test_zones_of_one_register_decide_as_all_orders_do(ops):
    assert judge(ops).valid is linearizable(done(ops))


@settings(max_examples=800, derandomize=True, deadline=None)
@given(register_ops(unique=False, most=8))
def test_repeated_values_are_decided_as_all_orders_do(ops):
    assert judge(ops).valid is linearizable(done(ops))


@settings(max_examples=300, derandomize=True, deadline=None)
@given(register_ops(keys=1, processes=5, most=30, stale=1))
def test_search_and_zones_agree_on_longer_histories(ops):
    history, own, failed = happened(ops)
    assert not sources(own).ambiguous.any()
    if len(own.kind):
        calls = search_calls(own, np.arange(len(own.kind)), history.n)
        by_search = linearize(calls, register(int(own.initial[own.key[0]])), math.inf).valid
        assert linearizability(history, own, failed, math.inf).valid is by_search


@settings(max_examples=300, derandomize=True, deadline=None)
@given(register_ops(processes=4, most=14), st.permutations(range(200)), st.permutations(range(4, 60)))
def test_new_names_for_keys_values_and_processes_change_no_verdict(ops, values, processes):
    def other(f, value):
        key, proper = value
        if isinstance(proper, list):
            return [f"k{key}", [other_value(each) for each in proper]]
        return [f"k{key}", other_value(proper)]

    def other_value(value):
        return None if value is None else f"v{values[value]}" if value % 2 else values[value] * 10**12

    renamed = [op.replace(process=processes[op.process], value=other(op.f, op.value)) for op in ops]
    first, second = judge(ops), judge(renamed)
    assert (first.models, first.counts) == (second.models, second.counts)


@pytest.mark.parametrize("value", [None, [1, 2, 3], [2, [1]], {"a": 1}, [1]])
def test_values_of_another_shape_are_refused(value):
    f = "write" if value is not None else "cas"
    with pytest.raises(UsageError, match="line 1"):
        judge(Registers().do(0, f, value).ops)


def test_values_with_and_without_a_key_do_not_go_together():
    with pytest.raises(UsageError, match="line 3: some values are a list of a key and a value, and some are not"):
        judge(Registers().do(0, "write", 1).do(0, "write", [1, 2]).ops)


# What is rejected: one of each kind, at the first version and in mid-chain.


OF_THE_KEY = ("ThinAirRead", "double-cas", "CyclicCO", "non-linearizable")


def only(verdict):
    """The one anomaly of those that a key shows by itself."""
    assert verdict.valid is False
    (found,) = [anomaly for anomaly in verdict.anomalies if anomaly.name in OF_THE_KEY]
    assert verdict.counts[found.name] == 1
    return found


def chain(length, world=None):
    """Writes, reads and cas, one after the other."""
    world = world or Registers()
    for value in range(1, length):
        world.do(0, "write", value) if value % 3 else world.do(1, "cas", [value - 1, value])
        world.do(2, "read", value)
    return world


def test_a_chain_is_linearizable():
    verdict = judge(chain(30).ops)
    assert verdict.valid is True
    assert set(verdict.models) == set(OF_REGISTERS)
    assert verdict.anomalies == []


@pytest.mark.parametrize("before", [1, 20])
def test_a_value_that_nobody_wrote(before):
    found = only(judge(chain(before).do(3, "read", 77).do(0, "write", 78).ops))
    assert found.name == "ThinAirRead"
    assert "the read of 77 by process 3" in found.explanation
    assert found.explanation.endswith("saw 77, which nobody wrote.")


@pytest.mark.parametrize("before", [1, 20])
def test_a_value_that_only_a_failed_write_wrote(before):
    world = chain(before).do(4, "write", 77, kind="fail")
    found = only(judge(world.do(3, "read", 77).ops))
    assert found.name == "ThinAirRead"
    assert "which only failed operations would have written: the write of 77 by process 4" in found.explanation
    assert len(found.ops) == 2


@pytest.mark.parametrize("before", [2, 20])
def test_a_stale_read(before):
    world = chain(before).do(0, "write", 100).do(3, "read", before - 1).do(1, "write", 101)
    found = only(judge(world.ops))
    assert found.name == "non-linearizable"
    assert f"value {before - 1} was certainly there from index" in found.explanation
    assert "value 100 was there at some time between" in found.explanation


def test_the_initial_value_after_a_write():
    found = only(judge(chain(2).do(3, "read", None).ops))
    assert "value nil was certainly there from the beginning to index 4" in found.explanation


def test_two_values_at_once():
    world = Registers().do(0, "write", 1).do(0, "write", 2).do(0, "read", 1).do(0, "read", 2)
    found = only(judge(world.ops))
    assert found.name == "non-linearizable"
    assert "value 1 was certainly there from index 1" in found.explanation
    assert "to index 4, when the read of 1 by process 0 (index 4) was invoked" in found.explanation
    assert "value 2 was certainly there from index 3" in found.explanation
    assert "both cannot be there at once" in found.explanation


@pytest.mark.parametrize("before", [1, 20])
def test_a_read_before_the_write(before):
    found = only(judge(chain(before).do(3, "read", 100).do(0, "write", 100).do(2, "read", 100).ops))
    assert found.name == "non-linearizable"
    assert "had completed at index" in found.explanation
    assert "but it saw what the write of 100 by process 0" in found.explanation


@pytest.mark.parametrize("before", [1, 20])
def test_a_chain_of_cas_in_the_wrong_order(before):
    world = chain(before).do(0, "write", 50)
    world.begin(1, "cas", [50, 51]).begin(2, "cas", [51, 52]).end(2).do(3, "read", 50).end(1)
    found = only(judge(world.ops))
    assert found.name == "non-linearizable"
    assert "must come before it, by what was read and replaced" in found.explanation


@pytest.mark.parametrize("before", [1, 20])
def test_two_cas_that_replaced_one_value(before):
    world = chain(before).do(0, "write", 50)
    world.begin(1, "cas", [50, 51]).begin(2, "cas", [50, 52]).end(1).end(2)
    found = only(judge(world.ops))
    assert found.name == "double-cas"
    assert "sequential" in found.rules_out
    assert "causal" not in found.rules_out


def test_cas_in_a_circle():
    world = chain(5).begin(1, "cas", [50, 51]).begin(2, "cas", [51, 50]).end(1).end(2)
    found = only(judge(world.ops))
    assert found.name == "CyclicCO"


def test_a_write_of_unknown_outcome_may_be_seen_at_any_later_time_or_never():
    world = Registers().do(0, "write", 1, kind="info").do(1, "write", 2).do(2, "read", 2)
    assert judge(world.ops).valid is True
    assert judge(world.do(2, "read", 1).ops).valid is True
    assert judge(world.do(2, "read", 2).ops).valid is False


def test_repeated_values_are_searched_and_what_could_not_be_put_in_order_is_told():
    world = Registers().do(0, "write", 1).do(1, "write", 2).do(0, "write", 1).do(1, "write", 3).do(2, "read", 2)
    verdict = judge(world.ops)
    found = only(verdict)
    assert verdict.details["keys_searched"] == 0  # nobody saw the repeated value
    found = only(judge(world.do(2, "read", 1).ops[:-4] + Registers().ops + world.ops[-2:]))
    assert found.name == "non-linearizable"
    assert "the value could only be 3" in found.explanation
    assert "The longest order that fits has 4 operations" in found.explanation


def wide(values):
    """Many writes at once, and then reads that no order allows."""
    world = Registers()
    for process in range(22):
        world.begin(process, "write", process % 3)
    for process in range(22):
        world.end(process)
    for value in values:
        world.do(99, "read", value)
    return world.do(99, "write", 3)  # so that there are no final reads


def test_many_writes_at_once_are_no_matter_of_their_orders():
    assert judge(wide([1] * 5).ops).valid is True
    assert judge(wide([1, 2]).ops).valid is False


def test_a_search_gives_up_at_its_deadline():
    history = History.from_ops(wide([1]).ops, RegisterEncoder())
    context = CheckContext(models=("linearizable",), deadline=time.monotonic())
    verdict = RegisterConsistency().check(history, context)
    assert verdict.valid == "unknown"
    assert "the search did not end in time for the register" in verdict.note


@settings(max_examples=300, derandomize=True, deadline=None)
@given(register_ops(keys=1, unique=False, processes=4, most=12))
def test_a_search_that_had_to_forget_says_nothing_wrong(ops):
    history, own, _ = happened(ops)
    if not len(own.kind):
        return
    calls = search_calls(own, np.arange(len(own.kind)), history.n)
    machine = register(int(own.initial[0]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "_MEMO", 3)
        forgetful = linearize(calls, machine, math.inf).valid
    assert forgetful in {None, linearize(calls, machine, math.inf).valid}
