"""The stand-in cluster (real PD, a store that speaks TiKV's protocol), and clients in processes of their own.

It exercises the harness and says nothing about TiKV; see README.md.
"""

from __future__ import annotations

import ctypes
import json
import os
import pickle
import signal
import socket
import subprocess
import time
import traceback
import urllib.request
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from cluster.external import ExternalCluster

READY_S = 90
CLIENT_S = 120
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


class Server:
    """One process of the stand-in, in a group of its own; it dies with the thread that started it."""

    def __init__(self, name: str, command: list[str], folder: Path) -> None:
        self.name = name
        self._command = command
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self._folder / f"{self.name}.out").open("ab") as out:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                process_group=0,
                preexec_fn=lambda: _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL),  # noqa: PLW1509  (one thread)
            )

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, number)

    def kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.signal(signal.SIGKILL)
            self._process.wait()

    def check(self) -> None:
        assert self._process is not None
        if self._process.poll() is not None:
            last = (self._folder / f"{self.name}.out").read_text(errors="replace").splitlines()[-40:]
            pytest.fail(f"stand-in: {self.name} ended with {self._process.returncode}:\n" + "\n".join(last))


class StandIn:
    """One PD and some stores. ``url`` is what ``--cluster`` takes."""

    def __init__(self, binaries: Path, folder: Path, stores: int) -> None:
        ports = _free_ports(2 + stores)
        self.pd_address = f"127.0.0.1:{ports[0]}"
        self.url = f"pd://{self.pd_address}"
        settings = folder / "pd.toml"
        settings.write_text(f"[replication]\nmax-replicas = {stores}\n")
        client, peer = (f"http://127.0.0.1:{port}" for port in ports[:2])
        pd = [str(binaries / "pd-server"), "--name=pd1", "--data-dir=pd1", "--config=pd.toml", "--log-file=pd1.log"]
        self.pd = Server("pd1", [*pd, f"--client-urls={client}", f"--peer-urls={peer}"], folder)
        self.stores = [
            Server(name, [*_store(binaries, name, self.pd_address), f"--addr=127.0.0.1:{port}"], folder)
            for name, port in ((f"kv{k}", port) for k, port in enumerate(ports[2:], 1))
        ]

    def start(self) -> None:
        for server in [self.pd, *self.stores]:
            server.start()
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        """All stores are up, PD has its split regions, and each region has all its replicas and a leader."""
        deadline = time.monotonic() + READY_S
        while not self._ready():
            for server in [self.pd, *self.stores]:
                server.check()
            assert time.monotonic() < deadline, f"the stand-in was not ready within {READY_S} s"
            time.sleep(0.2)

    def stop(self) -> None:
        for server in [*self.stores, self.pd]:
            server.kill()

    def _ready(self) -> bool:
        try:
            stores = self._ask("stores")["stores"]
            regions = self._ask("regions")["regions"]
        except (OSError, KeyError, ValueError):
            return False
        bounds = {region["start_key"] for region in regions or ()}
        split = all(any(bound.startswith(start) for bound in bounds) for start in ("720000", "780000"))
        whole = all(len(r["peers"]) == len(self.stores) and r["leader"].get("store_id") for r in regions or ())
        pending = any(r.get("pending_peers") for r in regions or ())
        up = sum(entry["store"]["state_name"] == "Up" for entry in stores)
        return up == len(self.stores) and split and whole and not pending

    def _ask(self, what: str) -> Any:
        with urllib.request.urlopen(f"http://{self.pd_address}/pd/api/v1/{what}", timeout=2) as answer:
            return json.load(answer)

    def in_client(
        self,
        work: Callable[[ExternalCluster], Coroutine[Any, Any, Any]],
        meanwhile: Callable[[], None] = lambda: None,
    ) -> Any:
        """Run ``work(cluster)`` in a process of its own, and ``meanwhile()`` here."""
        return in_process(self.url, work, meanwhile)


def in_process(
    url: str, work: Callable[[ExternalCluster], Coroutine[Any, Any, Any]], meanwhile: Callable[[], None] = lambda: None
) -> Any:
    """Run ``work(cluster)`` in a process of its own and return its result, which pickles; and ``meanwhile()`` here.

    Fork and ``os._exit``, as everything with tikv-client must end: the extension never gets into pytest itself.
    """
    source, sink = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(source)
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.alarm(CLIENT_S)
        with os.fdopen(sink, "wb") as out:
            pickle.dump(_outcome(url, work), out)
        os._exit(0)
    os.close(sink)
    meanwhile()
    with os.fdopen(source, "rb") as answer:
        data = answer.read()
    _, status = os.waitpid(child, 0)
    if not data:
        pytest.fail(f"the client's process ended with {os.waitstatus_to_exitcode(status)} and no result")
    result, failure = pickle.loads(data)
    if failure:
        pytest.fail(failure, pytrace=False)
    return result


def _outcome(url: str, work: Callable[[ExternalCluster], Coroutine[Any, Any, Any]]) -> tuple[Any, str]:
    async def main() -> Any:
        await cluster.start([])
        try:
            return await work(cluster)
        finally:
            await cluster.stop()

    try:
        cluster = ExternalCluster(url)
        return cluster.run(main()), ""
    except BaseException:  # noqa: BLE001  (told in the parent)
        return None, traceback.format_exc()


def _store(binaries: Path, name: str, pd: str) -> list[str]:
    program = str(binaries / "tikv-server")
    logs = [f"--log-file={name}.log", "--log-level=warn"]
    return [program, f"--data-dir={name}", f"--pd-endpoints={pd}", "--raft-tick=200ms", *logs]


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
