"""The command a user types, on a cluster that is already running. On the stand-in: it says nothing about TiKV."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("docker")]


def quorumquake(*words: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("quorumquake")
    return subprocess.run([program, *words], capture_output=True, text=True, check=False, timeout=180)


def test_the_bank_runs_on_a_running_cluster(standin, tmp_path):
    ran = quorumquake(
        *["run", "bank", "--cluster", standin.url, "--time-limit", "10"], "--out", str(tmp_path), "--format", "json"
    )
    assert ran.returncode == 0, ran.stderr
    summary = json.loads(ran.stdout)
    assert summary["valid"] is True
    assert Path(summary["report"]).read_text().startswith("<!doctype html>")

    checked = quorumquake("check", summary["run"], "--format", "json")
    assert checked.returncode == 0, checked.stderr
    assert json.loads(checked.stdout)["history_sha256"] == summary["history_sha256"]


def test_a_fault_on_a_running_cluster_is_refused(standin, tmp_path):
    ran = quorumquake("run", "bank", "--cluster", standin.url, "--nemesis", "kill", "--out", str(tmp_path))
    assert ran.returncode in {2, 4}, ran.stderr
    assert "not ours to break" in ran.stderr
    assert "Traceback" not in ran.stderr
