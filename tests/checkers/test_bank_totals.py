"""Banks without versions: all reads show one total, no balance is below zero or missing."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkers.kinds import KINDS, tell
from checkers.run_checks import run_checks
from harness.exit_codes import UsageError
from harness.history import History
from harness.protocols import CheckContext
from tests.checkers.collections.writing import Writer

BANK = KINDS["bank-totals"]
FINE = {"0": 10, "1": 20}


def transfer(writer, amount=3):
    return writer.do(0, "transfer", {"from": 0, "to": 1, "amount": amount})


def bank(*reads):
    writer = transfer(Writer())
    for process, each in enumerate(reads):
        writer.do(process, "read", None, each)
    return writer.ops


def judge(ops):
    [verdict] = run_checks(BANK.checkers(), History.from_ops(ops, BANK.encoder()), CheckContext())
    return verdict


def test_it_is_told_from_our_own_bank_and_from_registers():
    assert tell(bank(FINE)) is BANK
    assert tell(bank([10, 20])) is BANK


def test_reads_that_agree_are_fine_whatever_moved():
    verdict = judge(bank(FINE, {"0": 7, "1": 23}, [0, 30]))
    assert (verdict.valid, verdict.models) == (True, {})


@pytest.mark.parametrize("place", [0, 2, 4])
def test_a_read_with_another_total_is_found_wherever_it_is(place):
    reads = [FINE] * 4
    reads.insert(place, {"0": 7, "1": 20})
    verdict = judge(bank(*reads))
    assert verdict.valid is False
    [found] = verdict.anomalies
    assert found.name == "wrong-total"
    assert found.ops == [2 + 2 * place, 2 if place else 4]
    assert "found 27 in all accounts together, -3 against the 30 that 4 of 5 reads found" in found.explanation
    assert verdict.models["snapshot-isolation"] is False
    assert verdict.models["strict-serializable"] is False
    assert "read-committed" not in verdict.models


@pytest.mark.parametrize(
    ("read", "name", "words"),
    [
        ({"0": -1, "1": 31}, "negative-balance", "found -1 in account 0"),
        ([31, -1], "negative-balance", "found -1 in account 1"),
        ({"0": None, "1": 30}, "missing-account", "found nil for account 0"),
    ],
)
def test_balances_that_cannot_be(read, name, words):
    verdict = judge(bank(FINE, read))
    assert verdict.counts == {name: 1}
    assert words in verdict.anomalies[0].explanation
    assert verdict.anomalies[0].ops == [4]


def test_only_what_was_acknowledged_counts():
    writer = transfer(Writer())
    writer.do(0, "read", None, FINE).do(1, "read", None, {"0": 5}, kind="fail").do(
        2, "read", None, {"0": 6}, kind="info"
    )
    assert judge(writer.ops).valid is True
    verdict = judge(transfer(Writer()).ops)
    assert verdict.valid == "unknown"


@pytest.mark.parametrize("value", [3, "x", {"0": 1.5}, {"0": "a"}, [2**60]])
def test_what_is_no_read_of_balances_is_refused(value):
    with pytest.raises(UsageError, match="is not a bank-totals history: line 4: "):
        judge(bank(value))


balances = st.dictionaries(st.sampled_from("abc"), st.none() | st.integers(-2, 3), min_size=1)


@given(st.lists(balances, min_size=1, max_size=8))
@settings(derandomize=True, deadline=None)
def test_any_reads_are_judged_by_the_definition(reads):
    sums = [sum(each or 0 for each in read.values()) for read in reads]
    usual, _ = Counter(sums).most_common(1)[0]  # of equals the first
    values = [each for read in reads for each in read.values()]
    counts = {
        "wrong-total": sum(each != usual for each in sums),
        "missing-account": values.count(None),
        "negative-balance": sum(each is not None and each < 0 for each in values),
    }
    assert judge(bank(*reads)).counts == {name: number for name, number in counts.items() if number}
