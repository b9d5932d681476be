"""Each anomaly planted, at the first version and in mid-chain; and what must not be called one."""

from __future__ import annotations

import pytest

from checkers.evidence import SHOWN_OF_EACH
from tests.checkers.conftest import Bank, follow


def start(bank, depth):
    """Let ``depth`` transfers from account 0 to 1 go by; return the records of both accounts and the next id."""
    records = [[0, 100, 0, 0, -1], [1, 100, 0, 0, -1]]
    for number in range(1, depth + 1):
        bank.transfer(0, number, records)
        records = follow(number, records)
    return records, depth + 1


DEPTHS = pytest.mark.parametrize("depth", [0, 1, 7])


def only(verdict, name):
    assert verdict.valid is False
    assert list(verdict.counts) == [name], verdict.counts
    assert verdict.anomalies[0].name == name
    return verdict.anomalies[0]


def test_of_nothing_everything_is_true(bank):
    assert bank.nemesis("heal-all").judge().valid is True


def test_one_operation(bank):
    assert bank.read(0, 1, [[0, 5, 0, 0, -1]]).judge().valid is True


def test_open_operations_constrain_nothing(bank):
    start(bank, 2)
    bank.begin(4, 9, [0, 1]).begin(5, 10)
    assert bank.judge().valid is True


@DEPTHS
def test_lost_update(bank, depth):
    records, number = start(bank, depth)
    bank.begin(1, number, [0, 1]).begin(2, number + 1, [0, 1])
    bank.end(1, read=records, write=follow(number, records))
    bank.end(2, read=records, write=follow(number + 1, records))
    verdict = bank.judge()
    assert verdict.counts == {"lost-update": 2}  # of both accounts
    told = verdict.anomalies[0].explanation
    assert f"T{number} " in told
    assert f"T{number + 1} " in told
    assert f"version {depth + 1} of account 0" in told
    assert "snapshot-isolation" in verdict.anomalies[0].rules_out
    assert "read-committed" not in verdict.anomalies[0].rules_out


@DEPTHS
def test_no_lost_update_with_what_nobody_saw(bank, depth):
    records, number = start(bank, depth)
    bank.transfer(1, number, records, "info")
    bank.transfer(2, number + 1, records)
    assert bank.judge().valid is True


@DEPTHS
def test_aborted_read(bank, depth):
    records, number = start(bank, depth)
    bank.begin(1, number, [0, 1]).end(1, "fail", "aborted", read=records)
    bank.read(2, number + 1, follow(number, records))
    told = only(bank.judge(), "G1a").explanation
    assert "had failed (aborted)" in told


@DEPTHS
def test_aborted_write_replaced(bank, depth):
    records, number = start(bank, depth)
    bank.begin(1, number, [0, 1]).end(1, "fail", "aborted")
    bank.transfer(2, number + 1, follow(number, records))
    only(bank.judge(), "G1a")


@DEPTHS
@pytest.mark.parametrize(("at", "to"), [(1, 7), (2, 30), (3, 999), (4, 998)])
def test_garbage_read(bank, depth, at, to):
    records, number = start(bank, depth)
    bank.transfer(1, number, records)
    records = follow(number, records)
    records[0][at] = to
    bank.read(2, number + 1, records)
    told = only(bank.judge(), "garbage-read")
    assert told.ops[0] == len(bank.ops) - 2


def test_garbage_of_the_set_up(bank):
    bank.read(0, 1, [[0, 100, 0, 0, -1]]).read(0, 2, [[0, 101, 0, 0, -1]])
    only(bank.judge(), "garbage-read")


@DEPTHS
def test_own_later_write(bank, depth):
    records, number = start(bank, depth)
    bank.begin(1, number, [0, 1])
    after = follow(number, records)
    bank.end(1, read=[after[0], records[1]], write=after)
    only(bank.judge(), "future-read")


@DEPTHS
def test_stale_read(bank, depth):
    records, number = start(bank, depth)
    bank.transfer(1, number, records)
    bank.read(2, number + 1, records)
    anomaly = only(bank.judge(), "G-single-realtime")
    assert {edge.label for edge in anomaly.cycle} == {"rw", "realtime"}
    assert f"T{number + 1} read version {depth} of account 0" in anomaly.explanation
    assert f"which T{number} overwrote with version {depth + 1}" in anomaly.explanation
    assert "strong-snapshot-isolation" in anomaly.rules_out
    assert "serializable" not in anomaly.rules_out


