"""The cluster as a whole: it comes up, spreads itself, says what it is, and refuses what makes no sense."""

import json

import pytest

from cluster.api import ASPECTS, KILL_CLIENT, Faults, Node
from cluster.sim.cluster import SimCluster
from harness.clock import SECOND
from harness.exit_codes import UsageError
from harness.rng import Streams
from tests.cluster.sim.clients import write


@pytest.mark.parametrize("nodes", [3, 4, 5, 7])
def test_it_comes_up_with_a_leader_for_every_region_on_different_stores(simulated, nodes):
    split_keys = [b"%02d" % i for i in range(1, nodes)]

    async def main(cluster):
        assert cluster.nodes == (
            *(Node(f"pd{i}", "pd") for i in (1, 2, 3)),
            *(Node(f"kv{i + 1}", "tikv") for i in range(nodes)),
        )
        leaders = [cluster.faults.region_leader(key) for key in [b"", *split_keys]]
        assert sorted(leaders) == sorted(node.name for node in cluster.nodes if node.role == "tikv")
        assert cluster.faults.pd_leader() in {"pd1", "pd2", "pd3"}
        assert cluster.clock.now() < 30 * SECOND
        store = cluster.store("client-0")
        commit_ts = await write(store, dict.fromkeys(split_keys, b"v"))
        return await (await store.snapshot(commit_ts)).scan(b"", b"", 100)

    assert simulated(main, nodes=nodes, split_keys=split_keys) == [(key, b"v") for key in split_keys]


def test_it_needs_three_nodes_and_knows_its_bugs():
    with pytest.raises(UsageError):
        SimCluster(Streams(1), 2)
    with pytest.raises(UsageError):
        SimCluster(Streams(1), 3, frozenset({"no-such-bug"}))


def test_what_it_says_of_itself_is_plain_json_and_names_the_seed():
    cluster = SimCluster(Streams(77), 3)
    described = cluster.describe()
    assert json.loads(json.dumps(described)) == described
    assert described["seed"] == 77
    assert cluster.deterministic
    assert cluster.name == "sim"


def test_it_can_do_what_is_modelled_and_refuses_the_rest():
    undoing = {"heal", "start", "resume", "remove_store"}
    asking = {"look", "leaders", "pd_leader", "region_leader"}
    injecting = {name for name in vars(Faults) if not name.startswith("_")} - undoing - asking
    cluster = SimCluster(Streams(1), 3)
    capabilities = cluster.capabilities()
    assert set(capabilities) == injecting | {*ASPECTS, KILL_CLIENT}
    refused = {name for name, capability in capabilities.items() if not capability.available}
    assert refused - {*ASPECTS, KILL_CLIENT} == {"stop", "transfer_region", "merge_region", "shuffle", "add_store"}
    for name in refused & injecting:
        with pytest.raises(UsageError, match=capabilities[name].reason):
            cluster.run(getattr(cluster.faults, name)("kv1"))


def test_split_keys_in_any_order_and_twice_are_the_same(simulated):
    async def main(cluster):
        return [cluster._leaders.region(key).start for key in (b"a", b"g", b"n", b"t")]

    assert simulated(main, split_keys=(b"t", b"g", b"n", b"g", b"")) == [b"", b"g", b"n", b"t"]
