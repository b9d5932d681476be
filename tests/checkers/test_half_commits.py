"""Commits that the client carried out by half: confirmed and excused where the store is sound, and nothing else is."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkers.bank.balance import TotalBalance
from checkers.bank.columns import BANK_ENCODER
from checkers.bank.half_commits import HalfCommits, tell_origin
from checkers.bank.read_back import read_back
from checkers.bank.strict_serializability import StrictSerializability
from checkers.run_checks import merge
from harness.history import History
from harness.protocols import CheckContext
from tests.checkers.conftest import Bank, follow
from tests.checkers.half_sim import EACH, HalfBank

START = [[0, 50, 0, 0, -1], [1, 50, 0, 0, -1]]
SEEDS = st.integers(0, 2**32)


def judge(history, accounts=2, client_anomalies="unknown"):
    checkers = (StrictSerializability(), TotalBalance(accounts, EACH * accounts), HalfCommits())
    context = CheckContext(client_anomalies=client_anomalies)
    return {checker.name: checker.check(history, context) for checker in checkers}


def valid(history, accounts=2, **more):
    return merge(list(judge(history, accounts, **more).values()))


def half_commit(bank, there=0):
    """T1 is acknowledged at 10 and wrote one account only, which T2 then read; all is read back in the end."""
    bank.transfer(0, 1, START, commit_ts=10)
    now = list(START)
    if there is not None:
        now[there] = follow(1, START)[there]
    bank.read(1, 2, now)
    return now


@pytest.mark.parametrize("there", [0, 1, None])
def test_a_half_commit_is_confirmed_and_named(bank, there):
    now = half_commit(bank, there)
    assert valid(bank.history()) is False
    bank.readback(3, 1, 10, now)
    verdicts = judge(bank.history())
    assert [verdict.valid for verdict in verdicts.values()] == [True, True, "unknown"]
    verdict = verdicts["client-anomaly"]
    assert verdict.counts == {"half-commit": 1}
    assert verdict.details == {"acknowledged": 1, "read_back": 1, "whole": 0, "half": 1}
    (anomaly,) = verdict.anomalies
    assert anomaly.ops == [0, 4]
    assert "T1 (index 0, process 0, transfer of 1 from account 0 to account 1)" in anomaly.explanation
    assert "acknowledged as committed at 10" in anomaly.explanation
    missing = "account 0" if there == 1 else "account 1"
    assert f"in place of version 1 of {missing}" in anomaly.explanation
    assert ("nothing of it is there" in anomaly.explanation) == (there is None)


@pytest.mark.parametrize(("choice", "expected"), [("unknown", "unknown"), ("fail", False), ("ignore", True)])
def test_what_it_makes_of_the_verdict_is_chosen(bank, choice, expected):
    bank.readback(3, 1, 10, half_commit(bank))
    assert valid(bank.history(), client_anomalies=choice) is expected


def test_what_was_written_on_top_of_the_missing_write_is_sound(bank):
    """Somebody replaced account 1 while T1 ran, and T1's own write of it, which would have clashed, never came."""
    bank.begin(0, 1, [0, 1])
    other = [[1, 50, 0, 0, -1], [2, 50, 0, 0, -1]]
    bank.transfer(1, 2, other, commit_ts=9)
    bank.end(0, read=START, write=follow(1, START), commit_ts=10)
    after = [follow(1, START)[0], *follow(2, other)]
    bank.read(2, 3, after)
    assert valid(bank.history(), 3) is False
    bank.readback(4, 1, 10, after[:2])
    assert valid(bank.history(), 3) == "unknown"


def test_a_whole_commit_read_back_excuses_nothing(bank):
    """The store lost the write for a reader, and has it: a stale read of the store's, not the client's doing."""
    bank.transfer(0, 1, START, commit_ts=10).read(1, 2, START)
    bank.readback(3, 1, 10, follow(1, START))
    verdicts = judge(bank.history())
    assert verdicts["strict-serializability"].valid is False
    assert verdicts["client-anomaly"].valid is True
    assert verdicts["client-anomaly"].details["whole"] == 1
    tell_origin(list(verdicts.values()))
    assert verdicts["client-anomaly"].note == (
        "origin undecided: of 1 acknowledged commits 1 were read back, 1 of them whole"
    )


