"""The recorder: what it leaves behind when all goes well, when it is killed, and when there is no space."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import pytest

from harness.columns import CHUNK_OPS, read_chunks
from harness.exit_codes import EnvironmentFailure
from harness.history import History
from harness.op import INVOKE, OK, Op
from harness.recorder import LINE_LIMIT, Recorder
from tests.harness.histories import RegisterEncoder, assert_same, random_ops, record_all, without_columns

ROOT = Path(__file__).parents[2]
ENCODER = RegisterEncoder()


def test_what_was_recorded_is_read_again(tmp_path):
    ops = random_ops(1, 3 * CHUNK_OPS + 100)
    digest = record_all(tmp_path, ops, ENCODER)
    history = History.load(tmp_path, ENCODER)
    expected = [op.replace(index=index) for index, op in enumerate(ops)]
    assert list(history.ops()) == expected
    assert [history.op(index) for index in (0, 5, 20_000, len(ops) - 1)] == [
        expected[index] for index in (0, 5, 20_000, len(ops) - 1)
    ]
    content = (tmp_path / "history.jsonl").read_bytes()
    assert digest == history.sha256() == hashlib.sha256(content).hexdigest()
    assert sum(chunk.header.ops for chunk in read_chunks(tmp_path / "columns.bin", ENCODER)) == len(ops)
    assert_same(history, without_columns(tmp_path, ENCODER))


def test_the_columns_are_what_the_encoder_said(tmp_path):
    ops = random_ops(2, CHUNK_OPS + 500)
    record_all(tmp_path, ops, ENCODER)
    history = History.load(tmp_path, ENCODER)
    for index, op in enumerate(ops):
        fields, rows = ENCODER.encode(op)
        assert history.fields["key"][index] == fields[0]
        mine = slice(history.row_start[index], history.row_start[index + 1])
        assert history.rows["position"][mine].tolist() == list(rows[0::2])
        assert history.rows["number"][mine].tolist() == list(rows[1::2])
        assert history.time[index] == op.time
        assert history.f_names[history.f[index]] == op.f


def test_the_same_operations_leave_the_same_bytes(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        record_all(tmp_path / name, random_ops(3, CHUNK_OPS + 10), ENCODER)
    for file in ("history.jsonl", "columns.bin"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_every_operation_is_in_the_file_when_record_returns(tmp_path):
    with Recorder(tmp_path / "history.jsonl", tmp_path / "columns.bin", ENCODER) as recorder:
        for count, op in enumerate(random_ops(4, 50), start=1):
            assert recorder.record(op).index == count - 1
            assert (tmp_path / "history.jsonl").read_bytes().count(b"\n") == count


def test_a_history_is_never_overwritten(tmp_path):
    record_all(tmp_path, random_ops(5, 10), ENCODER)
    with pytest.raises(EnvironmentFailure, match="File exists"):
        Recorder(tmp_path / "history.jsonl")


@pytest.mark.parametrize(
    "value",
    [[2**63], [1, 2**63], [1, -(2**63) - 1], [1.5], "text", ["\ud800"], [object()], [1, "x" * 10]],
)
def test_what_cannot_be_recorded_leaves_no_trace(tmp_path, value):
    ops = random_ops(6, 40)
    with Recorder(tmp_path / "history.jsonl", tmp_path / "columns.bin", ENCODER) as recorder:
        for op in ops:
            with pytest.raises((ValueError, TypeError)):
                recorder.record(Op(0, op.time, 99, INVOKE, "write", value))
            recorder.record(op)
    history = History.load(tmp_path, ENCODER)
    assert list(history.ops()) == [op.replace(index=index) for index, op in enumerate(ops)]
    assert sum(chunk.header.ops for chunk in read_chunks(tmp_path / "columns.bin", ENCODER)) == len(ops)
    assert_same(history, without_columns(tmp_path, ENCODER))


def test_an_operation_too_long_to_be_read_is_not_written(tmp_path):
    with Recorder(tmp_path / "history.jsonl") as recorder:
        with pytest.raises(ValueError, match="longer"):
            recorder.record(Op(0, 0, 0, INVOKE, "write", "x" * LINE_LIMIT))
        assert recorder.ops == 0


def test_memory_does_not_grow_with_the_history(tmp_path):
    def peak(name: str, count: int) -> int:
        tracemalloc.start()
        try:
            with Recorder(tmp_path / name, tmp_path / f"{name}.bin", ENCODER) as recorder:
                for number in range(count):
                    recorder.record(Op(0, number, number % 7, INVOKE if number % 14 < 7 else OK, "write", [1, 2, 3]))
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak("long", 6 * CHUNK_OPS) < 1.3 * peak("short", 2 * CHUNK_OPS)


# When the disk is full.


def test_a_full_disk_is_one_sentence(tmp_path):
    with Recorder(tmp_path / "history.jsonl") as recorder:
        recorder.record(Op(0, 0, 0, INVOKE, "write"))
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, recorder._history._fd)
        os.close(full)
        for _ in range(2):
            with pytest.raises(EnvironmentFailure, match=r"cannot record to .*history.jsonl: No space left on device"):
                recorder.record(Op(0, 1, 0, OK, "write"))
    assert History.load(tmp_path / "history.jsonl").n == 1


FILL = """
import resource, signal, sys
sys.path.insert(0, "")
from pathlib import Path
from harness.exit_codes import EnvironmentFailure
from harness.op import Op
from harness.recorder import Recorder
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
written = 0
try:
    with Recorder(Path(sys.argv[1]) / "history.jsonl", Path(sys.argv[1]) / "columns.bin") as recorder:
        while True:
            recorder.record(Op(0, written, written, "invoke", "write", "x" * 50))
            written += 1
