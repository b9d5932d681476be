"""Lines around a moment, against going through the file line by line."""

from __future__ import annotations

import datetime as dt
import os
import re
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from harness.clock import MILLISECOND as MS
from harness.clock import SECOND
from harness.exit_codes import EnvironmentFailure
from harness.run_folder import RunFolder
from reports import node_logs
from reports.node_logs import NodeLogs
from tests.reports import made

ZONES = (0, 2, -7)


def stamped(time: int, zone: int, digits: int) -> str:
    """RFC 3339 of a moment since 1970, in any zone, with so many digits after the point."""
    seconds, fraction = divmod(time, SECOND)
    date = dt.datetime.fromtimestamp(seconds, dt.timezone(dt.timedelta(hours=zone)))
    point = f".{fraction:09d}"[: digits + 1] if digits else ""
    return f"{date:%Y-%m-%dT%H:%M:%S}{point}{'Z' if zone == 0 else f'{zone:+03d}:00'}"


LINES = st.lists(
    st.tuples(
        st.integers(0, 700),  # ms after the line before
        st.sampled_from(["timed", "timed", "timed", "untimed", "binary", "empty", "nearly"]),
        st.sampled_from(ZONES),
        st.sampled_from([3, 6, 9]),
        st.integers(0, 3000),
    ),
    max_size=40,
)
JUNK = {
    "untimed": b"\tat raft.rs:12",
    "binary": bytes(range(11, 256)),
    "empty": b"",
    "nearly": b"2026-13-40T11:17:20Z x",
}


def log_of(lines: list[tuple[int, str, int, int, int]], torn: bool) -> tuple[bytes, list[tuple[int, str]]]:
    """A log, and what a reader who takes it line by line finds: time and text, junk as part of the line before."""
    parts: list[bytes] = []
    naive: list[tuple[int, str]] = []
    time = 0
    for number, (after, kind, zone, digits, length) in enumerate(lines):
        time += after * MS
        if kind == "timed":
            text = f"line {number} " + "x" * length
            parts.append(f"{stamped(made.EPOCH_NS // MS * MS + time, zone, digits)} {text}".encode())
            naive.append((made.EPOCH_NS // MS * MS + time - made.EPOCH_NS, text))
        else:
            parts.append(JUNK[kind])
            if naive:
                naive.append((naive[-1][0], JUNK[kind].decode(errors="replace")))
    content = b"\n".join(parts) + (b"" if torn else b"\n")
    if not torn or not parts or parts[-1]:
        return content, naive
    return content, naive[:-1] if naive else []  # an empty last line that is torn is none


def written(base: Path, content: bytes) -> NodeLogs:
    folder = RunFolder(base)
    folder.write_origin(made.EPOCH_NS)
    (folder.logs / "kv1.log").write_bytes(content)
    logs = NodeLogs.open(folder)
    assert logs is not None
    return logs


@settings(deadline=None, derandomize=True, max_examples=300)
@given(LINES, st.booleans(), st.tuples(st.integers(-500, 12_000), st.integers(0, 2000), st.integers(0, 2000)))
def test_as_line_by_line(
    tmp_path_factory: pytest.TempPathFactory, lines: list, torn: bool, window: tuple[int, int, int]
) -> None:
    content, naive = log_of(lines, torn)
    at, before, after = window
    begin, moment, end = (at - before) * MS, at * MS, (at + after) * MS
    logs = written(tmp_path_factory.mktemp("logs"), content)
    expected = [(time, text) for time, text in naive if begin <= time <= end]
    found = logs.around(begin, moment, end, limit=10_000)
    told = [(line.time, line.text) for node in found for line in node.lines]
    assert [time for time, _ in told] == [time for time, _ in expected]
    for (_, text), (_, original) in zip(told, expected, strict=True):
        assert text == node_logs.shown(original.rstrip(), node_logs._TEXT)
    for limit in (1, 5, 20):
        for node in logs.around(begin, moment, end, limit=limit):
            assert len(node.lines) == min(limit, len(expected))
            assert node.more == (len(expected) > limit)
            # A piece in one, around the moment.
            times = [(line.time, line.text) for line in node.lines]
            place = next(i for i in range(len(told)) if told[i : i + len(times)] == times)
            early, late = told[:place], told[place + len(times) :]
            assert not late or times[0][0] < moment or not early or limit < 3 or early[-1][0] < moment


def test_a_large_log_is_not_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four hundred megabytes, of which the middle is asked for."""
    logs = written(tmp_path, b"")
    path = RunFolder(tmp_path).logs / "kv1.log"
    step = b"x" * 4000
    with path.open("wb") as file:
        for second in range(4000):
            file.write(f"{stamped(made.EPOCH_NS + second * SECOND, 0, 9)} second {second} ".encode() + step + b"\n")
            file.seek(100_000, os.SEEK_CUR)  # a hole: no log, but it takes no room here
            file.write(b"\n")
    read = 0
    original = node_logs._split

    def counting(line: bytes) -> tuple[int | None, str]:
        nonlocal read
        read += len(line)
        return original(line)

    monkeypatch.setattr(node_logs, "_split", counting)
    (node,) = logs.around(1999 * SECOND, 2000 * SECOND, 2001 * SECOND)
    texts = [line.text for line in node.lines if line.text.startswith("second")]
    assert [text[:11] for text in texts] == ["second 1999", "second 2000", "second 2001"]
    assert path.stat().st_size > 400_000_000
    assert read < 10_000_000


def test_files_that_are_no_logs_are_left_out(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert NodeLogs.open(folder) is None
    secret = tmp_path / "secret"
    secret.write_text(f"{made.rfc3339(0)} secret\n")
    folder.write_origin(made.EPOCH_NS)
    assert NodeLogs.open(folder) is None
    (folder.logs / "kv1.log").symlink_to(secret)
    os.mkfifo(folder.logs / "kv2.log")
    (folder.logs / "kv3.log").mkdir()
    assert NodeLogs.open(folder) is None
    (folder.logs / "kv4.log").write_bytes(b"\0" * 3_000_000)
    (folder.logs / "kv5.log").write_text(f"{made.rfc3339(0)} hello\n")
    logs = NodeLogs.open(folder)
    assert logs is not None
    assert [(node.node, [line.text for line in node.lines]) for node in logs.around(-1, 0, 1)] == [("kv5", ["hello"])]
    for broken in (b"", b"{}", b"\xff", b'{"epoch_ns":"x"}'):
        folder.origin.write_bytes(broken)
        assert NodeLogs.open(folder) is None


def test_times_that_fall_break_nothing(tmp_path: Path) -> None:
    times = [5, 1, 9, 2, 2, 8, 0]
    logs = written(tmp_path, "".join(f"{made.rfc3339(time * SECOND)} {time}\n" for time in times).encode())
    for moment in range(10):
        for node in logs.around((moment - 1) * SECOND, moment * SECOND, (moment + 1) * SECOND):
            assert {line.text for line in node.lines} <= set(map(str, times))


def test_a_folder_that_takes_no_origin_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "logs").touch()
    with pytest.raises(EnvironmentFailure, match=re.escape("cannot make ")):
        RunFolder(tmp_path).write_origin(1)
