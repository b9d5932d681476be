from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from checkers.bank.columns import BANK_ENCODER
from harness.clock import MILLISECOND as MS
from harness.clock import SECOND
from harness.exit_codes import UsageError
from harness.history import History
from harness.recorder import Recorder
from harness.run_folder import RunFolder
from harness.verdict import Anomaly, Verdict
from reports import log_windows
from reports.html import render_report, write_report
from tests.reports import made

MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def bank_history() -> History:
    return History.from_ops(made.bank_run().ops(), BANK_ENCODER)


def text_of(page: str) -> str:
    """What a reader sees, roughly: without tags and style."""
    body = re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", body))


def test_valid_run_says_what_was_shown(bank_history: History) -> None:
    page = text_of(render_report(made.spec(), made.results(), bank_history))
    ok = int(((bank_history.type == 1) & (bank_history.process >= 0)).sum())
    assert f"Valid: no anomaly found {ok:,} of" in page
    assert "4 verified faults (1 partition, 1 leader-transfer, 1 kill, 1 clock-skew) and 1 unverified one" in page
    assert "each of them saw the total of 800." in page
    assert "quorumquake run bank --nemesis partition,kill,pause,clock" in page
    assert "--seed 7" in page
    assert "exit code 0" in page


@pytest.mark.parametrize("size", [2, 3, 5, 9])
def test_cycle_comes_first_and_every_edge_is_explained(bank_history: History, size: int) -> None:
    anomaly = made.cycle_of(bank_history, size)
    page = render_report(made.spec(), made.results(False, verdicts=made.verdicts(anomaly)), bank_history)
    fold = page.index("What was promised")
    assert page.index('class="cycle"') < fold
    drawing = page[page.index('<svg viewBox="0 0', page.index('class="facts"')) : fold]
    assert drawing.count('class="card"') == size
    assert drawing.count("<polygon") == size
    for edge in anomaly.cycle:
        assert edge.why in text_of(drawing)
    for index in anomaly.ops:
        assert f"operation {index} by process" in drawing
    assert "Anomaly found: stale read (G-single-realtime)" in page
    assert "would have to come before itself, which no order of the transactions allows." in text_of(drawing)
    assert all(text_of(page).count(edge.why) == 1 for edge in anomaly.cycle)


def test_long_cycle_is_listed_and_not_drawn(bank_history: History) -> None:
    anomaly = made.cycle_of(bank_history, 30)
    page = render_report(made.spec(), made.results(False, verdicts=made.verdicts(anomaly)), bank_history)
    assert 'class="cycle"' not in page
    assert anomaly.cycle[29].why in page
    assert "and 10 more, in the history." in page


def test_unknown_names_the_minimum_that_was_missed(bank_history: History) -> None:
    missed = Verdict("coverage", "unknown", note="Only 3 ok operations after healing, at least 5 are needed.")
    page = text_of(
        render_report(made.spec(), made.results("unknown", verdicts=[*made.verdicts(), missed]), bank_history)
    )
    assert "Nothing was shown: Only 3 ok operations after healing, at least 5 are needed." in page
    assert "exit code 3" in page


def test_prominent_notes(bank_history: History) -> None:
    anomaly = made.cycle_of(bank_history, 2)
    judged = made.results(False, verdicts=made.verdicts(anomaly), interrupted=True, exceeds_assumptions=True)
    page = text_of(render_report(made.spec(bug="wall-clock-lease"), judged, bank_history))
    fold = page.index("What was promised")
    assert page.index("The system&#39;s assumptions were exceeded.") < fold
    assert page.index("Planted bug: wall-clock-lease.") < fold
    assert page.index("It was caught: G-single-realtime is named.") < fold
    assert page.index("Interrupted.") < fold
    other = made.results(False, verdicts=made.verdicts(Anomaly("wrong-total", anomaly.ops[:1], "790 was seen.")))
    page = text_of(render_report(made.spec(bug="unsynced-log"), other, bank_history))
    assert "It should show as lost-update, which is not named." in page


def test_unfit_verdict_does_not_break_the_page(bank_history: History) -> None:
    """Results may come from another history, or from a checker that is wrong: the page still says so."""
    n = bank_history.n
    odd = Anomaly("no-such-anomaly", [n + 5, -3, 0], "odd", made.cycle_of(bank_history, 2).cycle[:1])
    page = render_report(made.spec(), made.results(False, verdicts=made.verdicts(odd)), bank_history)
    assert "Anomaly found: no-such-anomaly" in page