except EnvironmentFailure as failure:
    print(written, failure)
"""


@pytest.mark.parametrize("limit", [10_000, 10_001, 10_050])
def test_a_line_that_did_not_fit_is_taken_back(tmp_path, limit):
    said = subprocess.run(
        [sys.executable, "-c", FILL, str(tmp_path), str(limit)], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert "File too large" in said
    history = History.load(tmp_path)
    assert history.n == int(said.split()[0])
    assert history.warnings == [f"{history.n} operations were still open at the end: nobody knows their outcome"]
    assert (tmp_path / "history.jsonl").read_bytes().endswith(b"\n")


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path):
    with pytest.raises(EnvironmentFailure, match=r"cannot record to .*history.jsonl: Not a directory"):
        Recorder(Path("/dev/null/history.jsonl"))
    with pytest.raises(EnvironmentFailure, match=r"cannot record to .*columns.bin: No such file or directory"):
        Recorder(tmp_path / "history.jsonl", tmp_path / "none" / "columns.bin")


# When the harness is killed.

KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, "")
from harness.recorder import Recorder
from tests.harness.histories import RegisterEncoder, random_ops
ops = random_ops(int(sys.argv[2]), 3000)
folder = Path(sys.argv[1])
import os
import harness.columns
harness.columns.CHUNK_OPS = 64
with Recorder(folder / "history.jsonl", folder / "columns.bin", RegisterEncoder()) as recorder:
    base = 0
    while True:
        for op in ops:
            process = op.process if isinstance(op.process, str) else op.process + base
            recorder.record(op.replace(time=op.time + base * 10**12, process=process))
            os.write(1, b"%d\\n" % recorder.ops)
        base += 1000
"""


@pytest.mark.parametrize("seed", range(5))
def test_a_kill_at_any_moment_loses_nothing(tmp_path, seed):
    """Each operation is acknowledged to us after record returned: whatever was acknowledged must be there."""
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path), str(seed)], cwd=ROOT, stdout=subprocess.PIPE, bufsize=0
    )
    assert process.stdout is not None
    said = b""
    while said.count(b"\n") < 40 + 211 * seed:
        more = process.stdout.read(65536)
        assert more, "the recording process failed"
        said += more
    time.sleep(0.0007 * seed)
    process.send_signal(signal.SIGKILL)
    said += process.stdout.read()
    process.wait()
    process.stdout.close()
    acknowledged = int(said[: said.rfind(b"\n")].split(b"\n")[-1])

    history = History.load(tmp_path, ENCODER)
    assert history.n >= acknowledged
    assert history.n <= acknowledged + 1
    assert_same(history, without_columns(tmp_path, ENCODER))
    covered = sum(chunk.header.ops for chunk in read_chunks(tmp_path / "columns.bin", ENCODER))
    assert history.n - covered <= 128
    for index, op in enumerate(history.ops()):
        assert op.index == index
