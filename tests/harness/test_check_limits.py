"""``check`` under limits: of time and of memory, interrupted, killed. What was established until then is not lost."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.cli import invoke
from harness.exit_codes import ExitCode
from harness.limits import Limits, under


def entries_of(rng, key, operations, processes, values, *, first=0):
    """Reads, writes and cas of one key with few values, all at once, each taking effect when it completes."""
    state, running, begun = values[0], {}, 0
    yield "invoke", first, "write", [key, state]
    yield "ok", first, "write", [key, state]
    while begun < operations or running:
        process = first + rng.randrange(processes)
        if process in running:
            f, value = running.pop(process)
            done = True
            if f == "read":
                value = state
            elif f == "write":
                state = value
            elif done := state == value[0]:
                state = value[1]
            yield "ok" if done else "fail", process, f, [key, value]
        elif begun < operations:
            begun += 1
            f = rng.choice(("read", "write", "cas"))
            value = {"read": None, "write": rng.choice(values), "cas": [rng.choice(values), rng.choice(values)]}[f]
            running[process] = f, value
            yield "invoke", process, f, [key, value]


def write(path, entries):
    with path.open("w") as file:
        for index, (type_, process, f, value) in enumerate(entries):
            op = {"index": index, "time": index, "type": type_, "process": process, "f": f, "value": value}
            file.write(json.dumps(op) + "\n")
    return path


def endless_key():
    """A search that was not over after a minute."""
    return entries_of(random.Random(1), 0, 5000, 100, range(20))


@pytest.fixture(scope="module")
def endless(tmp_path_factory):
    return write(tmp_path_factory.mktemp("endless") / "history.jsonl", endless_key())


@pytest.fixture(scope="module")
def broken_behind(tmp_path_factory):
    """The same, and then another key, with repeated values too, of which a stale value was read."""
    entries = list(endless_key())
    for f, value in (("write", 1), ("write", 1), ("write", 2), ("read", 1)):
        entries += [("invoke", 0, f, [1, None if f == "read" else value]), ("ok", 0, f, [1, value])]
    return write(tmp_path_factory.mktemp("broken") / "history.jsonl", entries)


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    entries = entries_of(random.Random(2), 0, 150_000, 4, range(10**6))
    return write(tmp_path_factory.mktemp("large") / "history.jsonl", entries)


def check(capsys, *arguments):
    code = invoke(["check", "--format", "json", *map(str, arguments)])
    return code, json.loads(capsys.readouterr().out)


def start(*arguments):
    program = [sys.executable, "-m", "harness.cli", "check", *map(str, arguments)]
    environment = {**os.environ, "NO_COLOR": "1"}
    return subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def child_of(process):
    """The process that judges, once it has begun."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        found = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        if found and ignores_ctrl_c(found[0]):
            return int(found[0])
        time.sleep(0.02)
    raise AssertionError("there is none")


def ignores_ctrl_c(pid):
    """The judge does, from its first moment on."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False
    ignored = next(line for line in status.splitlines() if line.startswith("SigIgn:"))
    return bool(int(ignored.split()[1], 16) >> (signal.SIGINT - 1) & 1)


def is_gone(pid):
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


# Time.


def test_past_the_time_the_answer_is_unknown(capsys, endless):
    code, result = check(capsys, "--check-timeout", "1s", endless)
    assert (code, result["valid"], result["kind"]) == (ExitCode.UNKNOWN, "unknown", "register")
    assert result["models"]["linearizable"] == "unknown"
    said = [*result["warnings"], *(verdict["note"] for verdict in result["verdicts"])]
    assert any("in time" in each or "given up after 1 s" in each for each in said)
    assert "error" not in result


def test_a_long_search_does_not_hide_what_another_key_shows(capsys, broken_behind):
    code, result = check(capsys, "--check-timeout", "2s", broken_behind)
    assert (code, result["valid"]) == (ExitCode.ANOMALY, False)
    assert result["models"]["linearizable"] is False
    assert result["counts"]["non-linearizable"] == 1
    assert any("on key 1 takes in" in anomaly["explanation"] for anomaly in result["anomalies"])


def test_what_was_told_before_the_end_stays(capsys, tmp_path, monkeypatch, broken_behind):
    """The search of the registers is kept from looking at the clock, so that it has to be killed."""
    monkeypatch.setattr("harness.check._SEARCHES", 1000.0)
    code, result = check(capsys, "--check-timeout", "4s", broken_behind)
    assert (code, result["valid"]) == (ExitCode.ANOMALY, False)
    assert result["kind"] == "register"
    assert result["asked"] == ["linearizable"]
    assert result["models"]["linearizable"] is False
    assert result["models"]["causal"] == "unknown"
    assert any("given up after 4 s" in warning for warning in result["warnings"])
    assert result["took_s"] > 0
    text = invoke(["check", "--check-timeout", "4s", str(broken_behind)]), capsys.readouterr().out
    assert text[0] == ExitCode.ANOMALY
    assert "register history, not linearizable" in text[1]
    assert "given up after 4 s" in text[1]


# Memory.


def test_past_the_memory_the_answer_is_unknown(large):
    done = start("--check-memory", "100M", large)
    out, err = done.communicate(timeout=100)
    assert done.returncode == ExitCode.UNKNOWN
    assert "given up at 100 MiB, the memory that --check-memory allows" in out
    assert "Traceback" not in err


def test_where_the_system_refuses_memory_the_answer_is_unknown(capfd, large):
    def work(send):
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        send(b"begun")
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + (20 << 20), resource.RLIM_INFINITY))
        try:
            bytearray(1 << 30)
        except MemoryError:
            return
        send(b"got it")

    assert under(Limits(), work) == ("done", [b"begun"])
    assert capfd.readouterr().err == ""


# The end from outside.


def test_an_interruption_ends_both_processes(endless, large):
    for number in (signal.SIGINT, signal.SIGTERM):
        process = start(endless, large)
        child = child_of(process)
        time.sleep(1)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
        assert process.returncode == ExitCode.INTERRUPTED, (out, err)
        assert "interrupted after" in out
        assert out.count(" history, ") <= 1, "the second file is not begun"
        assert "Traceback" not in err
        assert is_gone(child)


def test_a_violation_counts_more_than_the_interruption(broken_behind, endless):
    process = start(broken_behind, endless)
    child_of(process)
    time.sleep(4)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == ExitCode.ANOMALY
    assert "not linearizable" in out


def test_ctrl_c_in_a_terminal_reaches_the_child_too_and_ends_the_same(endless):
    process = subprocess.Popen(
        [sys.executable, "-m", "harness.cli", "check", str(endless)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    child = child_of(process)
    time.sleep(1)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == ExitCode.INTERRUPTED, (out, err)
    assert "interrupted after" in out
    assert err == ""
    assert is_gone(child)


def test_a_judge_that_is_killed_leaves_a_sentence(endless):
    process = start("--format", "json", endless, endless.parent / "nowhere")
    os.kill(child_of(process), signal.SIGKILL)
    out, err = process.communicate(timeout=60)
    assert process.returncode == ExitCode.USAGE, "the next file was judged all the same"
    first, second = (json.loads(each) for each in out.splitlines())
    assert first["valid"] == "unknown"
    assert first["exit_code"] == ExitCode.UNKNOWN
    assert any("ended from outside" in warning for warning in first["warnings"])
    assert "error" in second
    assert "Traceback" not in err


def test_a_judge_does_not_outlive_whoever_asked(endless):
    process = start(endless)
    child = child_of(process)
    time.sleep(0.5)
    process.kill()
    process.communicate(timeout=60)
    assert is_gone(child)