def test_wrong_total_is_counted() -> None:
    bank = made.bank_run(6)
    read = next(op for op in bank.ops() if op.type == "ok" and op.f == "read" and op.process != "nemesis")
    read.value["read"][0][1] -= 10
    page = text_of(render_report(made.spec(), made.results(), History.from_ops(bank.ops(), BANK_ENCODER)))
    assert "1 of them saw another total than 800." in page


@pytest.mark.parametrize("ops", ["nemesis only", "one invocation", "one failure"])
def test_next_to_nothing(ops: str) -> None:
    bank = made.Bank()
    if ops == "nemesis only":
        bank.fault("kill", SECOND, 2 * SECOND, ["kv1"], {"state": "dead"})
    else:
        bank.add(MS, 0, "invoke", "read", {"id": 1, "via": "scan"})
    if ops == "one failure":
        bank.add(2 * MS, 0, "fail", "read", {"id": 1, "via": "scan"}, "no-client")
    history = History.from_ops(bank.ops(), BANK_ENCODER)
    page = render_report({}, made.results("unknown", stage="recorded"), history)
    assert "Nothing was shown" in page
    assert "Not judged." in page
    assert "there is no spec.json" in page


def test_fault_that_never_ended_or_failed_says_so() -> None:
    bank = made.bank_run(6)
    bank.add(7 * SECOND, "nemesis", "info", "start-pause", {"id": 700})
    bank.add(7 * SECOND + 1, "nemesis", "info", "start-pause", {"id": 700, "targets": ["kv1"]})
    bank.add(8 * SECOND, "nemesis", "info", "start-kill", {"id": 701})
    bank.add(8 * SECOND + 1, "nemesis", "info", "start-kill", {"id": 701, "targets": ["kv1"]}, "no such process")
    page = text_of(render_report(made.spec(), made.results(), History.from_ops(bank.ops(), BANK_ENCODER)))
    assert re.search(r"pause 7\.000 \S 8\.000 s kv1 .{0,20}\? not verified not removed", page)
    assert "failed no such process" in page


def test_written_from_the_folder_alone_and_always_the_same(tmp_path: Path, bank_history: History) -> None:
    folder = RunFolder.create(tmp_path, "bank", "seed7")
    with Recorder(folder.history, folder.columns, BANK_ENCODER) as recorder:
        for op in made.bank_run().ops():
            recorder.record(op)
    history = History.load(folder.path, BANK_ENCODER)
    folder.write_json(folder.spec, made.spec())
    judged = made.results(False, verdicts=made.verdicts(made.cycle_of(history, 3)))
    folder.write_json(folder.results, judged)
    path = write_report(folder, history)
    assert path == folder.report
    first = path.read_bytes()
    assert write_report(folder, history).read_bytes() == first
    assert render_report(made.spec(), judged, bank_history).encode() == first


@pytest.mark.parametrize("name", ["spec.json", "results.json"])
def test_broken_files_are_one_clear_sentence(tmp_path: Path, bank_history: History, name: str) -> None:
    folder = RunFolder.create(tmp_path, "bank", "broken")
    folder.path.joinpath(name).write_bytes(b'{"valid": "mayb')
    with pytest.raises(UsageError, match=f"{name} is not readable"):
        write_report(folder, bank_history)


def test_folder_without_spec_and_results(tmp_path: Path, bank_history: History) -> None:
    page = write_report(RunFolder.create(tmp_path, "bank", "bare"), bank_history).read_text()
    assert "Not judged." in page


def test_page_stays_small_for_a_long_history() -> None:
    bank = made.bank_run(seconds=604, step=6 * MS)
    history = History.from_ops(bank.ops(), BANK_ENCODER)
    assert history.n >= 200_000
    judged = made.results(
        False, verdicts=made.verdicts(*[made.cycle_of(history, 12, start) for start in range(100, 9100, 300)])
    )
    page = render_report(made.spec(), judged, history)
    assert len(page.encode()) < MEGABYTE


