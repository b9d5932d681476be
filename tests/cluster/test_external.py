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

import pytest

from cluster import tikv_wheel
from cluster.api import ASPECTS, KILL_CLIENT, Cluster, Faults, Store
from cluster.external import REASON, ExternalCluster
from cluster.pd_http import pd_facts
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


def start_elsewhere(url: str) -> tuple[str, float]:
    """Start an external cluster in another process, since the extension may crash the one it was loaded into."""
    program = f"""
        import os, sys
        from cluster.external import ExternalCluster
        from cluster.tikv_wheel import needs_hard_exit
        cluster = ExternalCluster({url!r})
        try:
            cluster.run(cluster.start([]))
        except Exception as error:
            print(type(error).__name__, getattr(error, "code", None), needs_hard_exit(), error, flush=True)
        os._exit(0)
    """
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout, time.monotonic() - started


@has_wheel
def test_a_pd_that_is_not_there_is_an_environment_failure_that_names_it(dead_port):
    said, _ = start_elsewhere(f"pd://127.0.0.1:{dead_port}")
    assert said.startswith(f"EnvironmentFailure {ExitCode.ENVIRONMENT} True no PD of a cluster answers at ")
    assert f"127.0.0.1:{dead_port}" in said
    assert ".rs" not in said
    assert len(said.splitlines()) == 1


@has_wheel
def test_a_pd_that_never_answers_is_given_up(silent_port):
    said, took = start_elsewhere(f"pd://127.0.0.1:{silent_port}")
    assert said.startswith("EnvironmentFailure")
    assert f"127.0.0.1:{silent_port} (no answer within 8 s)" in said
    assert took < 30  # it would be for ever


def test_a_missing_client_is_told_in_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "tikv_client", None)
    monkeypatch.setattr(importlib.metadata, "version", lambda _name: "0.0.4")
    with pytest.raises(EnvironmentFailure, match=r"CPython 3\.11 on x86-64") as raised:
        asyncio.run(ExternalCluster("pd://127.0.0.1:1").start([]))
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


def test_every_fault_is_refused_with_the_reason():
    cluster = ExternalCluster("pd://127.0.0.1:1")
    injections = cluster.capabilities()
    assert injections
    for name, capability in injections.items():
        assert not capability.available
        assert capability.reason == REASON
        if name not in {*ASPECTS, KILL_CLIENT}:
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