@pytest.mark.parametrize("how", ["read", "replaced", "failed"])
def test_a_write_that_was_seen_and_then_lost_is_no_half_commit(bank, how):
    bank.transfer(0, 1, START, commit_ts=10)
    whole, now = follow(1, START), [follow(1, START)[0], START[1]]
    if how == "read":
        bank.read(1, 2, whole)
    elif how == "replaced":
        bank.transfer(3, 2, whole, "info")
    else:
        bank.begin(1, 2, [0, 1]).end(1, "fail", "insufficient-funds", read=whole)
    bank.read(1, 3, now)
    bank.readback(4, 1, 10, now)
    verdicts = judge(bank.history())
    assert verdicts["client-anomaly"].counts == {}
    assert verdicts["strict-serializability"].valid is False


def test_readbacks_that_contradict_each_other_confirm_nothing(bank):
    now = half_commit(bank)
    bank.readback(3, 1, 10, now).readback(4, 1, 10, follow(1, START))
    verdicts = judge(bank.history())
    assert verdicts["client-anomaly"].counts == {}
    assert verdicts["strict-serializability"].valid is False


@pytest.mark.parametrize("change", [{"ts": 11}, {"of": 2}, {"kind": "fail"}])
def test_what_is_no_readback_of_that_commit_confirms_nothing(bank, change):
    now = half_commit(bank)
    bank.readback(3, change.get("of", 1), change.get("ts", 10), now)
    bank.ops[-1].type = change.get("kind", "ok")
    assert valid(bank.history()) is False


def test_a_lost_update_beside_a_half_commit_stays_one(bank):
    now = half_commit(bank)
    bank.begin(3, 5, [0, 1]).begin(4, 6, [0, 1])
    bank.end(3, read=now, write=follow(5, now), commit_ts=20)
    bank.end(4, read=now, write=follow(6, now), commit_ts=21)
    bank.readback(7, 1, 10, now).readback(8, 5, 20, follow(5, now))
    bank.readback(9, 6, 21, follow(6, now))
    verdicts = judge(bank.history())
    assert verdicts["strict-serializability"].counts == {"lost-update": 2}
    assert verdicts["client-anomaly"].counts == {"half-commit": 1}
    tell_origin(list(verdicts.values()))
    assert "origin undecided" in verdicts["client-anomaly"].note
    assert "the 1 half commits do not explain" in verdicts["client-anomaly"].note


def test_a_lost_update_of_what_is_there_of_it_stays_one(bank):
    bank.begin(0, 1, [0, 1]).begin(3, 5, [0, 1])
    bank.end(0, read=START, write=follow(1, START), commit_ts=10)
    bank.end(3, read=START, write=follow(5, START), commit_ts=20)
    bank.readback(7, 1, 10, [follow(1, START)[0], START[1]])
    bank.readback(8, 5, 20, follow(5, START))
    verdicts = judge(bank.history())
    assert verdicts["strict-serializability"].counts == {"lost-update": 1}
    assert verdicts["client-anomaly"].counts == {"half-commit": 1}


def test_a_half_commit_that_read_the_past_is_a_stale_read(bank):
    """It lost its write of account 1, so nothing proves its read of it, but that was stale when it began."""
    other = [[1, 50, 0, 0, -1], [2, 50, 0, 0, -1]]
    bank.transfer(1, 2, other, commit_ts=9)
    bank.transfer(0, 1, START, commit_ts=10)
    bank.readback(4, 1, 10, [follow(1, START)[0], follow(2, other)[0]])
    verdicts = judge(bank.history(), 3)
    assert verdicts["client-anomaly"].counts == {"half-commit": 1}
    assert "G-single-realtime" in verdicts["strict-serializability"].counts


def test_money_that_is_missing_beyond_what_a_half_commit_explains_is_missed(bank):
    now = half_commit(bank)
    bank.readback(3, 1, 10, now)
    wrong = [[0, 49, 0, 0, -1], now[1]]
    bank.read(1, 4, wrong)
    verdict = judge(bank.history())["balance"]
    assert verdict.counts == {"wrong-total": 1}
    assert "-1 against the total of 100" in verdict.anomalies[0].explanation


