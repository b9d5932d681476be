"""Histories written in another format: the same operations, a file only where all went well, flat memory."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings

from harness.exit_codes import UsageError
from harness.formats.convert import convert
from harness.history import History
from harness.history_source import Source
from harness.op import Op
from tests.harness.formats.edn_texts import json_ops
from tests.harness.histories import RegisterEncoder, assert_same, random_ops

CORPUS = Path(__file__).resolve().parents[2] / "corpus"


def lines(ops) -> bytes:
    return b"".join(msgspec.json.encode(op.replace(index=index)) + b"\n" for index, op in enumerate(ops))


def test_there_and_back_are_the_same_bytes(tmp_path):
    first, middle, last = tmp_path / "a.jsonl", tmp_path / "b.edn.gz", tmp_path / "c.jsonl.gz"
    first.write_bytes(lines(random_ops(1, 2000)))
    convert(Source.open(first), str(middle))
    convert(Source.open(middle), str(last))
    assert gzip.decompress(last.read_bytes()) == first.read_bytes()
    assert gzip.decompress(middle.read_bytes()).startswith(b"{:index 0, :time ")
    assert_same(History.load(middle, RegisterEncoder()), History.load(first, RegisterEncoder()))


@given(json_ops())
@settings(derandomize=True, deadline=None, max_examples=100)
def test_any_lines_of_ours_come_back(ops):
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        middle, last = f"{name}/a.edn", f"{name}/b.jsonl"
        convert(Source.of(lines(ops), "it"), middle)
        convert(Source.open(Path(middle)), last)
        assert Path(last).read_bytes() == lines(ops)


@pytest.mark.parametrize("path", ["elle/si-without-g-single.edn", "kv/c10-bad.txt", "etcd-register/etcd_003.log"])
def test_what_others_wrote_becomes_ours(tmp_path, path):
    source = CORPUS / path
    convert(Source.open(source), str(tmp_path / "a.jsonl"))
    assert list(History.load(tmp_path / "a.jsonl").ops()) == list(History.load(source).ops())


def test_times_that_go_back_are_brought_forward(tmp_path):
    text = b"{:type :invoke :process 0 :f :a :time 5}\n{:type :ok :process 0 :f :a :time 3}\n"
    convert(Source.of(text, "it"), str(tmp_path / "a.jsonl"))
    assert [op.time for op in History.load(tmp_path / "a.jsonl").ops()] == [5, 5]


@pytest.mark.parametrize("name", ["a", "a.json", "a.gz", "a.edn.bz2", "edn", ".edn"])
def test_the_suffix_must_say_the_format(tmp_path, name):
    with pytest.raises(UsageError, match=r"\.jsonl, \.jsonl\.gz, \.edn, \.edn\.gz"):
        convert(Source.of(lines(random_ops(1, 5)), "it"), str(tmp_path / name))
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten_and_nothing_half_is_left(tmp_path):
    there = tmp_path / "there.edn"
    there.write_text("mine")
    with pytest.raises(UsageError, match="is there already"):
        convert(Source.of(lines(random_ops(1, 5)), "it"), str(there))
    assert there.read_text() == "mine"
    with pytest.raises(UsageError, match="No such file"):
        convert(Source.of(lines(random_ops(1, 5)), "it"), str(tmp_path / "none" / "a.edn"))
    there.unlink()
    for content, words in ((lines(random_ops(1, 5000))[:-30] + b"}\n", "not JSON"), (b"", "no operations")):
        for name in ("a.edn", "a.jsonl.gz"):
            with pytest.raises(UsageError, match=words):
                convert(Source.of(content, "it"), str(tmp_path / name))
            assert list(tmp_path.iterdir()) == []


def test_what_edn_cannot_hold_is_refused(tmp_path):
    with pytest.raises(UsageError, match="cannot write operation 0 of it: a number is beyond 64 bits"):
        convert(Source.of(lines([Op(0, 0, 0, "invoke", "f", {"a": 2**63})]), "it"), str(tmp_path / "a.edn"))


def test_the_command(tmp_path):
    (tmp_path / "history.jsonl").write_bytes(lines(random_ops(1, 50)) + b'{"index":')
    command = [sys.executable, "-m", "harness.cli", "convert"]
    done = subprocess.run([*command, tmp_path, tmp_path / "a.edn"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    assert "torn" in done.stderr
    done = subprocess.run([*command, tmp_path / "a.edn", "-"], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == lines(random_ops(1, 50))
    done = subprocess.run([*command, tmp_path / "a.edn", "a.csv"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


def test_memory_stays_flat(tmp_path):
    op = Op(0, 0, 0, "invoke", "write", ["x" * 300])
    with (tmp_path / "a.jsonl").open("wb") as file:
        for index in range(200_000):
            file.write(msgspec.json.encode(op.replace(index=index)) + b"\n")
    program = (
        "import resource, sys; from pathlib import Path; from harness.history_source import Source;"
        "from harness.formats.convert import convert;"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        "convert(Source.open(Path(sys.argv[1])), sys.argv[2]);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    arguments = [sys.executable, "-c", program, tmp_path / "a.jsonl", tmp_path / "b.edn"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert (tmp_path / "b.edn").stat().st_size > 64 << 20
    assert int(done.stdout) < 40_000  # KiB
