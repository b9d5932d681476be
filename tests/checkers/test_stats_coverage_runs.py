"""What the checkers say that do not judge the database: figures, whether enough was tried, and how all are run."""

from __future__ import annotations

import pytest

from checkers.coverage import Coverage
from checkers.run_checks import merge, run_checks
from checkers.stats import Stats
from harness.protocols import CheckContext
from harness.verdict import Verdict

MS = 1_000_000


def check(checker, bank):
    return checker.check(bank.history(), CheckContext())


def evidence(verified):
    return {"id": 1, "targets": ["kv1"], "evidence": {"verified": verified, "measured": {}}}


def test_stats(bank):
    bank.read(0, 1, [])  # 0, 1
    bank.begin(1, 2, [0, 1]).begin(2, 3, [0, 1])  # 2, 3
    bank.end(1, "fail", "write-conflict").end(2, "info", ["undetermined", "x"])  # 4, 5
    bank.nemesis("start-kill", evidence(verified=True)).nemesis("stop-kill")  # 6 to 9
    bank.read(0, 4, [])  # 10, 11
    bank.nemesis("heal-all").begin(5, 5)  # 12, 13; 14
    details = check(Stats(), bank).details
    assert details["operations"] == {"ok": 2, "fail": 1, "info": 2, "info_share": 0.4}
    assert details["by_f"]["transfer"]["latency_ns"]["fail"]["p50"] == 2 * MS
    assert details["by_f"]["read"]["latency_ns"]["ok"] == dict.fromkeys(("p50", "p95", "p99", "max"), MS)
    assert details["errors"]["fail"] == {"write-conflict": 1}
    assert details["errors"]["info"] == {"undetermined": 1}
    assert details["longest_gap"] == {"from_ns": MS, "to_ns": 11 * MS, "length_ns": 10 * MS}
    after = [(entry["f"], entry["recovered_after_ns"]) for entry in details["recoveries"]]
    assert after == [("stop-kill", 2 * MS), ("heal-all", None)]


def test_stats_of_a_run_without_clients(bank):
    assert check(Stats(), bank.nemesis("heal-all")).details["operations"]["ok"] == 0


def test_enough_was_tried(bank):
    bank.read(0, 1, []).nemesis("start-kill", evidence(verified=True)).read(0, 2, [], final=True)
    bank.ops[-2].value["final"] = True
    verdict = check(Coverage(1, 1, {"kill": ["kill"]}), bank)
    assert verdict.valid is True
    assert verdict.details == {
        "ok_main": 1,
        "ok_final": 1,
        "info_share": 0.0,
        "faults": {"kill": {"tried": 1, "verified": 1}},
    }


@pytest.mark.parametrize(
    ("checker", "words"),
    [
        (Coverage(2, 0), "1 ok operation in the main phase, at least 2 are needed"),
        (Coverage(1, 1), "0 ok operations in the final phase, at least 1 are needed"),
        (Coverage(1, 0, {"clock": ["clock-skew", "clock-drift"]}), "no verified fault of clock (1 tried)"),
        (Coverage(1, 0, {"pause": ["pause"]}), "no verified fault of pause (0 tried)"),
    ],
)
def test_too_little_was_tried(bank, checker, words):
    bank.read(0, 1, []).begin(0, 2).end(0, "fail", "x").nemesis("start-clock-drift", evidence(verified=False))
    verdict = check(checker, bank)
    assert verdict.valid == "unknown"
    assert words in verdict.note


def test_a_lasting_fault_in_force_that_nothing_shows_spoils_the_run(bank):
    bank.nemesis("start-kill", evidence(verified=True)).nemesis("start-kill", evidence(verified=False) | {"id": 2})
    verdict = check(Coverage(0, 0, {"kill": ["kill"]}), bank)
    assert verdict.valid == "unknown"
    assert "a kill was put in force" in verdict.note


def test_a_second_attempt_that_is_verified_counts(bank):
    bank.nemesis("start-kill", evidence(verified=False)).nemesis("start-kill", evidence(verified=True))
    assert check(Coverage(0, 0, {"kill": ["kill"]}), bank).valid is True


def test_what_was_never_in_force_spoils_nothing(bank):
    bank.nemesis("start-kill", evidence(verified=True)).nemesis("split", evidence(verified=False))
    bank.nemesis("start-kill", evidence(verified=False) | {"id": 2})
    bank.ops[-1].error = "no such node"
    assert check(Coverage(0, 0, {"kill": ["kill"]}), bank).valid is True


@pytest.mark.parametrize(("info", "valid"), [(1, True), (2, "unknown")])
def test_too_many_outcomes_that_nobody_knows(bank, info, valid):
    for number in range(1, 6):
        bank.begin(number, number).end(number, "info" if number <= info else "ok", read=[])
    verdict = check(Coverage(1), bank)
    assert verdict.valid == valid
    assert ("nobody knows the outcome of 40% of the operations" in verdict.note) == (info == 2)


def test_readbacks_are_no_work(bank):
    bank.read(0, 1, [])
    for number in range(2, 9):
        bank.readback(number, 77, 5, [])
    verdict = check(Coverage(1, 1), bank)
    assert verdict.details["ok_main"] == 1
    assert verdict.details["ok_final"] == 0
    details = check(Stats(), bank).details
    assert details["operations"]["ok"] == 1
    assert details["by_f"]["readback"]["ok"] == 7
    assert details["longest_gap"] == {"from_ns": 0, "to_ns": MS, "length_ns": MS}


def test_faults_that_could_not_be_verified_are_told(bank):
    bank.nemesis("split", evidence(verified=True)).nemesis("split", {"id": 2, "error": "no leader"})
    verdict = check(Coverage(0, 0, {"schedule": ["split", "leader-transfer"]}), bank)
    assert verdict.valid is True
    assert "1 of 2 of schedule" in verdict.note


def test_a_fault_tried_again_is_one_fault(bank):
    bank.nemesis("start-kill", {"id": 1, "error": "down"})
    bank.nemesis("start-kill", {"id": 1, **evidence(verified=True)})
    verdict = check(Coverage(0, 0, {"kill": ["kill"]}), bank)
    assert verdict.details["faults"]["kill"] == {"tried": 1, "verified": 1}
    assert verdict.note == ""


class Crashing:
    name = "crashing"

    def check(self, history, context):
        raise self.error

    def __init__(self, error):
        self.error = error


class Sure:
    name = "sure"

    def __init__(self, valid):
        self.valid = valid

    def check(self, history, context):
        return Verdict(self.name, self.valid)


@pytest.mark.parametrize("error", [ValueError("odd"), MemoryError(), RecursionError(), KeyError("x")])
def test_a_crash_is_unknown_and_spares_the_others(bank, error):
    verdicts = run_checks([Crashing(error), Sure(valid=True)], bank.history, CheckContext())
    assert [verdict.valid for verdict in verdicts] == ["unknown", True]
    assert type(error).__name__ in verdicts[0].note
    assert all(verdict.took_s >= 0 for verdict in verdicts)
    assert merge(verdicts) == "unknown"
    assert merge([*verdicts, Verdict("v", valid=False)]) is False


def test_an_interruption_is_no_verdict(bank):
    with pytest.raises(KeyboardInterrupt):
        run_checks([Crashing(KeyboardInterrupt())], bank.history, CheckContext())


def test_nothing_checked_is_unknown():
    assert merge([]) == "unknown"
