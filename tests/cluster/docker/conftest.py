"""Fixtures for what is done to processes and to network namespaces of this machine."""

import asyncio
import os

import pytest

from cluster.docker.clocks import ProcessClocks
from cluster.docker.netns import HostRunner
from cluster.docker.network import NodeNetworks
from tests.cluster.docker.clock_child import Child
from tests.cluster.docker.namespaces import World, need


@pytest.fixture(scope="session")
def _clocks_work():
    """Skips where the clocks of a process cannot be changed; in CI that is a failure."""
    capability = ProcessClocks().capability()
    if not capability.available:
        say = pytest.fail if os.environ.get("CI") else pytest.skip
        say(f"{capability.reason}: run the tests as root, on Linux on x86-64")


@pytest.fixture
def child(_clocks_work):
    """A process with true clocks that says what they show."""
    started = Child()
    yield started
    started.end()


@pytest.fixture(scope="module")
def shared_world():
    """Nodes in network namespaces, without Docker."""
    need("iptables", "tc", "ip")
    world = World(5)
    yield world
    world.close()


@pytest.fixture
def world(shared_world):
    """Five nodes with nothing in force."""
    yield shared_world
    asyncio.run(NodeNetworks(lambda: shared_world.nodes, HostRunner()).clear())
