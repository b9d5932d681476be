"""Many operations of registers at once become the same columns as one after the other."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkers.register.columns import RegisterEncoder
from harness.exit_codes import UsageError
from harness.history import History
from harness.op import INFO, NEMESIS, Op

scalars = st.none() | st.integers(-3, 3) | st.sampled_from(["a", "b", True, 1.5, 2**62, -(2**62), 2**63 - 1])
pairs = st.lists(scalars, min_size=2, max_size=2)
values = st.one_of(scalars, pairs, st.tuples(scalars, pairs).map(list), st.lists(scalars, max_size=3))
keyed = st.tuples(st.sampled_from(["read", "write"]), pairs) | st.tuples(
    st.just("cas"), st.tuples(scalars, pairs).map(list)
)
bare = st.tuples(st.sampled_from(["read", "write"]), scalars) | st.tuples(st.just("cas"), pairs)
anything = st.tuples(st.sampled_from(["read", "write", "cas"]), values)
calls = st.lists(keyed, max_size=6) | st.lists(bare, max_size=6) | st.lists(anything, max_size=4)


class OneByOne:
    """The encoder without its quick way."""

    def __init__(self) -> None:
        self._inner = RegisterEncoder()
        self.name, self.version = self._inner.name, self._inner.version
        self.fields, self.row_fields = self._inner.fields, self._inner.row_fields
        self.encode = self._inner.encode


def meaning(ops, encoder, names):
    """What the columns stand for, or what is wrong."""
    try:
        history = History.from_ops(ops, encoder)
    except UsageError as error:
        return str(error)
    return {
        name: [(type(value), value) for value in map(names._names.value, column.tolist())]
        for name, column in history.fields.items()
    }


@given(
    calls, st.lists(st.sampled_from(["ok", "fail", "info"]), min_size=6, max_size=6), st.booleans(), st.integers(1, 400)
)
@settings(derandomize=True, deadline=None, max_examples=400)
def test_many_are_as_one_by_one(calls, ends, nemesis, block):
    ops = [Op(0, 0, NEMESIS, INFO, "kill", {"id": 1})] if nemesis else []
    for process, (f, value) in enumerate(calls):
        ops += [Op(0, 0, process, "invoke", f, value), Op(0, 0, process, ends[process], f, value)]
    if not ops:
        return
    many, single = RegisterEncoder(), OneByOne()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.history_source._BLOCK", block)
        assert meaning(ops, many, many) == meaning(ops, single, single._inner)
