"""Key-value stores: the search against all orders, and what is told of what it could not put in order."""

from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkers.register.kind import KV
from harness.exit_codes import UsageError
from harness.history import History
from harness.protocols import CheckContext
from tests.checkers.register.writing import Registers
from tests.checkers.some_order import some_order


def judge(ops):
    (checker,) = KV.checkers()
    return checker.check(History.from_ops(ops, KV.encoder()), CheckContext(models=KV.default))


@st.composite
def store_ops(draw, most=8):
    """A small history of two keys; gets return what some order of some writes makes, or nearly."""
    world = Registers()
    threads, fresh, made = [0, 1, 2], 3, 0
    texts = {"a": ["", "0"], "b": ["", "1"]}
    for _ in range(draw(st.integers(2, 2 * most))):
        thread = draw(st.integers(0, 2))
        process = threads[thread]
        if process not in world.open:
            if made < most:
                made += 1
                f, key = draw(st.sampled_from(["get", "get", "put", "append", "append"])), draw(st.sampled_from("ab"))
                world.begin(process, f, [key, None if f == "get" else draw(st.sampled_from("xyz"))])
            continue
        f, (key, value) = world.open[process]
        if f == "get":
            kind = draw(st.sampled_from(["ok"] * 6 + ["info", "fail"]))
            value = draw(st.sampled_from(texts[key][-4:]))
        else:
            kind = draw(st.sampled_from(["ok"] * 6 + ["info", "fail"]))
            texts[key].append(value if f == "put" else texts[key][-1] + value)
        if kind == "info":
            threads[thread], fresh = fresh, fresh + 1
        world.end(process, [key, value] if kind == "ok" else None, kind)
    return world.ops


def counted(ops):
    """Invocation, completion, f, key and value of what counts; what never ends, ends at the end of time."""
    running, calls = {}, []
    for at, op in enumerate(ops):
        if op.type == "invoke":
            running[op.process] = (at, op)
            continue
        begun, asked = running.pop(op.process)
        if op.type == "ok" or (op.type == "info" and op.f != "get"):
            told = op if op.f == "get" else asked
            calls.append((begun, at if op.type == "ok" else inf, op.f, *told.value))
    return calls + [(at, inf, op.f, *op.value) for at, op in running.values() if op.f != "get"]


def step(state, call):
    """The state after it, None if it cannot be."""
    _, _, f, key, value = call
    if f == "get":
        return state if dict(state).get(key, "") == value else None
    text = value if f == "put" else dict(state).get(key, "") + value
    return tuple(sorted({**dict(state), key: text}.items()))


def linearizable(ops):
    """Whether some order fits realtime; what has an unknown outcome may be left out."""
    return some_order(counted(ops), lambda call: call[1] < inf, lambda a, b: a[1] < b[0], step)


@settings(max_examples=1000, derandomize=True, deadline=None)
@given(store_ops())
def test_stores_are_decided_as_all_orders_do(ops):
    assert judge(ops).valid is linearizable(ops)


@pytest.mark.parametrize("before", [0, 10])
def test_an_append_that_is_not_there(before):
    world = Registers()
    for number in range(before):
        world.do(0, "append", ["k", f"{number} "])
    text = "".join(f"{number} " for number in range(before))
    world.do(0, "append", ["k", "lost "]).begin(1, "get", ["k", None]).end(1, ["k", text])
    verdict = judge(world.ops)
    assert verdict.valid is False
    (found,) = verdict.anomalies
    assert f"takes in the get of {text!r} from key 'k' by process 1 (index {2 * before + 2})" in found.explanation
    assert f"the value could only be {text + 'lost '!r}" in found.explanation
    assert verdict.models["causal"] == "unknown"


@pytest.mark.parametrize(
    ("f", "value"), [("put", ["k", 3]), ("get", "k"), ("read", ["k", None]), ("append", ["k", None])]
)
def test_what_is_no_store_is_refused(f, value):
    with pytest.raises(UsageError):
        judge(Registers().begin(0, f, value).ops)
