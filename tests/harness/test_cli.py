"""The command line as a user meets it: sentences, exit codes, no traceback. Real processes throughout."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from harness.exit_codes import ExitCode

SHORT = ["run", "bank", "--time-limit", "4", "--nemesis", "none", "--seed", "3"]


def call(folder, *arguments, before=()):
    return subprocess.run(
        [*before, sys.executable, "-m", "harness.cli", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "NO_COLOR": "1"},
    )


@pytest.fixture
def qq(tmp_path):
    return partial(call, tmp_path)


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    done = call(folder, *SHORT, "--out", str(folder))
    assert done.returncode == 0, done.stderr
    return folder / "bank" / "latest"


BAD_USAGE = [
    (["run", "bnak"], "bank"),
    (["run", "bank", "--nemesis", "partitions"], "partition"),
    (["run", "bank", "--nemesis", "none,kill"], "none"),
    (["run", "bank", "--nemesis", ""], "names"),
    (["run", "bank", "--bug", "skip-write-conflicts"], "skip-write-conflict"),
    (["run", "bank", "--bug", "unsynced-log", "--cluster", "pd://127.0.0.1:1"], "simulated"),
    (["run", "bank", "--time-limit", "soon"], "time-limit"),
    (["run", "bank", "--time-limit", "-3"], "time-limit"),
    (["run", "bank", "--concurrency", "0"], "concurrency"),
    (["run", "bank", "--concurrency", "many"], "concurrency"),
    (["run", "bank", "--nodes", "2"], "nodes"),
    (["run", "bank", "--rate", "nan"], "rate"),
    (["run", "bank", "--seed", "-1"], "seed"),
    (["run", "bank", "--format", "yaml"], "format"),
    (["run", "bank", "--workload-opt", "acounts=3"], "accounts"),
    (["run", "bank", "--workload-opt", "accounts"], "NAME=VALUE"),
    (["run", "bank", "--workload-opt", "accounts=1"], "accounts"),
    (["run", "bank", "--workload-opt", "mode=hopeful"], "optimistic"),
    (["run", "bank", "--workload-opt", "read_share=101"], "read_share"),
    (["run", "bank", "--cluster", "docker!"], "pd://"),
    (["run", "bank", "--cluster", "pd://nowhere"], "pd://"),
    (["run", "bank", "--config", "missing.toml"], "missing.toml"),
    (["run", "bank", "--sede", "3"], "--seed"),
    (["run"], "WORKLOAD"),
    (["check", "nowhere"], "nowhere"),
    (["report", "nowhere"], "nowhere"),
    (["replay", "nowhere"], "nowhere"),
    (["explode"], "explode"),
]


@pytest.mark.parametrize(
    ("arguments", "hint"), BAD_USAGE, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_bad_usage_gets_one_clear_sentence(qq, tmp_path, arguments, hint):
    done = qq(*arguments)
    assert done.returncode == ExitCode.USAGE
    assert done.stdout == ""
    assert hint in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        ("sede = 3", "did you mean 'seed'"),
        ("seed = 'three'", "seed must be int"),
        ("seed = true", "seed must be int"),
        ("= 3", "not valid TOML"),
        ("[workload-opt]\nacounts = 3", "accounts"),
        ("nemesis = ['kil']", "kill"),
        ("time_limit = 'soon'", "time-limit"),
    ],
)
def test_a_bad_configuration_names_the_file_or_the_nearest_key(qq, tmp_path, content, hint):
    (tmp_path / "quorumquake.toml").write_text(content)
    done = qq("run", "bank", "--dry-run")
    assert done.returncode == ExitCode.USAGE
    assert hint in done.stderr
    assert "Traceback" not in done.stderr


def test_the_command_line_wins_over_the_file_and_the_file_over_the_default(qq, tmp_path):
    (tmp_path / "quorumquake.toml").write_text(
        "seed = 5\nnodes = 4\nnemesis = ['kill', 'pause']\ntime-limit = '90s'\n[workload-opt]\naccounts = 6\n"
    )
    done = qq("run", "bank", "--seed", "9", "--dry-run")
    assert done.returncode == 0
    line = done.stdout.splitlines()[0]
    for words in ("--seed 9", "--nodes 4", "--nemesis kill,pause", "--time-limit 90", "accounts=6", "--concurrency 10"):
        assert words in line


def test_a_table_in_pyproject_counts_where_there_is_no_file_of_our_own(qq, tmp_path):
    (tmp_path / "pyproject.toml").write_text("[tool.quorumquake]\nseed = 11\n[tool.other]\nx = 1\n")
    assert "--seed 11" in qq("run", "bank", "--dry-run").stdout
    (tmp_path / "quorumquake.toml").write_text("seed = 12")
    assert "--seed 12" in qq("run", "bank", "--dry-run").stdout


def test_a_dry_run_prints_the_schedule_and_does_nothing(qq, tmp_path):
    first, second = qq("run", "bank", "--seed", "4", "--dry-run"), qq("run", "bank", "--seed", "4", "--dry-run")
    assert first.returncode == 0
    assert first.stdout == second.stdout
    assert "partition" in first.stdout
    assert not (tmp_path / "runs").exists()
    plan = json.loads(qq("run", "bank", "--seed", "4", "--dry-run", "--format", "json").stdout)
    assert len(plan["faults"]) == len(first.stdout.splitlines()) - 1


def test_a_run_on_the_simulated_cluster_ends_valid_with_a_report(qq, tmp_path):
    done = qq(*SHORT, "--format", "json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["valid"] is True
    report = Path(result["report"])
    assert (tmp_path / report).read_text().startswith("<!doctype html>") or "<html" in (tmp_path / report).read_text()
    assert "Traceback" not in done.stderr


def test_what_check_says_is_what_the_run_said(qq, finished_run):
    checked = json.loads(qq("check", str(finished_run), "--format", "json").stdout)
    written = json.loads((finished_run / "results.json").read_text())
    assert checked["valid"] is written["valid"] is True
    assert checked["history_sha256"] == written["history_sha256"]
    bare = qq("check", str(finished_run / "history.jsonl"))
    assert bare.returncode == 0


def test_a_replay_gives_the_same_history(qq, finished_run, tmp_path):
    done = qq("replay", str(finished_run), "--out", str(tmp_path / "again"))
    assert done.returncode == 0, done.stderr
    assert "the same history as before" in done.stderr
    first, second = finished_run / "history.jsonl", tmp_path / "again" / "bank" / "latest" / "history.jsonl"
    assert first.read_bytes() == second.read_bytes()


def test_a_report_can_be_written_again_and_is_the_same(qq, finished_run):
    report = finished_run / "report.html"
    assert qq("report", str(finished_run)).returncode == 0  # another test may have judged the run again since
    before = report.read_bytes()
    report.unlink()
    done = qq("report", str(finished_run))
    assert done.returncode == 0
    assert Path(done.stdout.strip()).read_bytes() == before


def test_list_and_doctor_answer(qq, finished_run):
    assert "skip-write-conflict" in qq("list", "bugs").stdout
    assert "clock-beyond" in qq("list").stdout
    assert "list-append" in qq("list", "kinds").stdout
    assert json.loads(qq("list", "workloads", "--format", "json").stdout)["workloads"].keys() == {"bank"}
    assert "valid" in qq("list", "runs", "--out", str(finished_run.parent.parent)).stdout
    done = qq("doctor")
    assert done.returncode == 0
    assert "tikv-client" in done.stdout


def test_doctor_notices_a_folder_that_hides_ours(qq, tmp_path):
    (tmp_path / "cluster").mkdir()
    (tmp_path / "cluster" / "__init__.py").touch()
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from harness import doctor; print([f for f in doctor.examine() if f.state == 'wrong'])",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "cluster" in done.stdout


@pytest.mark.parametrize("damage", ["not json\n", "{}\n", '{"index":0}\n', "\x00\x01\x02", "[]\n", ""])
def test_what_is_not_a_history_is_refused(qq, tmp_path, damage):
    file = tmp_path / "history.jsonl"
    file.write_text(damage)
    done = qq("check", str(file))
    assert done.returncode == ExitCode.USAGE
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1


def test_half_a_history_is_judged_with_a_warning(qq, finished_run, tmp_path):
    whole = (finished_run / "history.jsonl").read_bytes()
    file = tmp_path / "half.jsonl"
    file.write_bytes(whole[: len(whole) // 2 + 7])
    done = qq("check", str(file), "--format", "json")
    result = json.loads(done.stdout)
    assert result["valid"] is True  # of a file nothing is asked but what it shows
    assert result["kind"] == "bank"
    assert any("torn" in warning or "last line" in warning for warning in result["warnings"])


def test_a_changed_balance_is_found(qq, finished_run, tmp_path):
    lines = (finished_run / "history.jsonl").read_text().splitlines()
    index = next(i for i, line in enumerate(lines) if '"type":"ok"' in line and '"f":"read"' in line)
    op = json.loads(lines[index])
    op["value"]["read"][0][1] += 1
    lines[index] = json.dumps(op)
    file = tmp_path / "changed.jsonl"
    file.write_text("\n".join(lines) + "\n")
    done = qq("check", str(file), "--format", "json")
    assert done.returncode == ExitCode.ANOMALY
    assert "wrong-total" in {anomaly["name"] for anomaly in json.loads(done.stdout)["anomalies"]}


def test_a_folder_that_cannot_be_written_is_the_environment(qq, tmp_path):
    (tmp_path / "file").touch()
    done = qq(*SHORT, "--out", str(tmp_path / "file"))
    assert done.returncode == ExitCode.ENVIRONMENT
    assert "Traceback" not in done.stderr


def test_a_pd_that_does_not_answer_is_the_environment(qq):
    done = qq("run", "bank", "--cluster", "pd://127.0.0.1:1", "--time-limit", "2")
    assert done.returncode == ExitCode.ENVIRONMENT
    assert "Traceback" not in done.stderr
    assert "pd://" in done.stderr or "127.0.0.1:1" in done.stderr


def test_faults_on_a_cluster_that_is_not_ours_are_refused(qq):
    done = qq("run", "bank", "--cluster", "pd://127.0.0.1:1", "--nemesis", "kill")
    assert done.returncode == ExitCode.ENVIRONMENT
    assert "kill" in done.stderr


@pytest.mark.parametrize("arguments", [["list"], ["doctor"], ["--help"], ["run", "bank", "--dry-run"]])
def test_a_broken_pipe_never_looks_like_an_anomaly(tmp_path, arguments):
    process = subprocess.Popen(
        [sys.executable, "-m", "harness.cli", *arguments],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.close()
    stderr = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) != ExitCode.ANOMALY
    assert "Traceback" not in stderr


def interrupt(folder, options, after_bytes):
    """Start a run of two virtual hours, press Ctrl-C once this much is recorded; return code, output and history."""
    process = subprocess.Popen(
        [sys.executable, "-m", "harness.cli", "run", "bank", "--time-limit", "2h", "--seed", "1", *options],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    history = folder / "runs" / "bank" / "latest" / "history.jsonl"
    deadline = time.monotonic() + 60
    while not (history.exists() and history.stat().st_size > after_bytes):
        assert time.monotonic() < deadline, process.poll()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=120)
    assert "Traceback" not in stderr
    return process.returncode, stdout, history


def test_an_interrupted_run_is_judged_and_says_so(tmp_path):
    code, stdout, history = interrupt(tmp_path, ["--format", "json"], 200_000)
    assert code == ExitCode.INTERRUPTED
    assert json.loads(stdout)["interrupted"] is True
    assert (history.parent / "report.html").exists()


def test_an_anomaly_counts_more_than_the_interruption(tmp_path):
    bug = ["--nemesis", "none", "--bug", "skip-write-conflict", "--workload-opt", "mode=optimistic"]
    code, _, _ = interrupt(tmp_path, bug, 2_000_000)
    assert code == ExitCode.ANOMALY


def test_a_full_disk_is_the_environment_and_what_was_recorded_is_judged(qq):
    # A limit on the size of a file stands for a disk that is full: the write fails in the same place.
    limited = ["bash", "-c", 'ulimit -f 200; trap "" XFSZ; exec "$0" "$@"']
    done = qq(*SHORT, "--time-limit", "60", "--format", "json", before=limited)
    assert done.returncode == ExitCode.ENVIRONMENT, done.stderr
    assert "Traceback" not in done.stderr
    assert "history.jsonl" in done.stderr
    assert json.loads(done.stdout)["valid"] == "unknown"