def test_ids_are_unique_and_nothing_is_loaded(bank_history: History) -> None:
    judged = made.results(False, verdicts=made.verdicts(made.cycle_of(bank_history, 3)))
    page = render_report(made.spec(), judged, bank_history)
    ids = re.findall(r'\sid="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    assert not re.findall(r"<(?:script|link|img|iframe|object|embed|base|form)\b", page)
    targets = re.findall(r'\b(?:href|src|xlink:href|action)="([^"]*)"', page)
    assert all(target.startswith("#") and target[1:] in ids for target in targets)
    assert not re.search(r"url\((?!#)", page)


def test_real_cluster_shows_what_was_measured_who_led_and_what_was_logged(tmp_path: Path) -> None:
    folder = made.real_folder(tmp_path)
    history = History.load(folder.path, BANK_ENCODER)
    judged = made.results(False, verdicts=made.verdicts(made.cycle_of(history, 3)), exceeds_assumptions=True)
    folder.write_json(folder.results, judged)
    raw = write_report(folder, history).read_text()
    page = text_of(raw)
    assert "before offset 200 µs, tso 1 ms in force offset 60 s, tso 60 s at its end offset 60 s after offset" in page
    assert "before dead pd1 and dead kv2 (state S (sleeping), pid 4711)" in page
    assert re.search(r"clock-step beyond assumptions 25\.000 \S 27\.003 s kv3 .{0,60}\? not verified", page)
    assert "12 threads: the first after 21.7 ms, half of them after 1.8 s, the last, number 11, after 4.35 s" in page
    assert re.search(r"12\.055 \S+ 15\.805 s 3\.75 s kill of pd1 and kv2", page)
    assert "5 leader changes seen: 1 of PD, 4 of regions; for up to 5 s nobody was seen to lead." in page
    assert "15.003 s PD pd1 pd2 3 s kill of pd1 and kv2" in page
    assert "Waits inside the kernel" in page
    assert "info 12 (0.34 %)" in page
    assert raw.count('<details class="logs">') == 6  # of five faults, and of the anomaly
    assert page.count("around 12.000 s: put in place") == 1
    skewed = re.search(r"around 23\.003 s: taken away pd2 (.*?) kv1", page)
    assert skewed
    assert "22." in skewed[1]
    assert "[2026/11/23 11:18:4" in skewed[1]  # what the node believed, a minute ahead
    assert "<b>&lt;script" not in raw
    assert "&lt;b&gt;&amp;lt;script&amp;gt;&lt;/b&gt;" in raw


@pytest.mark.parametrize("gone", ["leaders.jsonl", "logs/origin.json", "logs"])
def test_what_is_missing_in_the_folder_is_left_out(tmp_path: Path, gone: str) -> None:
    folder = made.real_folder(tmp_path)
    path = folder.path / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    page = write_report(folder, History.load(folder.path, BANK_ENCODER)).read_text()
    assert ("Who led" in page) == (gone != "leaders.jsonl")
    assert ("Lines of the nodes" in page) == (gone == "leaders.jsonl")
    assert "Without any ok for more than a second" in page


def test_much_info_is_marked() -> None:
    bank = made.bank_run(6)
    for number in range(200):
        bank.add(SECOND, 1000 + number, "invoke", "read", {"id": 5000 + number, "via": "scan"})
        bank.add(2 * SECOND, 1000 + number, "info", "read", {"id": 5000 + number, "via": "scan"}, "timeout")
    page = render_report(made.spec(), made.results(), History.from_ops(bank.ops(), BANK_ENCODER))
    assert re.search(r'<dt>info</dt><dd class="maybe">\d+ \(\d\d %\)</dd>', page)


def test_lines_of_logs_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_windows, "_CHARACTERS", 20_000)
    folder = made.real_folder(tmp_path)
    page = write_report(folder, History.load(folder.path, BANK_ENCODER)).read_text()
    assert page.count('<details class="logs">') == 2
    assert "the others are in the folder logs" in page


def test_every_number_is_plain_json() -> None:
    """What the spec holds is anything that JSON is: the page copes with all of it."""
    odd: dict[str, Any] = {"nemesis": None, "nodes": "five", "workload_options": [1], "versions": {"a": {"b": [1]}}}
    history = History.from_ops(made.bank_run(6).ops(), BANK_ENCODER)
    page = render_report(msgspec.json.decode(msgspec.json.encode(odd)), made.results(), history)
    assert "an unknown cluster" in page
