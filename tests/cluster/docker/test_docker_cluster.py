"""A real cluster in Docker, on the images of the stand-in: made, broken, healed, left behind and cleaned up.

It says nothing about TiKV; see tests/standin/README.md.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from cluster.docker.engine import Engine
from cluster.docker.layout import CLUSTER
from harness.exit_codes import ExitCode
from harness.history import History
from harness.run_folder import RunFolder

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("docker")]

ROOT = Path(__file__).parents[3]
SMALL = ("--subnet", "198.18.90.0/24", "--rate", "40", "--concurrency", "6")


class Shell:
    """Runs the command line in a folder of its own, on the images of the stand-in."""

    def __init__(self, folder: Path, images: tuple[str, str, str]) -> None:
        self.folder = folder
        pd, kv, version = images
        self.images = ("--pd-image", pd, "--kv-image", kv, "--version", version)

    def start(self, *words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "harness.cli", *words]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.Popen(
            command, cwd=self.folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def run(self, *words: str, limit_s: float = 300) -> subprocess.CompletedProcess[str]:
        process = self.start(*words)
        try:
            out, err = process.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def newest(self) -> RunFolder:
        return RunFolder.open(self.folder / "runs" / "latest")

    def results(self) -> dict[str, Any]:
        return json.loads(self.newest().results.read_text())


@pytest.fixture
def shell(tmp_path, docker_engine, standin_images):
    shell = Shell(tmp_path, standin_images)
    yield shell
    left = shell.run("cluster", "clean", "--all")
    assert left.returncode == 0, left.stderr


def ours() -> list[str]:
    """All containers and networks that are there of ours."""
    engine = Engine()
    try:
        containers = engine.api.containers(all=True, filters={"label": CLUSTER})
        networks = engine.api.networks(filters={"label": CLUSTER})
        return [*(item["Names"][0] for item in containers), *(item["Name"] for item in networks)]
    finally:
        engine.close()


def test_the_bank_survives_partitions_kills_pauses_and_skewed_clocks_and_nothing_is_left(shell):
    done = shell.run(
        "run", "bank", "--cluster", "docker", "--nemesis", "partition,kill,pause,clock", "--time-limit", "60",
        "--seed", "4", *SMALL, *shell.images,
    )  # fmt: skip
    results = shell.results()
    assert done.returncode == 0, (done.stdout, done.stderr, results["verdicts"])
    folder = shell.newest()
    history = History.load(folder.path)
    seen = {op.f for op in history.nemesis_ops()}
    assert {"start-partition", "start-kill", "start-pause"} <= seen
    assert seen & {"start-clock-skew", "start-clock-drift"}
    coverage = next(verdict for verdict in results["verdicts"] if verdict["checker"] == "coverage")
    for counts in coverage["details"]["faults"].values():
        assert counts["verified"] == counts["tried"] > 0
    logs = {path.name for path in (folder.path / "logs").glob("*.log")}
    assert logs == {"pd1.log", "pd2.log", "pd3.log", "kv1.log", "kv2.log", "kv3.log"}
    assert all(
        re.match(rb"\d{4}-\d\d-\d\dT[\d:.]+Z ", path.read_bytes()) for path in (folder.path / "logs").glob("*.log")
    )
    assert ours() == []


def test_a_node_that_dies_at_start_is_shown_with_its_last_lines_and_nothing_is_left(shell):
    broken = shell.folder / "pd.toml"
    broken.write_text("this is no TOML\n")
    done = shell.run("run", "bank", "--cluster", "docker", "--pd-config", str(broken), *SMALL, *shell.images)
    assert done.returncode == ExitCode.ENVIRONMENT
    assert re.search(r"pd\d has ended with exit code \d+; its last lines:\n.+", done.stderr)
    assert "Traceback" not in done.stderr
    assert ours() == []
    assert not list((shell.folder / "runs").glob("bank/2*"))


def test_an_image_that_is_not_there_and_a_subnet_in_use_are_told_in_one_sentence(shell):
    absent = shell.run("run", "bank", "--cluster", "docker", "--version", "no-such-tag", *SMALL, *shell.images[:4])
    assert absent.returncode == ExitCode.ENVIRONMENT
    assert "no-such-tag is not here and cannot be pulled" in absent.stderr
    first = shell.run("cluster", "up", "--name", "first", "--pd", "1", "--kv", "1", *SMALL[:2], *shell.images)
    assert first.returncode == 0, first.stderr
    assert first.stdout == "docker:first\n"
    second = shell.run("cluster", "up", "--name", "second", *SMALL[:2], *shell.images)
    assert second.returncode == ExitCode.ENVIRONMENT
    assert "198.18.90.0/24 is in use (clusters that are there: first" in second.stderr
    again = shell.run("cluster", "up", "--name", "first", "--subnet", "198.18.91.0/24", *shell.images)
    assert again.returncode == ExitCode.ENVIRONMENT
    assert "there is a cluster 'first' already" in again.stderr
    assert "kv1" in shell.run("cluster", "status").stdout  # the refused attempt took nothing of it away
    assert shell.run("cluster", "down", "first").returncode == 0
    assert ours() == []
    assert shell.run("cluster", "down", "first").returncode == ExitCode.USAGE


@pytest.mark.parametrize("after_s", [0.7, 3.0, 18.0])
def test_an_interruption_at_any_moment_leaves_nothing_behind(shell, after_s):
    process = shell.start("run", "bank", "--cluster", "docker", "--time-limit", "60", *SMALL, *shell.images)
    time.sleep(after_s)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode in {ExitCode.INTERRUPTED, ExitCode.ANOMALY}, err
    assert "Traceback" not in err
    assert ours() == []


def kills() -> int:
    return int(os.environ.get("QUORUMQUAKE_KILLS", "3"))


def test_a_harness_that_is_killed_leaves_nothing_that_heal_does_not_undo_and_a_history_that_can_be_read(shell):
    up = shell.run("cluster", "up", "--name", "kept", *SMALL[:2], *shell.images)
    assert up.returncode == 0, up.stderr
    chance = random.Random(11)
    for _ in range(kills()):
        process = shell.start(
            "run", "bank", "--cluster", "docker:kept", "--nemesis", "partition,kill,pause,clock,network",
            "--nemesis-interval", "2", "--time-limit", "120", *SMALL[2:],
        )  # fmt: skip
        time.sleep(chance.uniform(6, 25))
        process.kill()
        process.communicate()
        folder = shell.newest()
        assert folder.history.exists()
        assert History.load(folder.path).n >= 0
        healed = shell.run("cluster", "heal", str(folder.path))
        assert healed.returncode == 0, healed.stderr
        status = json.loads(shell.run("cluster", "status", "--format", "json").stdout)
        assert [cluster["in force"] for cluster in status] == [[]]
        assert all(words.endswith(" running") for words in status[0]["nodes"].values()), status
        assert no_worker_is_left()
        checked = shell.run("check", str(folder.path))
        assert checked.returncode in {ExitCode.VALID, ExitCode.UNKNOWN}, (checked.stdout, checked.stderr)
    sound = shell.run("run", "bank", "--cluster", "docker:kept", "--nemesis", "none", "--time-limit", "8", *SMALL[2:])
    assert sound.returncode == 0, (sound.stdout, sound.stderr)
    assert shell.run("cluster", "clean").returncode == 0
    assert ours() != []  # what was meant to stay stays
    assert shell.run("cluster", "down", "kept").returncode == 0
    assert ours() == []


def no_worker_is_left() -> bool:
    """No process of the harness but this one and its relatives is there a moment later."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        found = subprocess.run(["pgrep", "-f", "harness.worker"], capture_output=True, text=True, check=False).stdout
        if not found.strip():
            return True
        time.sleep(0.1)
    return False
