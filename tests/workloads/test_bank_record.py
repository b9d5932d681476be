"""Records: what is read is exactly what was written for this account in this run, or it is corrupt."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from workloads.bank_layout import Layout
from workloads.bank_record import CorruptRecord, Record, RecordCodec, initial_record

numbers = st.integers(0, 2**53)
records = st.builds(
    Record, st.integers(0, 10**6), st.integers(-(2**53), 2**53), numbers, numbers, st.integers(-1, 2**53)
)
CODEC = RecordCodec("run-1")


@given(records)
def test_round_trip(record):
    assert CODEC.decode(record.account, CODEC.encode(record)) == record


@given(records, st.data())
def test_any_flipped_bit_is_noticed(record, data):
    good = CODEC.encode(record)
    bit = data.draw(st.integers(0, 8 * len(good) - 1))
    bad = bytearray(good)
    bad[bit // 8] ^= 1 << bit % 8
    with pytest.raises(CorruptRecord) as caught:
        CODEC.decode(record.account, bytes(bad))
    assert (caught.value.account, caught.value.data) == (record.account, bytes(bad))


def test_every_single_bit_of_one_record():
    good = CODEC.encode(Record(3, 95, 12, 4711, 4690))
    for bit in range(8 * len(good)):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CorruptRecord):
            CODEC.decode(3, bytes(bad))


@given(records, st.integers(0, 10**6))
def test_a_record_under_the_key_of_another_account_is_corrupt(record, account):
    if account != record.account:
        with pytest.raises(CorruptRecord):
            CODEC.decode(account, CODEC.encode(record))


@given(records)
def test_a_record_of_another_run_is_corrupt(record):
    with pytest.raises(CorruptRecord):
        CODEC.decode(record.account, RecordCodec("run-2").encode(record))


@given(st.binary(max_size=300))
@example(b"")
@example(b"null")
@example(b'{"balance":1}')
def test_other_bytes_are_corrupt(data):
    with pytest.raises(CorruptRecord):
        CODEC.decode(0, data)


@given(records)
def test_the_same_content_in_another_form_is_corrupt(record):
    data = CODEC.encode(record)
    for other in (
        data + b"\n",
        json.dumps(json.loads(data)).encode(),
        data.replace(b'"previous"', b'"previou\\u0073"'),
    ):
        with pytest.raises(CorruptRecord):
            CODEC.decode(record.account, other)


def test_a_successor_links_to_its_predecessor():
    first = initial_record(2, 100)
    second = first.successor(95, writer=7)
    assert first.row() == [2, 100, 0, 0, -1]
    assert second.row() == [2, 95, 1, 7, 0]
    assert second.successor(90, writer=9).row() == [2, 90, 2, 9, 7]


@given(st.integers(2, 300))
def test_keys_are_sorted_within_the_range_and_spread_over_regions(accounts):
    layout = Layout("r", accounts)
    assert list(layout.keys) == sorted(layout.keys)
    assert all(layout.start < key < layout.end for key in layout.keys)
    assert [layout.account_of(key) for key in layout.keys] == list(range(accounts))
    assert layout.account_of(layout.start + b"x") == accounts
    splits = layout.split_keys()
    assert len(splits) == min(4, accounts) - 1
    bounds = [layout.start, *splits, layout.end]
    sizes = [sum(a <= key < b for key in layout.keys) for a, b in itertools.pairwise(bounds)]
    assert max(sizes) - min(sizes) <= 1


def test_runs_do_not_see_each_other():
    one, two = Layout("a", 3), Layout("ab", 3)
    assert not any(one.start <= key < one.end for key in two.keys)
    assert not any(two.start <= key < two.end for key in one.keys)