def test_a_full_total_that_saw_a_half_commit_is_wrong(bank):
    now = half_commit(bank)
    bank.readback(3, 1, 10, now)
    bank.read(1, 4, [now[0], [1, 51, 0, 0, -1]])
    verdict = judge(bank.history())["balance"]
    assert verdict.counts == {"wrong-total": 1}
    assert "+1 against the total of 100, with the half commits that it saw 99" in verdict.anomalies[0].explanation


def test_many_are_counted_and_some_are_shown(bank):
    records = START
    for number in range(1, 31):
        bank.transfer(0, number, records, commit_ts=10 * number)
        records = [follow(number, records)[0], records[1]]
        bank.readback(100 + number, number, 10 * number, records)
    verdict = judge(bank.history())["client-anomaly"]
    assert verdict.counts == {"half-commit": 30}
    assert len(verdict.anomalies) == 10
    assert "30 acknowledged commits are there in part or not at all" in verdict.note


def drawn(seed, **more):
    rng = random.Random(seed)
    bank = HalfBank(rng, rng.randint(5, 60), accounts=rng.choice([2, 3, 4]), **more)
    return bank, History.from_ops(bank.draw(), BANK_ENCODER), len(bank.store.chains)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(SEEDS, st.sampled_from([0.0, 0.1, 0.4, 1.0]))
def test_on_a_sound_store_every_half_commit_is_found_and_nothing_else(seed, half):
    bank, history, accounts = drawn(seed, half=half)
    verdicts = judge(history, accounts)
    assert verdicts["strict-serializability"].valid is True
    assert verdicts["balance"].valid is True
    found = {int(history.op(anomaly.ops[0]).value["id"]) for anomaly in verdicts["client-anomaly"].anomalies}
    assert found <= bank.dropped.keys()
    assert verdicts["client-anomaly"].counts.get("half-commit", 0) == len(bank.dropped)
    assert read_back(history).whole == len(bank.acknowledged) - len(bank.dropped)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(SEEDS)
def test_a_sound_run_is_valid_however_much_is_read_back(seed):
    _, history, accounts = drawn(seed, half=0.0, share=0.5)
    assert valid(history, accounts) is True


def test_unread_half_commits_are_contradictions():
    """The comparison above means nothing if readbacks change nothing."""
    told = [valid(drawn(seed, share=0.0)[1], len(drawn(seed, share=0.0)[0].store.chains)) for seed in range(60)]
    assert told.count(False) > 30


@settings(max_examples=400, deadline=None, derandomize=True)
@given(SEEDS, st.sampled_from(["twice", "stale", "money", "lost"]))
def test_what_the_store_does_wrong_beside_them_is_never_excused(seed, planted):
    bank, _, accounts = drawn(seed)
    more = Bank()
    more.ops = bank.ops
    now = [bank.store.at(account, bank.store.now) for account in range(accounts)]
    number = bank.ids
    if planted == "twice":
        more.begin(50, number + 1, [0, 1]).begin(51, number + 2, [0, 1])
        more.end(50, read=now[:2], write=follow(number + 1, now[:2]), commit_ts=bank.store.tick())
        more.end(51, read=now[:2], write=follow(number + 2, now[:2]), commit_ts=bank.store.tick())
    else:
        ts = bank.store.tick()
        more.transfer(50, number + 1, now[:2], commit_ts=ts)
        after = [*follow(number + 1, now[:2]), *now[2:]]
        if planted == "stale":
            more.read(51, number + 2, now)
            more.readback(number + 3, number + 1, ts, after[:2])
        elif planted == "money":
            after[1][1] += 1
            more.read(51, number + 2, after)
        else:  # it was there, and is not any more
            more.read(51, number + 2, after).read(51, number + 3, [after[0], *now[1:]])
            more.readback(number + 4, number + 1, ts, [after[0], now[1]])
    assert valid(History.from_ops(more.ops, BANK_ENCODER), accounts) is False
