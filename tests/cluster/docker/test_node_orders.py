"""Orders to the engine go on when whoever gave them is cancelled; what is ordered next waits for their end."""

from __future__ import annotations

import asyncio
import threading
import time
from types import SimpleNamespace

import docker.errors
import pytest

from cluster.docker import cluster as module
from cluster.docker.cluster import DockerCluster
from cluster.docker.layout import Layout
from cluster.docker.node import DockerNode
from harness.spec import DockerOptions


class SlowApi:
    """One server, as an engine treats it: to start what still runs is nothing, and to stop it takes its time."""

    def __init__(self) -> None:
        self.running = True
        self.is_there = True
        self.stopping = threading.Event()

    def inspect_container(self, _container):
        if not self.is_there:
            raise docker.errors.NotFound("no such container")
        return {"State": {"Running": self.running, "Paused": False, "Pid": 1, "ExitCode": 0, "StartedAt": ""}}

    def start(self, _container):
        self.running = True

    def stop(self, _container, timeout):
        del timeout
        self.stopping.set()
        time.sleep(0.3)
        self.running = False


@pytest.fixture
def api():
    return SlowApi()


@pytest.fixture
def engine(api):
    async def call(function, *arguments, **options):
        return await asyncio.to_thread(function, *arguments, **options)

    return SimpleNamespace(api=api, call=call, close=lambda: None)


@pytest.fixture
def layout():
    options = DockerOptions(pd=1, kv=1, pd_image="pd", kv_image="kv", version="1", subnet="198.18.0.0/24")
    return Layout.of("orders", options)


@pytest.fixture
def node(engine, layout):
    return DockerNode(engine, layout, layout.places[-1])


def test_a_stop_that_was_cut_short_does_not_end_what_was_started_after_it(api, node):
    async def main():
        stop = asyncio.create_task(node.stop())
        await asyncio.to_thread(api.stopping.wait)
        stop.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stop
        assert (await node.start()).status == "running"
        await asyncio.sleep(0.5)
        return await node.state()

    assert asyncio.run(main()).status == "running"


def test_who_waits_for_a_turn_and_gives_up_leaves_nothing_behind(api, node):
    async def main():
        stop = asyncio.create_task(node.stop())
        await asyncio.to_thread(api.stopping.wait)
        start = asyncio.create_task(node.start())
        await asyncio.sleep(0.01)
        start.cancel()
        assert (await stop).status == "dead"
        return await node.state()

    assert asyncio.run(main()).status == "dead"


def test_a_server_that_is_not_there_cannot_be_killed_and_need_not_be(api, node):
    api.is_there = False
    assert asyncio.run(node.kill()).status == "gone"


def test_a_network_that_is_just_being_made_when_a_run_is_cut_short_is_removed(engine, layout, monkeypatch):
    begun, there = threading.Event(), []

    def make_network(_engine, layout, _owner, **_):
        begun.set()
        time.sleep(0.3)
        there.append(layout.name)

    async def ensure_images(_engine, _options):
        pass

    monkeypatch.setattr(module, "ensure_images", ensure_images)
    monkeypatch.setattr(module, "make_network", make_network)
    monkeypatch.setattr(module, "remove_cluster", lambda _engine, name: there.remove(name))
    cluster = DockerCluster(engine, layout, "for a run")

    async def main():
        start = asyncio.create_task(cluster.start([]))
        await asyncio.to_thread(begun.wait)
        start.cancel()
        with pytest.raises(asyncio.CancelledError):
            await start
        await cluster.stop()

    cluster.run(main())
    assert begun.is_set()
    assert there == []
