from __future__ import annotations

import pytest

from checkers.bank.balance import TotalBalance
from harness.protocols import CheckContext
from tests.checkers.conftest import follow

START = [[0, 50, 0, 0, -1], [1, 50, 0, 0, -1], [2, 0, 0, 0, -1]]


def judge(bank):
    return TotalBalance(3, 100).check(bank.history(), CheckContext())


def test_sound(bank):
    bank.transfer(0, 1, START[:2]).read(0, 2, [*follow(1, START[:2]), START[2]])
    verdict = judge(bank)
    assert verdict.valid is True
    assert verdict.details["complete_reads"] == 1


@pytest.mark.parametrize("via", ["scan", "old-snapshot"])
def test_wrong_total_tells_first_worst_and_last(bank, via):
    for number, extra in enumerate([0, 3, -20, 5], 1):
        bank.read(0, number, [*START[:2], [2, extra, 0, 0, -1]], via=via)
    verdict = judge(bank)
    assert verdict.valid is False
    assert verdict.counts["wrong-total"] == 3
    assert verdict.details["first"] == {"index": 3, "total": 103}
    assert verdict.details["worst"] == {"index": 5, "total": 80}
    assert verdict.details["last"] == {"index": 7, "total": 105}
    wrong = [anomaly for anomaly in verdict.anomalies if anomaly.name == "wrong-total"]
    assert [anomaly.ops for anomaly in wrong] == [[2], [4], [6]]
    assert "-20 against the total of 100" in wrong[1].explanation


def test_missing_and_unexpected_accounts(bank):
    bank.read(0, 1, START[:2]).read(0, 2, []).read(0, 3, [*START, [7, 1, 0, 0, -1]])
    verdict = judge(bank)
    assert verdict.counts == {"missing-account": 2, "unexpected-account": 1}
    assert "account 2" in verdict.anomalies[0].explanation


def test_negative_balance(bank):
    bank.transfer(0, 1, [START[2], START[0]])
    verdict = judge(bank)
    assert verdict.counts == {"negative-balance": 1}
    assert "account 2 had a balance of -1" in verdict.anomalies[0].explanation


def test_corrupt_is_told_once_and_not_as_missing(bank):
    bank.read(0, 1, START[:2], corrupt=[[2, "00ff"]])
    bank.begin(0, 2, [0, 2]).end(0, "fail", "corrupt", read=[START[0]], corrupt=[[2, "00ff"]])
    assert judge(bank).counts == {"corrupt": 2}


@pytest.mark.parametrize(("record", "at"), [(0, 1), (1, 1), (0, 2), (1, 4)])
@pytest.mark.parametrize("turned", [False, True])
def test_wrong_arithmetic(bank, record, at, turned):
    writes = follow(1, START[:2])
    order = -1 if turned else 1
    bank.begin(0, 1, [0, 1]).end(0, read=START[:2], write=writes[::order])
    assert judge(bank).valid is True
    bank.begin(0, 2, [0, 1])
    writes = follow(2, writes)
    reads = follow(1, START[:2])
    writes[record][at] += 2
    bank.end(0, read=reads, write=writes[::order])
    assert judge(bank).counts == {"wrong-arithmetic": 1}


def test_what_failed_is_not_judged(bank):
    bank.begin(0, 1).end(0, "info", read=START[:1])
    bank.transfer(1, 2, [START[2], START[0]], "fail", error="aborted")
    assert judge(bank).valid is True
