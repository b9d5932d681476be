"""Nodes in network namespaces, without Docker."""

import pytest

from tests.cluster.docker.namespaces import World, need


@pytest.fixture(scope="module")
def shared_world():
    need("iptables", "tc", "ip")
    world = World(5)
    yield world
    world.close()
