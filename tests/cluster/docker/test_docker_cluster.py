"""A real cluster in Docker, on the images of the stand-in: made, broken, healed, left behind and cleaned up.

It says nothing about TiKV; see tests/standin/README.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from cluster.docker.cluster import DockerCluster
from cluster.docker.engine import Engine
from cluster.docker.objects import find_clusters
from cluster.pd_api import PdApi
from harness.clock import SECOND
from harness.exit_codes import ExitCode
from harness.history import History
from harness.run_folder import RunFolder

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("docker")]

ROOT = Path(__file__).parents[3]
SUBNETS = {"198.18.90.0/24", "198.18.91.0/24"}
SMALL = ("--subnet", "198.18.90.0/24", "--rate", "40", "--concurrency", "6")


class Shell:
    """Runs the command line in a folder of its own, on the images of the stand-in."""

    def __init__(self, folder: Path, images: tuple[str, str, str]) -> None:
        self.folder = folder
        pd, kv, version = images
        self.processes: list[subprocess.Popen[str]] = []
        self.images = ("--pd-image", pd, "--kv-image", kv, "--version", version)
        self._others = {name for name, subnet in subnets().items() if subnet not in SUBNETS}

    def start(self, *words: str) -> subprocess.Popen[str]:
        # Tests that run in the background of a shell ignore interrupts, and what they start would inherit that.
        command = ["env", "--default-signal=INT", sys.executable, "-m", "harness.cli", *words]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(
            command, cwd=self.folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.processes.append(process)
        return process

    def run(self, *words: str, limit_s: float = 300) -> subprocess.CompletedProcess[str]:
        process = self.start(*words)
        out, err = process.communicate(timeout=limit_s)
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def newest(self) -> RunFolder:
        return RunFolder.open(self.folder / "runs" / "latest")

    def results(self) -> dict[str, Any]:
        return json.loads(self.newest().results.read_text())

    def clusters(self) -> list[str]:
        """Those that the tests have made; not what somebody else left running on this machine."""
        found = subnets().items()
        return [name for name, subnet in found if name not in self._others and subnet in {*SUBNETS, None}]


def subnets() -> dict[str, str | None]:
    """Of all clusters of ours that are there, whole or in parts; None where no network is left that would say it."""
    engine = Engine()
    try:
        return {found.name: found.layout and found.layout.options.subnet for found in find_clusters(engine)}
    finally:
        engine.close()


@pytest.fixture
def shell(tmp_path, docker_engine, standin_images):
    shell = Shell(tmp_path, standin_images)
    yield shell
    for process in shell.processes:  # of a test that failed; it would go on in the cluster of the next one
        process.kill()
        process.communicate()
    for name in shell.clusters():
        left = shell.run("cluster", "down", name)
        assert left.returncode == 0, left.stderr


def test_the_bank_survives_partitions_kills_pauses_and_skewed_clocks_and_nothing_is_left(shell):
    done = shell.run(
        "run", "bank", "--cluster", "docker", "--nemesis", "partition,kill,pause,clock", "--time-limit", "60",
        "--seed", "4", "--client-anomalies", "ignore", *SMALL, *shell.images,
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
    begun = [op.value["evidence"] for op in history.nemesis_ops() if "evidence" in (op.value or {}) and not op.error]
    assert all(evidence["verified"] for evidence in begun)
    logs = {path.name for path in (folder.path / "logs").glob("*.log")}
    assert logs == {"pd1.log", "pd2.log", "pd3.log", "kv1.log", "kv2.log", "kv3.log"}
    assert all(
        re.match(rb"\d{4}-\d\d-\d\dT[\d:.]+Z ", path.read_bytes()) for path in (folder.path / "logs").glob("*.log")
    )
    assert shell.clusters() == []


def test_the_bank_survives_what_operators_do_and_clients_that_die(shell):
    """A store comes and goes, every node restarts in turn, links lose packets, clients are killed in their commits."""
    done = shell.run(
        "run", "bank", "--cluster", "docker", "--nemesis", "membership,client-kill,network,stop,pd",
        "--time-limit", "60", "--seed", "5", "--client-anomalies", "ignore", *SMALL[:2], *shell.images,
    )  # fmt: skip
    results = shell.results()
    assert done.returncode == 0, (done.stdout, done.stderr, results["verdicts"])
    history = History.load(shell.newest().path)
    verified = {op.f for op in history.nemesis_ops() if (op.value or {}).get("evidence", {}).get("verified")}
    assert verified >= {"start-store-replacement", "rolling-restart", "client-kill", "start-network", "start-stop"}
    assert (shell.newest().path / "logs" / "kv4.log").stat().st_size > 0  # of the store that joined and left
    assert shell.clusters() == []


def test_a_node_that_dies_at_start_is_shown_with_its_last_lines_and_nothing_is_left(shell):
    broken = shell.folder / "pd.toml"
    broken.write_text("this is no TOML\n")
    done = shell.run("run", "bank", "--cluster", "docker", "--pd-config", str(broken), *SMALL, *shell.images)
    assert done.returncode == ExitCode.ENVIRONMENT
    assert re.search(r"pd\d has ended with exit code \d+; its last lines:\n.+", done.stderr)
    assert "Traceback" not in done.stderr
    assert shell.clusters() == []
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
    assert shell.run("cluster", "logs", "first").returncode == 0
    assert {path.name for path in (shell.folder / "logs").iterdir() if path.stat().st_size} == {"pd1.log", "kv1.log"}
    assert shell.run("cluster", "down", "first").returncode == 0
    assert shell.clusters() == []
    assert shell.run("cluster", "down", "first").returncode == ExitCode.USAGE


@pytest.mark.parametrize("after_s", [0.7, 3.0, 18.0])
def test_an_interruption_at_any_moment_leaves_nothing_behind(shell, after_s):
    process = shell.start("run", "bank", "--cluster", "docker", "--time-limit", "60", *SMALL, *shell.images)
    time.sleep(after_s)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=40)
    assert process.returncode in {ExitCode.INTERRUPTED, ExitCode.ANOMALY}, err
    assert "Traceback" not in err
    assert shell.clusters() == []


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
        down = shell.run("cluster", "down", "kept")
        assert (down.returncode, "another run uses" in down.stderr) == (ExitCode.ENVIRONMENT, True)
        clients = below(process.pid)
        process.kill()
        _, err = process.communicate()
        assert process.returncode == -signal.SIGKILL, err  # it had not ended by itself
        folder = shell.newest()
        begun = folder.history.stat().st_size > 0  # else it was killed before the first operation
        assert not begun or (clients and History.load(folder.path).n > 0)
        healed = shell.run("cluster", "heal", str(folder.path))
        assert healed.returncode == 0, healed.stderr
        status = json.loads(shell.run("cluster", "status", "--format", "json").stdout)
        assert [cluster["in force"] for cluster in status] == [[]]
        assert all(words.endswith(" running") for words in status[0]["nodes"].values()), status
        assert end_soon(clients)
        checked = shell.run("check", str(folder.path))
        expected = {ExitCode.VALID, ExitCode.UNKNOWN} if begun else {ExitCode.USAGE}
        assert checked.returncode in expected, (checked.stdout, checked.stderr)
    sound = shell.run("run", "bank", "--cluster", "docker:kept", "--nemesis", "none", "--time-limit", "8", *SMALL[2:])
    assert sound.returncode == 0, (sound.stdout, sound.stderr)
    assert shell.run("cluster", "clean").returncode == 0
    assert shell.clusters() != []  # what was meant to stay stays
    assert shell.run("cluster", "down", "kept").returncode == 0
    assert shell.clusters() == []


def test_what_a_killed_up_left_is_cleaned_away_and_what_is_up_stays(shell):
    process = shell.start("cluster", "up", "--name", "half", *SMALL[:2], *shell.images)
    while not shell.clusters():
        time.sleep(0.05)
    process.send_signal(signal.SIGSTOP)
    assert "nothing was left behind" in shell.run("cluster", "clean").stderr  # it is being made
    process.kill()
    process.communicate()
    assert "half: never finished" in shell.run("cluster", "status").stdout
    assert shell.run("cluster", "clean").returncode == 0
    assert shell.clusters() == []


def below(root: int) -> list[Path]:
    """The processes that ``root`` began, and those that these began, as they are now."""
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parents[int(path.name)] = int((path / "stat").read_text().rpartition(")")[2].split()[1])
    found = {root}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return [Path("/proc") / str(pid) for pid in found - {root}]


def end_soon(processes: list[Path]) -> bool:
    """None of them is there a moment later."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if not any((path / "exe").exists() for path in processes):  # one that nobody waits for has none any more
            return True
        time.sleep(0.1)
    return False


