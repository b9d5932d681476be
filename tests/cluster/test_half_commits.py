"""Half commits of the real tikv-client, provoked against a small PD and TiKV whose region lookups fail when it hurts.

The store behind it is sound, unless it is told to miss write conflicts. It says nothing about TiKV.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.standin.fixtures import missing

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("docker")]

SOURCES = Path(__file__).parents[1] / "standin" / "fake"
DROPS = ("-drop-prewrites", "15", "-drop-commits", "15")


@pytest.fixture(scope="session")
def fake_cluster_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not shutil.which("go"):
        missing("the fake PD and TiKV need Go to be built: install Go 1.24 or newer")
    program = tmp_path_factory.mktemp("fake") / "fake"
    built = subprocess.run(
        ["go", "build", "-o", program, "."], cwd=SOURCES, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr[-2000:]
    return program


@pytest.fixture
def fake_cluster(fake_cluster_program: Path) -> Iterator[Callable[..., str]]:
    """Call with the program's options; get the URL."""
    running: list[subprocess.Popen[str]] = []

    def start(*options: str) -> str:
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = f"127.0.0.1:{free.getsockname()[1]}"
        words = [str(fake_cluster_program), "-listen", address, *options]
        running.append(subprocess.Popen(words, stdout=subprocess.PIPE, text=True))
        assert running[-1].stdout.readline() == "ready\n"
        return f"pd://{address}"

    yield start
    for process in running:
        process.kill()
        process.wait()
        process.stdout.close()


def quorumquake(*words: str) -> tuple[int, dict]:
    program = Path(sys.executable).with_name("quorumquake")
    ran = subprocess.run(
        [program, *words, "--format", "json"], capture_output=True, text=True, check=False, timeout=180
    )
    assert ran.stdout, ran.stderr
    return ran.returncode, json.loads(ran.stdout)


def bank(url: str, out: Path, *more: str) -> tuple[int, dict]:
    words = ["run", "bank", "--cluster", url, "--nemesis", "none", "--time-limit", "8", "--rate", "100"]
    return quorumquake(*words, "--out", str(out), *more)


def verdict(summary: dict, checker: str) -> dict:
    return next(found for found in summary["verdicts"] if found["checker"] == checker)


def test_half_commits_are_the_clients_anomaly_and_nothing_else(fake_cluster, tmp_path):
    code, summary = bank(fake_cluster(*DROPS), tmp_path, "--readback", "1")
    assert code == 3, summary
    assert [found["checker"] for found in summary["verdicts"] if found["valid"] is not True] == ["client-anomaly"]
    anomalies = summary["anomalies"]
    assert {anomaly["name"] for anomaly in anomalies} == {"half-commit"}
    told = [anomaly["explanation"] for anomaly in anomalies]
    assert any("nothing of it is there" not in text for text in told)  # a prewrite was dropped, or a primary's commit
    assert "Client anomaly" in Path(summary["report"]).read_text()

    lines = [json.loads(line) for line in (Path(summary["run"]) / "history.jsonl").read_text().splitlines()]
    for anomaly in anomalies:
        transfer = lines[anomaly["ops"][0]]
        assert transfer["f"] == "transfer"
        assert f"T{transfer['value']['id']} " in anomaly["explanation"]
        assert {lines[index]["value"]["of"] for index in anomaly["ops"][1:]} == {transfer["value"]["id"]}

    # The same run under the other choices.
    spec = Path(summary["run"]) / "spec.json"
    for choice, expected in (("fail", 1), ("ignore", 0)):
        spec.write_text(json.dumps(json.loads(spec.read_text()) | {"client_anomalies": choice}))
        assert quorumquake("check", summary["run"])[0] == expected


def test_a_contradiction_has_every_commit_read_back(fake_cluster, tmp_path):
    code, summary = bank(fake_cluster(*DROPS), tmp_path, "--readback", "0", "--client-anomalies", "fail")
    assert code == 1, summary
    assert [found["checker"] for found in summary["verdicts"] if found["valid"] is not True] == ["client-anomaly"]


def test_a_lost_update_beside_half_commits_is_an_anomaly(fake_cluster, tmp_path):
    code, summary = bank(fake_cluster(*DROPS, "-miss-conflicts", "1"), tmp_path, "--client-anomalies", "ignore")
    assert code == 1, summary
    assert "lost-update" in verdict(summary, "strict-serializability")["counts"]
    client = verdict(summary, "client-anomaly")
    assert client["counts"]["half-commit"] > 0
    assert client["note"].startswith("origin undecided")


def test_where_nothing_is_dropped_all_is_whole_and_valid(fake_cluster, tmp_path):
    code, summary = bank(fake_cluster(), tmp_path, "--readback", "1")
    assert code == 0, summary
    results = json.loads((Path(summary["run"]) / "results.json").read_text())
    details = verdict(results, "client-anomaly")["details"]
    assert details["read_back"] == details["whole"] == details["acknowledged"] > 50
