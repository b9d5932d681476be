"""``check`` as a user meets it: the corpus through the command, several files in one call, models, kinds, sources."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from checkers.models import OF_REGISTERS, TRANSACTIONAL
from harness.cli import invoke
from harness.exit_codes import ExitCode, UsageError

CORPUS = Path(__file__).resolve().parents[1] / "corpus"
LEVELS = ("strict-serializable", "serializable", "snapshot-isolation", "read-committed")
EDN = {
    name: {model: verdict["valid"] for model, verdict in models.items()}
    for name, models in json.loads((CORPUS / "elle-verdicts" / "edn" / "expected.json").read_text()).items()
}
ETCD = json.loads((CORPUS / "etcd-register" / "expected.json").read_text())
KV = {path.name: path.stem.endswith("ok") for path in sorted((CORPUS / "kv").glob("*.txt"))}
STALE = CORPUS / "elle" / "si-without-g-single.edn"  # snapshot isolation, but neither serializable nor in real time
KEYS = {"schema_version", "file", "kind", "valid", "models", "anomalies", "took_s"}


def line(type_, process, f, value):
    return {"type": type_, "process": process, "f": f, "value": value}


def write(path, *lines):
    entries = [{"index": index, "time": index, **each} for index, each in enumerate(lines)]
    path.write_text("".join(json.dumps(each) + "\n" for each in entries))
    return path


@pytest.fixture
def check(capsys):
    """Call the command in this process: the exit code, and the objects that it printed."""

    def call(*arguments):
        code = invoke(["check", "--format", "json", *map(str, arguments)])
        return code, [json.loads(each) for each in capsys.readouterr().out.splitlines()]

    return call


def code_of(valid):
    return ExitCode.VALID if valid else ExitCode.ANOMALY


# The corpus.


@pytest.mark.parametrize("name", sorted(EDN))
def test_edn_transactions_of_the_corpus(check, name):
    code, [result] = check(CORPUS / "elle-verdicts" / "edn" / f"{name}.edn")
    assert result["kind"] == {"la": "list-append", "rw": "rw-register"}[name[:2]]
    assert set(result["models"]) == set(TRANSACTIONAL)
    valid = result["valid"]
    assert valid is result["models"]["strict-serializable"]
    assert code == code_of(valid)
    for model, elle in EDN[name].items():
        # Elle misses some invalid histories, but condemns none wrongly; of lists it misses none.
        if elle is False or name.startswith("la"):
            assert result["models"][model] is elle


def test_registers_of_the_corpus(check):
    files = [CORPUS / "etcd-register" / name for name in sorted(ETCD)]
    code, results = check(*files)
    assert code == ExitCode.ANOMALY
    assert [result["file"] for result in results] == [str(file) for file in files]
    assert [result["kind"] for result in results] == ["register"] * len(files)
    assert [result["valid"] for result in results] == [ETCD[name] for name in sorted(ETCD)]
    assert all(set(result["models"]) == set(OF_REGISTERS) for result in results)


def test_strings_by_key_of_the_corpus(check):
    for name, valid in KV.items():
        code, [result] = check(CORPUS / "kv" / name)
        assert (result["kind"], result["valid"], code) == ("kv", valid, code_of(valid))


def test_small_histories_of_the_corpus(check, tmp_path):
    lines = [
        json.loads(each)
        for family in ("list-append", "rw-register", "bank")
        for each in gzip.decompress((CORPUS / "elle-verdicts" / f"{family}.jsonl.gz").read_bytes()).splitlines()[::4]
    ]
    files = []
    for each in lines:
        files.append(tmp_path / f"{each['id']}.jsonl")
        files[-1].write_text("".join(json.dumps(op) + "\n" for op in each["history"]))
    code, results = check(*files)
    assert code == ExitCode.ANOMALY
    for each, result in zip(lines, results, strict=True):
        told = {"list-append": "list-append", "rw-register": "rw-register", "bank": "rw-register"}
        assert result["kind"] == told[each["family"]]
        assert {model: result["models"][model] for model in LEVELS} == each["exact"]
        assert result["exit_code"] == code_of(result["valid"])


# The form of the answer.


def test_an_object_has_the_keys_that_are_promised(check):
    _, [result] = check(STALE)
    assert set(result) >= KEYS
    assert result["schema_version"] == 1
    assert result["file"] == str(STALE)
    assert result["anomalies"]
    for anomaly in result["anomalies"]:
        assert {"name", "ops", "cycle", "explanation"} <= set(anomaly)
        assert all(isinstance(index, int) for index in anomaly["ops"])
        for edge in anomaly["cycle"]:
            assert set(edge) == {"source", "target", "label", "why"}
    assert isinstance(result["took_s"], float)


def test_several_files_get_one_object_each_in_order_whatever_is_wrong_with_one(check, tmp_path, capsys):
    good, broken = CORPUS / "kv" / "c01-ok.txt", tmp_path / "broken.jsonl"
    broken.write_text("not json\n")
    nowhere = tmp_path / "nowhere"
    code, results = check(good, broken, nowhere, STALE, good)
    assert [result["file"] for result in results] == [str(each) for each in (good, broken, nowhere, STALE, good)]
    assert [result["valid"] for result in results] == [True, "unknown", "unknown", False, True]
    assert [result["exit_code"] for result in results] == [0, 2, 2, 1, 0]
    assert code == ExitCode.ANOMALY
    assert all(set(result) >= KEYS for result in results)
    assert ["error" in result for result in results] == [False, True, True, False, False]
    assert "line 1" in results[1]["error"]
    code, _ = check(good, broken)
    assert code == ExitCode.USAGE
    invoke(["check", str(good), str(broken), str(good)])
    said = capsys.readouterr()
    assert said.out.count("kv history, linearizable") == 2
    assert said.err.count("\n") == 1


# Models and kinds.


def test_the_models_asked_for_decide_valid_and_the_exit_code(check):
    for models, valid in (
        ("strict-serializable", False),
        ("serializable", False),
        ("snapshot-isolation", True),
        ("strong-snapshot-isolation", False),
        ("snapshot-isolation,read-committed", True),
        ("read-committed,serializable", False),
    ):
        code, [result] = check("--model", models, STALE)
        assert (code, result["valid"]) == (code_of(valid), valid)
        assert result["asked"] == models.split(",")


def test_serializable_but_not_strict(check, tmp_path):
    file = write(
        tmp_path / "stale.jsonl",
        line("invoke", 0, "txn", [["w", 1, 5]]),
        line("ok", 0, "txn", [["w", 1, 5]]),
        line("invoke", 1, "txn", [["r", 1, None]]),
        line("ok", 1, "txn", [["r", 1, None]]),
    )
    code, [result] = check(file)
    assert (code, result["valid"]) == (ExitCode.ANOMALY, False)
    assert [anomaly["name"] for anomaly in result["anomalies"]] == ["G-single-realtime"]
    code, [result] = check("--model", "serializable", file)
    assert (code, result["valid"]) == (ExitCode.VALID, True)
    assert result["models"]["strict-serializable"] is False


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["--model", "serialisable"], "did you mean 'serializable'"),
        (["--model", "linearizable,strict"], "unknown model 'strict'"),
        (["--model", ""], "names"),
        (["--kind", "list-apend"], "did you mean 'list-append'"),
        (["--check-timeout", "soon"], "check-timeout"),
        (["--check-memory", "10"], "check-memory"),
        (["--check-memory", "much"], "check-memory"),
    ],
)
def test_what_does_not_exist_is_told_before_anything_is_judged(capsys, arguments, hint):
    with pytest.raises(UsageError) as caught:
        invoke(["check", *arguments, str(STALE)])
    assert hint in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capsys.readouterr().out == ""


def test_a_model_that_the_kind_does_not_decide(check):
    code, [result] = check("--model", "linearizable", STALE)
    assert code == ExitCode.USAGE
    assert "linearizable is no model of list-append histories; theirs are read-uncommitted, " in result["error"]


def test_a_kind_against_the_history_is_an_error_with_the_line(check):
    for kind in ("bank", "register", "kv", "set", "queue", "counter", "timestamps", "rw-register"):
        code, [result] = check("--kind", kind, STALE)
        assert code == ExitCode.USAGE, kind
        assert "line 9: " in result["error"], (kind, result)  # the first with an operation


def test_the_order_of_versions_by_key_on_request(check, tmp_path):
    txns = [(1, [["w", 1, 1]]), (1, [["w", 1, 2]]), (2, [["r", 1, 2], ["w", 2, 1]]), (3, [["r", 2, 1], ["r", 1, 1]])]
    lines = [line(type_, process, "txn", value) for process, value in txns for type_ in ("invoke", "ok")]
    file = write(tmp_path / "backwards.jsonl", *lines)
    code, [result] = check("--model", "serializable", file)
    assert (code, result["valid"]) == (ExitCode.VALID, True)
    for order in ("sequential", "linearizable"):
        code, [result] = check("--model", "serializable", "--key-order", order, file)
        assert (code, result["valid"]) == (ExitCode.ANOMALY, False)


def test_the_two_orders_by_key_differ(check, tmp_path):
    """Two processes wrote one after the other; only time tells the order."""
    txns = [(1, [["w", 1, 1]]), (2, [["w", 1, 2]]), (3, [["r", 1, 2], ["w", 2, 1]]), (4, [["r", 2, 1], ["r", 1, 1]])]
    lines = [line(type_, process, "txn", value) for process, value in txns for type_ in ("invoke", "ok")]
    file = write(tmp_path / "backwards.jsonl", *lines)
    for order, valid in (("sequential", True), ("linearizable", False)):
        code, [result] = check("--model", "serializable", "--key-order", order, file)
        assert (code, result["valid"]) == (code_of(valid), valid)


def test_the_order_by_key_is_for_registers_in_transactions_only(check):
    code, [result] = check("--key-order", "sequential", STALE)
    assert code == ExitCode.USAGE
    assert result["error"] == f"--key-order is for rw-register histories, and {STALE} is a list-append history"


def test_a_history_of_two_kinds_needs_one_named(check, tmp_path):
    read = [line("invoke", 0, "txn", [["r", 1, None]]), line("ok", 0, "txn", [["r", 1, None]])]
    file = write(tmp_path / "reads.jsonl", *read)
    code, [result] = check(file)
    assert code == ExitCode.USAGE
    assert "--kind" in result["error"]
    code, [result] = check("--kind", "rw-register", file)
    assert (code, result["valid"]) == (ExitCode.VALID, True)


def test_where_nothing_is_known_to_have_happened_nothing_was_shown(check, tmp_path):
    file = write(tmp_path / "failed.jsonl", line("invoke", 0, "write", 3), line("fail", 0, "write", 3))
    code, [result] = check("--kind", "register", file)
    assert (code, result["valid"]) == (ExitCode.UNKNOWN, "unknown")
    assert any("nothing was shown" in warning for warning in result["warnings"])


# Where a history may come from.


def test_compressed_and_under_any_name(check, tmp_path):
    packed = tmp_path / "packed.edn.gz"
    packed.write_bytes(gzip.compress(STALE.read_bytes()))
    unnamed = tmp_path / "unnamed"
    unnamed.write_bytes(STALE.read_bytes())
    _, [plain, *others] = check(STALE, packed, unnamed)
    for other in others:
        assert {**other, "file": "", "took_s": 0, "history_sha256": ""} == {
            **plain,
            "file": "",
            "took_s": 0,
            "history_sha256": "",
        }


@pytest.mark.parametrize(
    "command", ['cat "$0" | "$@" /dev/stdin', '"$@" /dev/stdin < "$0"', '"$@" <(cat "$0")', '"$@" <(gzip -c "$0")']
)
def test_from_a_pipe(command):
    program = [sys.executable, "-m", "harness.cli", "check"]
    done = subprocess.run(
        ["bash", "-c", command, str(STALE), *program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "NO_COLOR": "1"},
    )
    assert done.returncode == ExitCode.ANOMALY, done.stderr
    assert "list-append history, not strict-serializable" in done.stdout
    assert done.stderr == ""


# Runs.


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    options = ["--time-limit", "4", "--nemesis", "none", "--seed", "3", "--out", str(folder)]
    assert invoke(["run", "bank", *options]) == ExitCode.VALID
    return folder / "bank" / "latest"


def test_a_run_is_told_in_the_same_form(check, finished_run, tmp_path):
    bare = tmp_path / "bare.jsonl"
    bare.write_bytes((finished_run / "history.jsonl").read_bytes())
    code, [run, inside, alone] = check(finished_run, finished_run / "history.jsonl", bare)
    assert code == ExitCode.VALID
    assert [each["file"] for each in (run, inside)] == [str(finished_run), str(finished_run / "history.jsonl")]
    assert set(run) == set(alone) | {"interrupted", "exceeds_assumptions", "run", "report"}
    assert run["kind"] == inside["kind"] == alone["kind"] == "bank"
    assert run["valid"] is inside["valid"] is alone["valid"] is True
    assert run["models"] == inside["models"] == alone["models"]
    assert run["history_sha256"] == alone["history_sha256"]


def test_a_run_answers_for_the_models_asked_for(check, finished_run):
    code, [result] = check("--model", "snapshot-isolation,read-committed", finished_run)
    assert (code, result["valid"]) == (ExitCode.VALID, True)
    assert result["asked"] == ["snapshot-isolation", "read-committed"]


def test_a_run_needs_no_kind_and_no_order(check, finished_run):
    for option, value in (("--kind", "bank"), ("--key-order", "sequential")):
        code, [result] = check(option, value, finished_run)
        assert code == ExitCode.USAGE
        assert "run folder" in result["error"]


def test_a_run_that_is_cut_short_is_unknown_and_stays_as_it_was(check, finished_run):
    before = (finished_run / "results.json").read_bytes()
    code, [result] = check("--check-timeout", "1ms", finished_run)
    assert (code, result["valid"]) == (ExitCode.UNKNOWN, "unknown")
    assert any("given up after 0.001 s" in warning for warning in result["warnings"])
    assert (finished_run / "results.json").read_bytes() == before


def test_a_model_that_a_run_does_not_decide_is_an_error(check, finished_run):
    code, [result] = check("--model", "linearizable", finished_run)
    assert code == ExitCode.USAGE, result
    assert "linearizable" in result["error"]
