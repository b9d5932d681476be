import importlib.util
from pathlib import Path

import pytest

from cluster.sim.cluster import SimCluster
from harness.rng import Streams

CHAOS = Path(__file__).with_name("chaos.py")


@pytest.fixture(scope="session")
def chaos():
    """The module chaos.py."""
    spec = importlib.util.spec_from_file_location("sim_chaos", CHAOS)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def raft_group():
    """The module raft_group.py."""
    spec = importlib.util.spec_from_file_location("sim_raft_group", CHAOS.with_name("raft_group.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def simulated():
    """Run ``main(cluster)`` on a started cluster."""

    def run(main, *, seed=1, nodes=5, bugs=(), split_keys=(b"g", b"n", b"t")):
        cluster = SimCluster(Streams(seed), nodes, frozenset(bugs))

        async def started():
            await cluster.start(split_keys)
            result = await main(cluster)
            await cluster.stop()
            return result

        return cluster.run(started())

    return run
