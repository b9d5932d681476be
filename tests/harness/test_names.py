"""Whatever a foreign history uses for keys and values has a number, one for each."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.names import NIL, Names

atoms = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([1.0, 0.5, "", "a", "1", "null", "[1]"])
anything = st.recursive(
    atoms, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
)


@given(st.lists(anything, max_size=12))
@settings(derandomize=True, deadline=None)
def test_equal_things_have_one_number_and_others_another(values):
    names = Names()
    codes = [names.key(value) for value in values]
    assert [names.key(value) for value in values] == codes
    # JSON tells 1 from 1.0 and true, and Python would not.
    assert len(set(codes)) == len({json.dumps(value, sort_keys=True) for value in values})
    for value, code in zip(values, codes, strict=True):
        assert json.dumps(names.value(code), sort_keys=True) == json.dumps(value, sort_keys=True)


def test_integers_stand_for_themselves_and_nil_for_itself():
    names = Names()
    assert [names.key(value) for value in (0, -5, 2**62, None)] == [0, -5, 2**62, NIL]


@pytest.mark.parametrize("number", [2**63, -(2**63), 2**64, -(2**70)])
def test_numbers_beyond_64_bits_are_refused(number):
    with pytest.raises(ValueError, match="64 bits"):
        Names().code(number)


@pytest.mark.parametrize("value", [[1], {"a": 1}])
def test_a_value_is_no_list_and_no_map(value):
    with pytest.raises(ValueError, match="neither a number nor a name"):
        Names().code(value)


def test_what_is_no_key_is_refused():
    with pytest.raises(ValueError, match="is no key"):
        Names().key([1, {"a": "\ud800"}])
