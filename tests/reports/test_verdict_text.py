from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from checkers.bank.columns import BANK_ENCODER
from harness.history import History
from harness.verdict import Anomaly, Verdict
from reports.overview import Overview, overview
from reports.verdict_text import summary_json, summary_text
from tests.reports import made


@pytest.fixture(scope="module")
def short_history() -> History:
    return History.from_ops(made.bank_run(6).ops(), BANK_ENCODER)


@pytest.fixture(scope="module")
def seen(short_history: History) -> Overview:
    return overview(short_history)


def test_valid(seen: Overview) -> None:
    text = summary_text(made.results(), seen, report=Path("runs/x/report.html"), replay="quorumquake run bank --seed 7")
    first, second = text.splitlines()[:2]
    assert first == "Valid: no anomaly found (exit code 0)"
    assert second.startswith(f"{seen.ok:,} of {seen.operations:,} operations were ok, under 4 verified faults")
    assert "report:     runs/x/report.html\n" in text
    assert text.endswith("again:      quorumquake run bank --seed 7\n")


def test_anomaly_is_named_and_each_edge_said_once(short_history: History, seen: Overview) -> None:
    anomaly = made.cycle_of(short_history, 3, 40)
    other = Anomaly("wrong-total", anomaly.ops[:1], "It saw 790.")
    text = summary_text(made.results(False, verdicts=made.verdicts(anomaly, other)), seen)
    assert text.startswith("Anomaly found: stale read (G-single-realtime) (exit code 1)\n")
    flat = " ".join(text.split())
    assert all(flat.count(edge.why) == 1 for edge in anomaly.cycle)
    assert "would have to come before itself" in flat
    assert "and 1 other anomaly shown in the report: Wrong total" in flat
    assert max(map(len, text.splitlines())) <= 110


def test_unknown_says_what_was_missed(seen: Overview) -> None:
    missed = [Verdict("coverage", "unknown", note="No kill was verified."), Verdict("cycles", "unknown")]
    text = " ".join(summary_text(made.results("unknown", verdicts=missed), seen).split())
    assert "Nothing was shown: No kill was verified; the checker cycles came to no verdict." in text


HALF = Anomaly("half-commit", [4], "half-commit: T17 was acknowledged, and half of it is there.")
NOTE = "1 acknowledged commit is there in part or not at all"


@pytest.mark.parametrize(
    ("valid", "headline", "told"),
    [
        ("unknown", "Client anomaly: half commits", f"{NOTE}. With only what is there counted, every checker passed"),
        (True, "Valid, but for half commits", f"every checker passed. But {NOTE}; they were asked to be ignored."),
        (False, "Anomaly found: half commit", f"it dropped the rest on its way to TiKV. {NOTE}."),
    ],
)
def test_half_commits_are_the_clients(seen: Overview, valid, headline: str, told: str) -> None:
    client = Verdict("client-anomaly", valid, [HALF], {"half-commit": 1}, note=NOTE)
    verdicts = [Verdict("strict-serializability", valid=True), client]
    text = summary_text(made.results(valid, verdicts=verdicts), seen)
    assert text.startswith(f"{headline} (exit code ")
    assert told in " ".join(text.split())
    assert "T17 was acknowledged" in text


def test_an_anomaly_of_which_nobody_knows_whose_it_is(short_history: History, seen: Overview) -> None:
    anomaly = made.cycle_of(short_history, 3, 40)
    client = Verdict("client-anomaly", valid=True, note="origin undecided: of 9 acknowledged commits 9 were read back")
    text = summary_text(made.results(False, verdicts=[*made.verdicts(anomaly), client]), seen)
    assert text.startswith("Anomaly found: stale read")
    assert "Origin undecided: of 9 acknowledged commits 9 were read back." in " ".join(text.split())


def test_half_commits_do_not_hide_that_too_little_was_tried(seen: Overview) -> None:
    verdicts = [
        Verdict("client-anomaly", "unknown", [HALF], {"half-commit": 1}, note=NOTE),
        Verdict("coverage", "unknown", note="no verified fault of kill"),
    ]
    text = summary_text(made.results("unknown", verdicts=verdicts), seen)
    assert text.startswith("Unknown (exit code ")
    assert f"Nothing was shown: {NOTE}; no verified fault of kill." in " ".join(text.split())


def test_hostile_text_cannot_drive_the_terminal(short_history: History, seen: Overview) -> None:
    evil = "\x1b]0;owned\x07\x1b[2J\u202e\r" + "y" * 100_000
    good = made.cycle_of(short_history, 2, 40)
    edges = [msgspec.structs.replace(edge, label=evil, why=evil) for edge in good.cycle]
    verdict = Verdict(evil, False, [Anomaly(evil, good.ops, evil, edges)] * 3, {evil: 3}, note=evil)
    text = summary_text(
        made.results(False, verdicts=[verdict], warnings=[evil]), seen, report=Path(evil), run=Path(evil), replay=evil
    )
    assert not set(text) & set("\x1b\x07\r\u202e")
    assert len(text) < 40_000


def test_json_is_one_object_on_one_line(short_history: History) -> None:
    anomaly = made.cycle_of(short_history, 3, 40)
    judged = made.results(False, verdicts=made.verdicts(anomaly), took_s=0.23456)
    text = summary_json(judged, run=Path("runs/x"))
    assert text.count("\n") == 1
    found = msgspec.json.decode(text)
    assert found["schema_version"] == 1
    assert found["valid"] is False
    assert (found["run"], found["report"], found["took_s"]) == ("runs/x", None, 0.235)
    assert msgspec.convert(found["anomalies"][0], Anomaly) == anomaly
    assert found["anomalies"][0]["cycle"][0]["label"] == "wr"


def test_json_keeps_unknown_a_word() -> None:
    assert msgspec.json.decode(summary_json(made.results("unknown")))["valid"] == "unknown"
