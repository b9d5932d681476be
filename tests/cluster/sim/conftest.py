import pytest

from cluster.sim.cluster import SimCluster
from harness.rng import Streams


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