def off_by_s(log: Path) -> list[float]:
    """Of each line of PD's log how far its own time is from true time, the engine's."""
    found = re.findall(r"^(\S{26})\S*Z \[(\S+ \S+) \+00:00\]", log.read_text(), flags=re.MULTILINE)
    pairs = ((datetime.fromisoformat(true), datetime.strptime(own, "%Y/%m/%d %H:%M:%S.%f")) for true, own in found)  # noqa: DTZ007
    return [(own - true).total_seconds() for true, own in pairs]


async def tso_off_by_s(addresses: tuple[str, ...], leader: str) -> float:
    api = PdApi(addresses)
    try:
        return (await api.tso_physical_ms(leader) or 0) / 1000 - time.time()
    finally:
        await api.close()


def test_a_minute_ahead_on_pds_leader_shows_in_the_tso_and_in_its_log_and_is_undone(shell, tmp_path):
    up = shell.run("cluster", "up", "--name", "minute", "--kv", "1", *SMALL[:2], *shell.images)
    assert up.returncode == 0, up.stderr
    cluster = DockerCluster.existing("minute")

    async def main() -> None:
        await cluster.reopen()
        leader = cluster.faults.pd_leader()
        assert leader is not None
        place = next(place for place in cluster.layout.places if place.name == leader)
        address = f"{place.address}:{place.port}"
        assert await tso_off_by_s(cluster.pd_addresses, address) == pytest.approx(0, abs=0.5)

        there = await cluster.faults.skew(leader, 60 * SECOND)
        assert there.verified
        assert there.measured["wall_before_ms"] == pytest.approx(0, abs=1)
        assert there.measured["wall_ms"] == pytest.approx(60_000, abs=1)
        assert there.measured["tso_offset_ms"] == pytest.approx(60_000, abs=200)
        assert await cluster.residue() == [f"the wall clock of {leader} is off by 60000 ms"]

        gone = await cluster.faults.skew(leader, 0)
        assert gone.verified
        assert gone.measured["wall_before_ms"] == pytest.approx(60_000, abs=1)
        assert gone.measured["wall_ms"] == pytest.approx(0, abs=1)
        assert await tso_off_by_s(cluster.pd_addresses, address) == pytest.approx(59, abs=5)  # it stands, not falls
        await cluster.faults.transfer_pd_leader()  # so that the old one logs something
        await cluster.save_logs(tmp_path)
        offs = off_by_s(tmp_path / f"{leader}.log")
        assert max(offs) == pytest.approx(60, abs=1)
        assert offs[-1] == pytest.approx(0, abs=1)

        await cluster.faults.skew(leader, -60 * SECOND)
        refused = shell.run("run", "bank", "--cluster", "docker:minute", "--nemesis", "none")
        assert refused.returncode == ExitCode.ENVIRONMENT
        assert f"the wall clock of {leader} is off by -60000 ms: first heal it" in refused.stderr
        assert shell.run("cluster", "heal", "minute").returncode == 0  # another process than the one that did it
        assert await cluster.residue() == []
        await cluster.close()

    asyncio.run(main())
    assert shell.run("cluster", "down", "minute").returncode == 0
    assert shell.clusters() == []
