"""The live line where people see it: in a pseudo-terminal, and in a pipe."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
from typing import Any

import pytest

from harness.clock import MILLISECOND, SECOND
from harness.op import Op
from reports.console import LiveLine

PROGRAM = """
import sys
from harness.op import Op
from reports.console import LiveLine
time = 0.0
def now():
    global time
    time += 0.01
    return time
with LiveLine(60_000_000_000, now=now) as line:
    line.say("recording <here>")
    for number in range(1000):
        if number % 600 == 0:
            for _ in range(2):
                line.observe(Op(0, number, "nemesis", "info", "stop-kill" if number else "start-kill", {"id": 1}))
        line.observe(Op(0, number * 10_000_000, 1, "invoke", "read"))
        line.observe(Op(0, number * 10_000_000, 1, "ok", "read"))
print("data")
"""


def in_terminal(**environment: str) -> tuple[str, str]:
    """What the program writes to the terminal (standard error), and to standard output, which is a pipe."""
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdin=follower,
        stderr=follower,
        stdout=subprocess.PIPE,
        env={**{k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "CI")}, "TERM": "xterm", **environment},
    ) as process:
        os.close(follower)
        seen = b""
        while True:
            try:
                piece = os.read(leader, 65536)
            except OSError:  # how Linux says that the other side was closed
                break
            if not piece:
                break
            seen += piece
        out = process.communicate(timeout=60)[0]
    os.close(leader)
    assert process.returncode == 0, seen
    return seen.decode(), out.decode()


def test_terminal_gets_one_line_that_is_taken_away() -> None:
    seen, out = in_terminal(COLUMNS="120")
    assert out == "data\n"
    assert "\x1b[?25l" in seen
    assert seen.index("\x1b[?25l") < seen.rindex("\x1b[?25h"), "the cursor is shown again"
    assert "recording <here>" in seen
    pictures = re.findall(r"([\d,]+) operations", re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", seen))
    assert len(pictures) > 50
    assert pictures == sorted(pictures, key=lambda text: int(text.replace(",", "")))
    assert re.search(r"\x1b\[3\dm", seen), "colours"
    assert seen.rstrip().endswith("\x1b[2K"), "the line is gone at the end"


def test_no_color_means_no_colour() -> None:
    seen, _ = in_terminal(NO_COLOR="1")
    assert "operations" in seen
    assert not re.search(r"\x1b\[[\d;]*(?:3|4|9|10)\d[;m]", seen)


def test_dumb_terminal_gets_plain_lines() -> None:
    seen, _ = in_terminal(TERM="dumb")
    assert "\x1b" not in seen
    assert "1,000 operations  1,000 ok" in seen


def test_pipe_gets_plain_lines_now_and_then() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "data\n"
    lines = done.stderr.splitlines()
    assert "\x1b" not in done.stderr
    assert lines[0] == "recording <here>"
    # About 20 seconds by the program's clock: a line every 5, and the last one.
    assert 4 <= len(lines) - 1 <= 6
    assert re.fullmatch(r"[\d,]+ operations  [\d,]+ ok  0 fail  0 info  \|  kill  \|  \d+ s left", lines[1])
    assert "no fault" in lines[-1]


def ops(*given: tuple[Any, str, str, Any]) -> list[Op]:
    return [
        Op(i, i * SECOND, process, type_, f, value)  # pyright: ignore[reportArgumentType]
        for i, (process, type_, f, value) in enumerate(given)
    ]


def told(*given: tuple[Any, str, str, Any]) -> str:
    line = LiveLine(10 * SECOND, io.StringIO(), now=lambda: 0.0)
    for op in ops(*given):
        line.observe(op)
    return line.line()


def twice(f: str, identity: int) -> list[tuple[Any, str, str, Any]]:
    return [("nemesis", "info", f, {"id": identity})] * 2


def test_faults_come_and_go() -> None:
    assert "no fault" in told()
    assert "kill x2, pause" in told(*twice("start-kill", 1), *twice("start-pause", 2), *twice("start-kill", 3))
    assert "|  kill  |" in told(*twice("start-kill", 1), *twice("start-kill", 3), *twice("stop-kill", 1))
    assert "no fault" in told(("nemesis", "info", "start-kill", {"id": 1})), "not in place before it is reported so"
    assert "healed  |  final phase" in told(*twice("start-kill", 1), *twice("heal-all", 9))
    assert "no fault" in told(*twice("split", 4))


def test_counts_and_time() -> None:
    line = told(
        (1, "invoke", "read", None), (1, "fail", "read", None), (2, "invoke", "x", None), (2, "info", "x", None)
    )
    assert line == "2 operations  0 ok  1 fail  1 info  |  no fault  |  7 s left"


def test_hostile_fault_name_stays_on_its_line() -> None:
    line = told(*twice("start-\x1b[2J\n\r" + "x" * 500, 1))
    assert "\x1b" not in line
    assert len(line) < 120


def test_closing_twice_and_observing_afterwards_is_harmless() -> None:
    stream = io.StringIO()
    line = LiveLine(SECOND, stream)
    line.observe(Op(0, 0, 1, "invoke", "read"))
    line.close()
    line.close()
    line.observe(Op(0, MILLISECOND, 1, "invoke", "read"))
    assert stream.getvalue().count("\n") == 1


def test_leaves_the_terminal_alone_after_an_error() -> None:
    stream = io.StringIO()
    line = LiveLine(SECOND, stream)
    line.observe(Op(0, 0, 1, "invoke", "read"))
    with pytest.raises(KeyboardInterrupt), line:
        raise KeyboardInterrupt
    assert stream.getvalue().count("\n") == 1


def test_says_nothing_of_a_run_that_did_nothing() -> None:
    stream = io.StringIO()
    LiveLine(SECOND, stream).close()
    assert stream.getvalue() == ""