@DEPTHS
def test_stale_read_in_its_own_session(bank, depth):
    records, number = start(bank, depth)
    bank.transfer(1, number, records)
    bank.read(1, number + 1, records)
    anomaly = only(bank.judge(), "G-single-process")
    assert {edge.label for edge in anomaly.cycle} == {"rw", "process"}


@DEPTHS
def test_old_snapshot_may_be_stale(bank, depth):
    records, number = start(bank, depth)
    bank.transfer(1, number, records)
    bank.read(1, number + 1, records, via="old-snapshot")
    assert bank.judge().valid is True


@DEPTHS
def test_nobody_goes_back_behind_an_old_snapshot(bank, depth):
    records, number = start(bank, depth)
    bank.begin(3, number + 1)
    bank.begin(1, number, [0, 1])
    bank.read(2, number + 2, follow(number, records), via="old-snapshot")
    bank.end(1, read=records, write=follow(number, records))
    bank.end(3, read=records)
    assert bank.judge().valid is True
    bank.read(4, number + 3, records)
    only(bank.judge(), "G-single-realtime")


@DEPTHS
def test_read_skew(bank, depth):
    records, number = start(bank, depth)
    bank.begin(1, number, [0, 1]).begin(2, number + 1)
    bank.end(2, read=[follow(number, records)[0], records[1]])
    bank.end(1, read=records, write=follow(number, records))
    anomaly = only(bank.judge(), "G-single")
    assert sorted(edge.label for edge in anomaly.cycle) == ["rw", "wr"]
    assert "before itself" in anomaly.explanation


@DEPTHS
def test_long_fork(bank, depth):
    records, number = start(bank, depth)
    others = [[2, 100, 0, 0, -1], [3, 100, 0, 0, -1]]
    bank.begin(1, number, [0, 1]).begin(2, number + 1, [2, 3]).begin(3, number + 2).begin(4, number + 3)
    bank.end(3, read=follow(number, records) + others)
    bank.end(4, read=records + follow(number + 1, others))
    bank.end(1, read=records, write=follow(number, records))
    bank.end(2, read=others, write=follow(number + 1, others))
    anomaly = only(bank.judge(), "G-nonadjacent")
    assert sorted(edge.label for edge in anomaly.cycle) == ["rw", "rw", "wr", "wr"]


@DEPTHS
def test_writes_in_a_circle(bank, depth):
    records, number = start(bank, depth)
    one = follow(number, records)
    bank.begin(1, number, [0, 1]).begin(2, number + 1, [0, 1])
    second = follow(number + 1, [one[0], records[1]])
    first = [one[0], follow(number, [records[0], second[1]])[1]]
    bank.end(1, read=[records[0], second[1]], write=first)
    bank.end(2, read=[one[0], records[1]], write=second)
    anomaly = only(bank.judge(), "G0")
    assert [edge.label for edge in anomaly.cycle] == ["ww", "ww"]
    assert anomaly.rules_out[0] == "read-uncommitted"


@DEPTHS
def test_a_seen_transfer_of_unknown_outcome_is_committed(bank, depth):
    """Its read counts, and it replaced what it says: a later read that misses it is stale."""
    records, number = start(bank, depth)
    bank.begin(1, number, [0, 1]).end(1, "info", "undetermined")
    after = follow(number, records)
    bank.read(2, number + 1, after)
    assert bank.judge().valid is True
    bank.read(3, number + 2, records)
    assert bank.judge().valid is False


@DEPTHS
def test_a_transfer_of_unknown_outcome_may_take_effect_late(bank, depth):
    records, number = start(bank, depth)
    bank.transfer(1, number, records, "info", error="undetermined")
    bank.read(2, number + 1, records)
    bank.read(3, number + 2, follow(number, records))
    assert bank.judge().valid is True


@DEPTHS
def test_a_transfer_never_takes_effect_before_it_began(bank, depth):
    records, number = start(bank, depth)
    bank.read(2, number + 1, follow(number, records))
    bank.transfer(1, number, records, "info", error="undetermined")
    only(bank.judge(), "G1c-realtime")


def test_a_chain_of_transfers_known_only_from_each_other(bank):
    """Each was seen only by the next, whose outcome nobody knows either, but for the last."""
    records, _ = start(bank, 0)
    for number in range(1, 6):
        bank.transfer(number, number, records, "info")
        records = follow(number, records)
    bank.read(9, 9, records)
    verdict = bank.judge()
    assert verdict.valid is True
    assert verdict.details["transactions"] == 6


