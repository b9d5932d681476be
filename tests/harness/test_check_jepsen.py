"""Histories as Jepsen leaves them, of every kind, through ``check``: what is said names the indices of the file."""

from __future__ import annotations

import json

import pytest

from checkers.kinds import KINDS
from harness.cli import invoke
from harness.exit_codes import ExitCode

NEMESIS = (
    "{:type :info, :f :start-partition, :value :majority, :process :nemesis, :time 2, :index %d}",
    '{:type :info, :f :start-partition, :value [:isolated {"n1" #{"n2" "n3"}}], :process :nemesis, :time 3, :index %d}',
)


def edn(*entries, step=1, record="", vector=False):
    """``entries`` are process, type, f and value; indices rise by ``step``, and the nemesis comes after the first."""
    lines = []
    for process, type_, f, value in entries:
        index = step * len(lines)
        error = ', :error [:timeout "no answer"]' if type_ == "info" else ""
        lines.append(
            f"{record}{{:index {index}, :time {9 * index}, :type :{type_}, :process {process}, :f :{f}, "
            f":value {value}{error}}}"
        )
        if len(lines) == 1:
            lines += [each % (step * (at + 1)) for at, each in enumerate(NEMESIS)]
    return "[" + "\n ".join(lines) + "]\n" if vector else "\n".join(lines) + "\n"


def done(process, f, asked, told=None):
    return [(process, "invoke", f, asked), (process, "ok", f, told or asked)]


@pytest.fixture
def check(tmp_path, capsys):
    def call(text, *arguments):
        file = tmp_path / "history.edn"
        file.write_text(text)
        codes = {invoke(["check", *form, *arguments, str(file)]) for form in ([], ["--format", "json"])}
        said = capsys.readouterr()
        assert said.err == ""
        text, _, line = said.out.rstrip("\n").rpartition("\n")
        [code] = codes
        return code, text, json.loads(line)

    return call


READ = ("read", "[:x nil]", "[:x 1]")
# The last operation is what is wrong; without it the history is fine.
HISTORIES = {
    "register": [*done(0, "write", "[:x 1]"), *done(1, "cas", "[:x [1 2]]"), *done(2, *READ)],
    "list-append": [
        *done(0, "txn", '[[:append "x" 1]]'),
        *done(1, "txn", '[[:r "x" nil] [:append "x" 2]]', '[[:r "x" [1]] [:append "x" 2]]'),
        *done(2, "txn", '[[:r "x" nil]]', '[[:r "x" [1]]]'),
    ],
    "rw-register": [
        *done(0, "txn", "[[:w [:t 1] 1]]"),
        *done(1, "txn", "[[:r [:t 1] nil] [:w [:t 1] 2]]", "[[:r [:t 1] 1] [:w [:t 1] 2]]"),
        *done(2, "txn", "[[:r [:t 1] nil]]", "[[:r [:t 1] 1]]"),
    ],
    "bank-totals": [
        *done(0, "transfer", "{:from 0, :to 1, :amount 5}"),
        *done(1, "read", "nil", "{0 5, 1 15}"),
        *done(2, "read", "nil", "{0 5, 1 10}"),
    ],
    "set": [*done(0, "add", "1"), *done(1, "read", "nil", "#{1}"), *done(2, "read", "nil", "#{}")],
    "queue": [*done(0, "enqueue", "1"), *done(1, "dequeue", "nil", "1"), *done(2, "dequeue", "nil", "1")],
    "counter": [*done(0, "add", "5"), *done(1, "read", "nil", "5"), *done(2, "read", "nil", "4")],
    "timestamps": [*done(0, "ts", "nil", "5"), *done(1, "ts", "nil", "7"), *done(2, "ts", "nil", "6")],
}


def test_there_is_a_history_of_every_kind_that_jepsen_has():
    assert HISTORIES.keys() == KINDS.keys() - {"bank", "kv"}  # our own, and Porcupine's


@pytest.mark.parametrize("kind", HISTORIES)
@pytest.mark.parametrize("form", [{}, {"record": "#jepsen.history.Op"}, {"vector": True}])
def test_every_kind_is_told_and_its_anomaly_blamed_on_the_operations_of_the_file(check, kind, form):
    code, text, result = check(edn(*HISTORIES[kind][:-2], **form))
    assert (code, result["kind"], result["valid"]) == (ExitCode.VALID, kind, True), text
    code, text, result = check(edn(*HISTORIES[kind], step=10, **form))
    assert (code, result["kind"], result["valid"]) == (ExitCode.ANOMALY, kind, False), text
    last = 10 * len(HISTORIES[kind])  # the invocation of the last operation, behind two entries of the nemesis
    assert last in result["anomalies"][0]["ops"]
    assert f"index {last}" in text
    assert all(index % 10 == 0 for anomaly in result["anomalies"] for index in anomaly["ops"])


def test_without_indices_and_times_operations_are_counted(check):
    text = edn(*HISTORIES["register"]).replace(":index", ":position").replace(":time", ":clock")
    _, said, result = check(text)
    assert result["anomalies"][0]["ops"][0] in (4, 6)
    assert "(index 6)" in said


def test_where_nothing_is_known_to_have_happened_nothing_holds(check):
    asked = [(0, "invoke", "write", "1"), (0, "info", "write", "1")]
    code, text, result = check(edn(*asked), "--kind", "register")
    assert (code, result["valid"]) == (ExitCode.UNKNOWN, "unknown")
    assert set(result["models"].values()) == {"unknown"}, text


def test_what_a_nemesis_leaves_open_is_no_warning(check):
    alone = NEMESIS[0] % 9
    _, _, result = check(edn(*done(0, "write", "1")) + alone.replace("start", "stop") + "\n")
    assert result["warnings"] == []


def test_keys_that_are_lists_are_quoted(check):
    _, text, _ = check(edn(*HISTORIES["rw-register"]))
    assert 'key ["t" 1]' in text


def test_an_info_whose_write_was_seen_counts_and_one_that_was_not_does_not(check):
    begun = [(0, "invoke", "write", "1"), (0, "info", "write", "1")]
    seen = [*done(1, "read", "nil", "1"), *done(2, "read", "nil", "nil")]
    code, text, _ = check(edn(*begun, *done(2, "read", "nil", "nil"), *done(1, "read", "nil", "1")))
    assert code == ExitCode.VALID, text
    code, text, result = check(edn(*begun, *seen))
    assert (code, result["models"]["linearizable"]) == (ExitCode.ANOMALY, False), text
