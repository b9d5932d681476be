"""What is no history, through the command: one sentence that names the line, exit code 2, and soon."""

from __future__ import annotations

import json
import resource
import subprocess
import sys

import pytest

from harness.cli import invoke
from harness.exit_codes import ExitCode

JSON = '{{"index":{index},"time":{index},"type":"{type}","process":{process},"f":"{f}","value":{value}}}'
EDN = "{{:index {index}, :time {index}, :type :{type}, :process {process}, :f :{f}, :value {value}}}"


def op(index, type_, process, f, value):
    return {"index": index, "type": type_, "process": process, "f": f, "value": value}


GOOD = [op(0, "invoke", 0, "write", "1"), op(1, "ok", 0, "write", "1")]
NOTHING = {"json": "null", "edn": "nil"}
BAD = {
    "mixed-up indices": ([*GOOD, op(0, "invoke", 0, "write", "7")], 3),
    "an index twice": ([*GOOD, op(1, "invoke", 0, "write", "7")], 3),
    "a completion without an invocation": ([*GOOD, op(2, "ok", 1, "write", "7")], 3),
    "two completions": ([*GOOD, op(2, "ok", 0, "write", "1")], 3),
    "two open operations of one process": (
        [*GOOD, op(2, "invoke", 0, "write", "2"), op(3, "invoke", 0, "write", "3")],
        4,
    ),
    "a completion of something else": ([*GOOD, op(2, "invoke", 0, "write", "2"), op(3, "ok", 0, "read", "2")], 4),
    "a cas without a pair": ([*GOOD, op(2, "invoke", 0, "cas", "2"), op(3, "ok", 0, "cas", "2")], 3),
    "an operation that registers do not know": ([*GOOD, op(2, "invoke", 0, "swap", "2")], 3),
    "an index beyond 64 bits": ([*GOOD, op(2**64, "invoke", 0, "write", "2")], 3),
    "a process beyond 64 bits": ([*GOOD, op(2, "invoke", 2**70, "write", "2")], 3),
    "a value beyond 64 bits": ([*GOOD, op(2, "invoke", 0, "write", str(2**64))], 3),
    "an unknown type": ([*GOOD, op(2, "maybe", 0, "write", "2")], 3),
}


def text_of(form, ops):
    return "".join({"json": JSON, "edn": EDN}[form].format(**each) + "\n" for each in ops)


@pytest.fixture
def check(capsys, tmp_path):
    def call(content, suffix, *arguments):
        file = tmp_path / f"history.{suffix}"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        code = invoke(["check", "--format", "json", *arguments, str(file)])
        said = capsys.readouterr()
        return code, json.loads(said.out), said.err

    return call


def refused(answer, line):
    code, result, err = answer
    assert code == ExitCode.USAGE, result
    assert f"line {line}: " in result["error"]
    assert err == f"quorumquake: {result['error']}\n"
    assert "Traceback" not in err


@pytest.mark.parametrize("form", ["json", "edn"])
@pytest.mark.parametrize("name", BAD)
def test_what_contradicts_itself_is_refused_with_the_line(check, form, name):
    ops, line = BAD[name]
    refused(check(text_of(form, ops), {"json": "jsonl", "edn": "edn"}[form], "--kind", "register"), line)


@pytest.mark.parametrize(("form", "broken"), [("json", '{"index":2,\n'), ("edn", "{:index 2 :type\n"), ("edn", "}\n")])
def test_what_cannot_be_parsed_is_refused_with_the_line(check, form, broken):
    more = text_of(form, [op(2, "invoke", 0, "write", "2")])
    code, result, _ = check(text_of(form, GOOD) + broken + more, {"json": "jsonl", "edn": "edn"}[form])
    assert code == ExitCode.USAGE
    assert "line " in result["error"]


@pytest.mark.parametrize("form", ["json", "edn"])
def test_a_torn_last_line_and_open_operations_are_warnings(check, form):
    whole = text_of(form, [*GOOD, op(2, "invoke", 0, "write", "2"), op(3, "invoke", 1, "write", "3")])
    code, result, err = check(whole[:-20], {"json": "jsonl", "edn": "edn"}[form])
    assert (code, result["valid"], result["kind"], err) == (ExitCode.VALID, True, "register", "")
    assert "error" not in result
    assert any("last line" in warning or "torn" in warning for warning in result["warnings"])
    code, result, err = check(whole, {"json": "jsonl", "edn": "edn"}[form])
    assert (code, err) == (ExitCode.VALID, "")


def test_one_operation_of_a_wrong_shape_is_found_though_the_kind_was_not_said(check):
    more = [op(4, "invoke", 0, "read", "nil"), op(5, "ok", 0, "read", "1")]
    for wrong in (op(2, "invoke", 0, "swap", "2"), op(2, "invoke", 0, "cas", "5")):
        answer = check(text_of("edn", [*GOOD, wrong, op(3, "fail", 0, wrong["f"], "2"), *more]), "edn")
        refused(answer, 3)
        assert "is not a register history: " in answer[2]


def test_a_history_without_anything_is_said_to_be_that(check):
    for nothing in ("", "[]"):
        code, result, _ = check(nothing, "edn")
        assert code == ExitCode.USAGE
        assert result["error"].endswith("has no operations")


def test_jepsens_folder_is_taken_for_the_history_in_it(tmp_path, capsys):
    (tmp_path / "history.edn").write_text(text_of("edn", GOOD))
    (tmp_path / "test.jepsen").write_bytes(b"JEPSEN")
    assert invoke(["check", str(tmp_path)]) == ExitCode.VALID
    assert "register history, linearizable" in " ".join(capsys.readouterr().out.split())


def test_a_warning_is_given_once(check):
    _, result, _ = check(text_of("edn", GOOD) + "{:index 2", "edn")
    assert len(result["warnings"]) == 1


def test_models_of_what_is_not_judged_by_models(check):
    code, result, _ = check(
        text_of("edn", [op(0, "invoke", 0, "add", "1")]), "edn", "--kind", "set", "--model", "causal"
    )
    assert code == ExitCode.USAGE
    assert "a set history is not judged by consistency models" in result["error"]


ENDLESS = {
    "a line of one letter": "head -c 1G /dev/zero | tr '\\0' x",
    "a line of digits": "head -c 1G /dev/zero | tr '\\0' 1",
    "a value of JSON": """printf '{"index":0,"value":"'; head -c 1G /dev/zero | tr '\\0' x""",
    "a value of EDN": """printf '{:index 0, :value "'; head -c 1G /dev/zero | tr '\\0' x""",
    "zeros": "head -c 1G /dev/zero",
}


@pytest.mark.parametrize("name", ENDLESS)
def test_a_gigabyte_on_one_line_is_refused_in_little_memory(name):
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    done = subprocess.run(
        ["bash", "-c", f'{{ {ENDLESS[name]}; }} 2>/dev/null | "$0" -m harness.cli check /dev/stdin', sys.executable],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == ExitCode.USAGE
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "is not a history: line 1: it is longer than" in done.stderr
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss <= max(before, 400 << 10)  # the most of all children


def test_a_sparse_file_of_a_terabyte_is_refused(tmp_path, capsys):
    file = tmp_path / "sparse.jsonl"
    with file.open("wb") as stream:
        stream.truncate(1 << 40)
    assert invoke(["check", str(file)]) == ExitCode.USAGE
    assert capsys.readouterr().err.count("\n") == 1