@DEPTHS
@pytest.mark.parametrize("ts", [10, 19])
def test_old_snapshot_that_is_not_the_state_at_its_timestamp(bank, depth, ts):
    records, number = start(bank, depth)
    bank.transfer(1, number, records, commit_ts=10)
    between = follow(number, records)
    bank.transfer(1, number + 1, between, commit_ts=20)
    bank.read(2, number + 2, between, via="old-snapshot", ts=ts)
    assert bank.judge().valid is True
    bank.read(2, number + 3, records, via="old-snapshot", ts=ts)
    assert bank.judge().counts == {"stale-read": 2}
    early = Bank()
    start(early, depth)
    early.transfer(1, number, records, commit_ts=10).transfer(1, number + 1, between, commit_ts=20)
    early.read(2, number + 2, follow(number + 1, between), via="old-snapshot", ts=ts)
    verdict = early.judge()
    assert verdict.counts == {"future-read": 2}
    assert "was committed later, at 20" in verdict.anomalies[0].explanation


def test_what_is_known_of_neighbours_bounds_an_unknown_commit(bank):
    records, _ = start(bank, 0)
    one = follow(1, records)
    bank.transfer(1, 1, records, "info")
    bank.transfer(2, 2, one, commit_ts=20)
    bank.read(3, 3, one, via="old-snapshot", ts=15)
    bank.read(3, 4, records, via="old-snapshot", ts=15)
    assert bank.judge().valid is True
    bank.read(3, 5, records, via="old-snapshot", ts=20)
    assert bank.judge().counts == {"stale-read": 2}


def test_all_are_counted_and_some_are_shown(bank):
    for number in range(1, 40, 2):
        bank.read(number, number, [[number, 1, 0, 0, -1]]).read(number, number + 1, [[number, 2, 0, 0, -1]])
    verdict = bank.judge()
    assert verdict.counts == {"garbage-read": 20}
    assert len(verdict.anomalies) == SHOWN_OF_EACH


def test_two_operations_of_one_id_are_refused(bank):
    bank.read(1, 1, []).read(2, 1, [])
    with pytest.raises(ValueError, match="same id"):
        bank.judge()


@pytest.mark.parametrize("number", [5, 2**62])
def test_versions_and_accounts_of_any_size(bank, number):
    records = [[0, 100, 0, 0, -1], [number, 100, 0, 0, -1]]
    bank.transfer(1, number, records)
    bank.read(2, number + 1, follow(number, records))
    assert bank.judge().valid is True
    bank.read(3, number + 2, [[0, 100, 2**62, number, 0]])
    only(bank.judge(), "garbage-read")


def test_a_component_of_thirty_thousand_transactions(bank):
    """The last transfer of a long chain was read before the first began; one cycle through everything."""
    records, last = [[0, 100, 0, 0, -1], [1, 100, 0, 0, -1]], 30_000
    chain = [records]
    for number in range(1, last + 1):
        chain.append(follow(number, chain[-1]))
    bank.begin(1, last + 1).end(1, read=chain[-1])
    for number in range(1, last + 1):
        bank.transfer(2, number, chain[number - 1])
    verdict = bank.judge()
    assert verdict.valid is False
    assert verdict.details["largest_component"] == last + 1
    assert list(verdict.counts) == ["G1c-realtime"]
    assert len(verdict.anomalies[0].cycle) == 2


def test_a_long_cycle_is_told_in_short(bank):
    """A chain over 300 accounts, each transfer on top of the one before; a read saw its end and not its beginning."""
    n = 300
    bank.begin(1, n + 1)
    state = {account: [account, 100, 0, 0, -1] for account in range(n + 1)}
    start = list(state[0])
    for number in range(1, n + 1):
        bank.begin(number + 1, number, [number - 1, number])
    for number in range(1, n + 1):
        reads = [state[number - 1], state[number]]
        bank.end(number + 1, read=reads, write=follow(number, reads))
        state |= {record[0]: record for record in follow(number, reads)}
    bank.end(1, read=[start, state[n]])
    verdict = bank.judge()
    anomaly = only(verdict, "G-single")
    assert verdict.details["largest_component"] == n + 1
    assert len(anomaly.explanation) < 10_000
    assert [edge.label for edge in anomaly.cycle].count("path") == 1
    assert anomaly.cycle[0].label == "rw"
    for edge, following in zip(anomaly.cycle, [*anomaly.cycle[1:], *anomaly.cycle[:1]], strict=True):
        assert edge.target == following.source
