"""The bank judged while it is recorded, against the check afterwards."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkers.bank.columns import BANK_ENCODER
from checkers.bank.strict_serializability import StrictSerializability
from checkers.streaming.bank import StreamingBank
from harness.history import History
from harness.protocols import CheckContext
from tests.checkers.bank_sim import Chaos

SEEDS = st.integers(0, 2**32)
BLOCKS = st.sampled_from([1, 1, 2, 3, 7])


def draw(seed, wild, most):
    rng = random.Random(seed)
    return Chaos(rng, rng.randint(1, most), wild).draw()


def afterwards(ops):
    return StrictSerializability().check(History.from_ops(ops, BANK_ENCODER), CheckContext()).valid


def streamed(ops, block=1, keep=0):
    checker = StreamingBank(block, keep)
    for op in ops:
        checker.observe(op)
    return checker.finish()


def agrees(ops, block):
    verdict = streamed(ops, block)
    assert verdict.valid is afterwards(ops) or (verdict.valid == "unknown" and verdict.details["undecided"])


@settings(max_examples=700, deadline=None, derandomize=True)
@given(SEEDS, st.sampled_from([0, 5, 15, 30]), BLOCKS)
def test_small_histories_get_the_verdict_of_the_check_afterwards(seed, wild, block):
    agrees(draw(seed, wild, 8), block)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(SEEDS, st.sampled_from([0, 0, 1, 2]), BLOCKS)
def test_longer_histories_do_too(seed, wild, block):
    agrees(draw(seed, wild, 80), block)


# One of each kind, in mid-chain, when all before it has been folded.


def chain(bank, length=30):
    """Transfers and reads, one after the other; returns the records that are there at last."""
    records = [[0, 10, 0, 0, -1], [1, 10, 0, 0, -1]]
    for number in range(1, length):
        bank.transfer(0, 2 * number, records)
        records = bank.ops[-1].value["write"]
        bank.read(1, 2 * number + 1, records)
    return records


def lost_update(bank, old, new):
    del new
    bank.transfer(2, 1002, old)


def stale_read(bank, old, new):
    del new
    bank.read(2, 1002, old)


def torn_read(bank, old, new):
    bank.read(2, 1002, [old[0], new[1]])


def wrong_content(bank, old, new):
    del old
    bank.read(2, 1002, [new[0], [1, 12345, *new[1][2:]]])


def aborted_read(bank, old, new):
    del old
    bank.transfer(2, 1002, new, kind="fail")
    written = bank.ops[-1].value["write"]
    chain_of = bank.read(3, 1003, new)
    chain_of.read(3, 1004, written)


PLANTED = {
    lost_update: "lost-update",
    stale_read: "G-single-realtime",
    torn_read: "G-single-realtime",
    wrong_content: "garbage-read",
    aborted_read: "G1a",
}


@pytest.mark.parametrize("block", [1, 10, 1000])
@pytest.mark.parametrize("plant", PLANTED)
def test_what_is_planted_is_found(bank, plant, block):
    new = chain(bank)
    assert streamed(bank.ops, block).valid is True
    first = bank.ops[4 * 8 + 1].value["write"]
    plant(bank, first, new)
    verdict = streamed(bank.ops, block)
    assert afterwards(bank.ops) is False
    assert verdict.valid is False
    if block == 1:
        assert verdict.anomalies[0].name == PLANTED[plant]
    assert max(verdict.anomalies[0].ops) >= len(bank.ops) - 4 or block > 1


@pytest.mark.parametrize("block", [1, 7])
def test_a_transfer_of_unknown_outcome_may_show_up_late(bank, block):
    number = 5000
    bank.begin(2, number, [0, 1]).end(2, "info")
    records = chain(bank)
    written = [[0, 9, records[0][2] + 1, number, records[0][3]], [1, 11, records[1][2] + 1, number, records[1][3]]]
    bank.read(3, 2000, written)
    assert afterwards(bank.ops) is True
    assert streamed(bank.ops, block).valid is True
    bank.transfer(3, 2001, written)
    last = bank.ops[-1].value["write"]
    bank.read(3, 2002, last)
    assert streamed(bank.ops, block).valid is True
    bank.read(3, 2003, written)
    assert streamed(bank.ops, block).valid is False


def test_what_reads_at_an_old_timestamp_found_below_is_left_to_the_check_afterwards(bank):
    chain(bank)
    old = bank.ops[4 * 8 + 1].value["write"]
    bank.read(2, 2000, old, via="old-snapshot")
    assert afterwards(bank.ops) is True
    assert streamed(bank.ops, block=1).valid == "unknown"
    assert streamed(bank.ops, block=1, keep=1000).valid is True


def test_old_reads_meet_the_commit_timestamps_of_what_was_folded(bank):
    records = [[0, 10, 0, 0, -1], [1, 10, 0, 0, -1]]
    for number in range(1, 20):
        bank.transfer(0, 2 * number, records, commit_ts=100 * number)
        records = bank.ops[-1].value["write"]
        bank.read(1, 2 * number + 1, records)
    bank.read(2, 1000, records, via="old-snapshot", ts=1800)
    verdict = streamed(bank.ops, block=1)
    assert (verdict.valid, verdict.anomalies[0].name) == (False, "future-read")
    bank.ops[-1].value["ts"] = 2000
    assert streamed(bank.ops, block=1).valid is True
    bank.read(1, 1001, records).transfer(0, 1002, records, commit_ts=1990)
    verdict = streamed(bank.ops, block=1)
    assert afterwards(bank.ops) is False
    assert (verdict.valid, verdict.anomalies[0].name) == (False, "stale-read")


def test_memory_does_not_grow_with_the_history(bank):
    records = chain(bank, 3000)
    bank.transfer(7, 9_000_000, records, kind="fail")
    checker = StreamingBank(64, 64)
    for op in bank.ops:
        checker.observe(op)
    assert checker.finish().valid is True
    assert checker.figures["largest_kept"] < 300
    assert checker.figures["failed_ids"] == 1
