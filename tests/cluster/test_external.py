"""A cluster that is not there, a client that is not there, faults that are refused."""

from __future__ import annotations

import asyncio
import importlib.metadata
import inspect
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster import tikv_wheel
from cluster.api import ASPECTS, KILL_CLIENT, Cluster, Faults, Store
from cluster.external import REASON, ExternalCluster
from cluster.pd_http import pd_facts
from cluster.probe import probe
from cluster.tikv import TikvStore
from harness.exit_codes import EnvironmentFailure, ExitCode, UsageError

has_wheel = pytest.mark.skipif(
    sys.version_info[:2] != (3, 11) or not tikv_wheel.client_version(), reason="tikv-client has wheels for 3.11 only"
)


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and never says a word, like a PD whose process is frozen."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def dead_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def run_bank(url: str, folder: Path) -> tuple[list[str], float]:
    """What the command says of such a cluster: its exit code, whether it loaded the extension itself, its sentences."""
    program = f"""
        import sys
        from harness.cli import invoke
        from harness.guard import run_guarded
        code = run_guarded(lambda: invoke(["run", "bank", "--cluster", {url!r}, "--out", {str(folder)!r}]))
        print(code, "tikv_client" in sys.modules)
    """
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True, timeout=60
    )
    said = [line for line in done.stderr.splitlines() if line.startswith("quorumquake: ")]
    return [done.stdout.strip(), *said], time.monotonic() - started


@has_wheel
def test_a_pd_that_is_not_there_is_an_environment_failure_that_names_it(dead_port, tmp_path):
    (ended, *said), _ = run_bank(f"pd://127.0.0.1:{dead_port}", tmp_path)
    assert ended == f"{ExitCode.ENVIRONMENT} False"
    assert len(said) == 1
    assert said[0].startswith(f"quorumquake: no PD of a cluster answers at 127.0.0.1:{dead_port} ")
    assert ".rs" not in said[0]
    assert not list(tmp_path.glob("bank/*/history.jsonl"))


@has_wheel
def test_a_pd_that_never_answers_is_given_up(silent_port, tmp_path):
    (ended, *said), took = run_bank(f"pd://127.0.0.1:{silent_port}", tmp_path)
    assert ended == f"{ExitCode.ENVIRONMENT} False"
    assert f"127.0.0.1:{silent_port} (no answer within 8 s)" in said[0]
    assert took < 30  # it would be for ever


def test_a_missing_client_is_told_in_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "tikv_client", None)
    monkeypatch.setattr(importlib.metadata, "version", lambda _name: "0.0.4")
    with pytest.raises(EnvironmentFailure, match=r"CPython 3\.11 on x86-64") as raised:
        asyncio.run(probe(TikvStore(["127.0.0.1:1"]), ["127.0.0.1:1"]))
    assert "\n" not in str(raised.value)


def test_another_version_of_the_client_is_refused(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda _name: "0.0.5")
    monkeypatch.setattr(tikv_wheel, "importlib", _Importer)
    with pytest.raises(EnvironmentFailure, match=r"0\.0\.5 is installed"):
        tikv_wheel.load_extension()


class _Importer:
    """Stands in for importlib, so that the extension does not get into the tests' own process."""

    metadata = importlib.metadata

    @staticmethod
    def import_module(name: str) -> str:
        return name


def test_every_fault_is_refused_with_the_reason_but_that_of_our_own_clients():
    cluster = ExternalCluster("pd://127.0.0.1:1")
    injections = dict(cluster.capabilities())
    assert injections.pop(KILL_CLIENT).available
    for name, capability in injections.items():
        assert not capability.available
        assert capability.reason == REASON
        if name not in ASPECTS:
            with pytest.raises(UsageError, match=REASON):
                asyncio.run(getattr(cluster.faults, name)("pd1", 1))
    # Whatever can be injected is in the list; undoing and asking for leaders are not injections.
    asked = {name for name, member in inspect.getmembers(Faults, inspect.isfunction) if not name.startswith("_")}
    undoing = {"heal", "start", "resume", "remove_store"}
    assert asked - set(injections) == undoing | {"look", "leaders", "pd_leader", "region_leader"}


def test_it_is_a_cluster_and_runs_what_it_is_given():
    cluster: Cluster = ExternalCluster("pd://127.0.0.1:1,127.0.0.1:2")
    store: Store = cluster.store("client-0")

    async def main() -> str:
        await store.close()  # never connected
        await cluster.stop()
        return type(asyncio.get_running_loop()).__module__

    assert cluster.run(main()).startswith("asyncio.")
    description = cluster.describe()
    assert description["pd"] == ["127.0.0.1:1", "127.0.0.1:2"]
    assert REASON in description["note"]


def test_a_pd_without_http_tells_nothing(dead_port):
    assert pd_facts(f"127.0.0.1:{dead_port}") == {}
