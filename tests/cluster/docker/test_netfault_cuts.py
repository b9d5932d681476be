"""Cuts between real network namespaces with real sockets, looked at by code of their own."""

import asyncio
import os
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cluster.api import Cut
from cluster.docker import netfilter
from cluster.docker.netfilter import Filter, Rule
from cluster.docker.netns import HostRunner, NetNode
from cluster.docker.network import NodeNetworks
from harness.exit_codes import EnvironmentFailure
from tests.cluster.docker.namespaces import inside

NAMES = ["n1", "n2", "n3", "n4", "n5"]


@pytest.fixture
def networks(world):
    made = NodeNetworks(lambda: world.nodes, HostRunner())
    made.closed_s = 0.1
    return made


def heard(world, names=NAMES):
    """The links over which a datagram arrives."""
    nodes = {node.name: node for node in world.nodes if node.name in names}
    return {(a, b) for a, b in world.heard([(x, y) for x in nodes.values() for y in nodes.values() if x != y])}


def all_links(names=NAMES):
    return {(a, b) for a in names for b in names if a != b}


def test_a_whole_cut_and_its_evidence(world, networks):
    cut = Cut.between(NAMES[:2], NAMES[2:])
    evidence = asyncio.run(networks.partition(cut))
    assert evidence.verified
    both = {"datagrams": 12, "connections": 12}
    assert evidence.measured["before"] == both
    assert evidence.measured["during"] == {"datagrams": 0, "connections": 0}
    assert evidence.measured["dropped"] >= 12 * 4  # three datagrams and a SYN each
    assert heard(world) == all_links() - set(cut.links)
    one, other, third = world.nodes[0], world.nodes[1], world.nodes[2]
    assert world.connect(one.pid, other) is not None
    assert world.connect(one.pid, third) is None
    healed = asyncio.run(networks.heal(cut))
    assert healed.verified
    assert healed.measured["during"] == {"datagrams": 0, "connections": 0}
    assert healed.measured["after"] == both
    assert healed.measured["dropped"] > evidence.measured["dropped"]
    assert heard(world) == all_links()
    assert world.connect(one.pid, third) is not None


def test_clients_reach_every_node_meanwhile(world, networks):
    asyncio.run(networks.partition(Cut.between(["n1"], NAMES[1:])))
    for node in world.nodes:
        assert world.connect(world.gateway, node) is not None


@pytest.mark.parametrize("lost", ["in", "out"])
def test_a_one_way_cut_has_its_direction(world, networks, lost):
    cut = Cut.one_way(NAMES[1:], ["n1"]) if lost == "in" else Cut.one_way(["n1"], NAMES[1:])
    evidence = asyncio.run(networks.partition(cut))
    assert evidence.verified
    assert evidence.measured["during"]["datagrams"] == 0
    assert evidence.measured["reverse"] == {"links": 4, "datagrams": 4}
    assert heard(world) == all_links() - set(cut.links)


def test_a_ring_leaves_every_node_its_neighbours(world, networks):
    cut = Cut(tuple((a, b) for i, a in enumerate(NAMES) for j, b in enumerate(NAMES) if (i - j) % 5 in (2, 3)))
    assert asyncio.run(networks.partition(cut)).verified
    assert heard(world) == {(a, b) for a, b in all_links() if abs(NAMES.index(a) - NAMES.index(b)) in (1, 4)}


def test_links_that_another_cut_holds_stay_cut(world, networks):
    alone, halves = Cut.between(["n1"], NAMES[1:]), Cut.between(NAMES[:2], NAMES[2:])
    for cut in (alone, halves, halves):
        assert asyncio.run(networks.partition(cut)).verified
    healed = asyncio.run(networks.heal(alone))
    assert healed.verified
    assert healed.measured["held_by_others"] == 6
    assert heard(world) == all_links() - set(halves.links)
    assert asyncio.run(networks.heal(halves)).verified
    assert heard(world) == all_links()
    assert asyncio.run(networks.heal(halves)).verified


def test_established_connections_are_cut_and_recover(world, networks):
    one, other = world.nodes[0], world.nodes[3]
    mine = world.connect(one.pid, other)
    theirs = world.accepted(other, mine)
    with mine, theirs:
        mine.sendall(b"before")
        assert theirs.recv(100) == b"before"
        cut = Cut.between([one.name], [other.name])
        asyncio.run(networks.partition(cut))
        mine.sendall(b"during")
        theirs.settimeout(0.3)
        with pytest.raises(TimeoutError):
            theirs.recv(100)
        asyncio.run(networks.heal(cut))
        theirs.settimeout(30)
        assert theirs.recv(100) == b"during"


def test_a_dead_server_proves_as_much(world, networks):
    dead = NetNode(**{**_fields(world.nodes[0]), "port": 9})  # nobody listens there
    networks = NodeNetworks(lambda: [dead, *world.nodes[1:]], HostRunner())
    cut = Cut.between(["n2"], ["n1"])
    evidence = asyncio.run(networks.partition(cut))
    assert evidence.verified
    assert evidence.measured["before"] == {"datagrams": 2, "connections": 2}


def _fields(node):
    return {name: getattr(node, name) for name in node.__struct_fields__}


# A cut that is not there is not believed.


class _Numb(HostRunner):
    """Rules are written nowhere, and so they seem."""

    async def run(self, node, command, stdin=""):
        if command[0] == "iptables-restore":
            command, stdin = ["iptables-restore", "--version"], ""
        return await super().run(node, command, stdin)


def test_rules_that_were_not_written_are_noticed(world):
    with pytest.raises(EnvironmentFailure, match="does not hold what was written"):
        asyncio.run(NodeNetworks(lambda: world.nodes, _Numb()).partition(Cut.between(["n1"], ["n2"])))


def test_a_cut_of_too_few_links_is_not_verified(world, networks, monkeypatch):
    right = netfilter.wanted
    monkeypatch.setattr(netfilter, "wanted", lambda node, cut, *rest: right(node, cut - {("n1", "n3")}, *rest))
    evidence = asyncio.run(networks.partition(Cut.between(["n1"], NAMES[1:])))
    assert not evidence.verified
    assert evidence.measured["carrying"] == ["n1>n3"]


def test_a_cut_of_the_wrong_direction_is_not_verified(world, networks, monkeypatch):
    right = netfilter.wanted
    turned = lambda node, cut, *rest: right(node, {(b, a) for a, b in cut}, *rest)  # noqa: E731
    monkeypatch.setattr(netfilter, "wanted", turned)
    monkeypatch.setattr(NodeNetworks, "_apply", _everywhere)
    monkeypatch.setattr("cluster.docker.reach.OPEN_S", 0.3)
    evidence = asyncio.run(networks.partition(Cut.one_way(["n1"], ["n2"])))
    assert not evidence.verified
    assert evidence.measured["carrying"] == ["n1>n2"]
    assert evidence.measured["reverse"]["datagrams"] == 0


_apply = NodeNetworks._apply


async def _everywhere(self, nodes, affected):
    await _apply(self, nodes, nodes)


def test_a_healing_that_changes_nothing_is_not_verified(world, networks, monkeypatch):
    cut = Cut.one_way(["n1"], ["n2"])
    asyncio.run(networks.partition(cut))

    async def nothing(*_):
        pass

    monkeypatch.setattr(NodeNetworks, "_apply", nothing)
    monkeypatch.setattr("cluster.docker.reach.OPEN_S", 0.3)
    evidence = asyncio.run(networks.heal(cut))
    assert not evidence.verified
    assert evidence.measured["silent"] == ["n1>n2"]


# Crashes, cancellations, others' rules.


def test_clear_takes_away_what_somebody_else_put_there(world, networks):
    asyncio.run(networks.partition(Cut.between(["n1"], ["n2", "n3"])))
    survivor = NodeNetworks(lambda: world.nodes, HostRunner())
    assert sorted(asyncio.run(survivor.residue())) == [
        "n1 drops what comes from n2",
        "n1 drops what comes from n3",
        "n2 drops what comes from n1",
        "n3 drops what comes from n1",
    ]
    asyncio.run(survivor.clear())
    assert asyncio.run(survivor.residue()) == []
    assert heard(world) == all_links()
    assert "QUORUMQUAKE" not in world.run(world.nodes[0], "iptables-save")


def test_a_healing_after_a_crash_needs_no_memory(world, networks):
    cut = Cut.between(["n1"], ["n2"])
    asyncio.run(networks.partition(cut))
    assert asyncio.run(NodeNetworks(lambda: world.nodes, HostRunner()).heal(cut)).verified
    assert heard(world) == all_links()


def test_rules_of_others_stay_and_do_not_come_first(world, networks):
    node = world.nodes[1]
    theirs = ["-p", "tcp", "--dport", "7", "-j", "DROP"]
    world.run(node, "iptables", "-A", "INPUT", *theirs)
    cut = Cut.between(["n1"], ["n2"])
    asyncio.run(networks.partition(cut))
    world.run(node, "iptables", "-I", "INPUT", "-j", "ACCEPT")
    assert ("n1", "n2") in heard(world)  # what came first lets everything in
    assert asyncio.run(networks.partition(cut)).verified  # and we are first again
    asyncio.run(networks.clear())
    assert world.run(node, "iptables", "-S", "INPUT").splitlines()[1:] == [
        "-A INPUT -j ACCEPT",
        "-A INPUT -p tcp -m tcp --dport 7 -j DROP",
    ]
    world.run(node, "iptables", "-F", "INPUT")


def test_a_cancelled_call_leaves_either_state_and_can_be_undone(world, networks):
    cut = Cut.between(["n1"], NAMES[1:])
    draw = random.Random(4)

    async def cancelled(call):
        task = asyncio.create_task(call)
        await asyncio.sleep(draw.uniform(0, 0.25))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def main():
        for _ in range(8):
            await cancelled(networks.partition(cut))
            await cancelled(networks.heal(cut))
        assert (await networks.heal(cut)).verified
        assert await networks.residue() == []

    asyncio.run(main())


def test_counters_go_on_while_nothing_changes(world, networks):
    cut = Cut.one_way(["n1"], ["n2"])
    first = asyncio.run(networks.partition(cut)).measured["dropped"]
    asyncio.run(networks.partition(cut))
    assert asyncio.run(networks.heal(cut)).measured["dropped"] > 2 * first


def test_nodes_that_are_not_there_are_named(world, networks):
    evidence = asyncio.run(networks.partition(Cut.between(["n1"], ["n2", "gone"])))
    assert evidence.verified
    assert sorted(evidence.measured["absent"]) == ["gone>n1", "n1>gone"]
    assert not asyncio.run(networks.partition(Cut.one_way(["gone"], ["n1"]))).verified


# Never anywhere else.


def test_the_hosts_own_namespace_is_refused():
    node = NetNode("n1", "127.0.0.1", os.getpid(), 1)
    with pytest.raises(EnvironmentFailure, match="no network namespace of its own"):
        asyncio.run(netfilter.write(HostRunner(), node, Filter((Rule("192.0.2.1"),))))
    with pytest.raises(EnvironmentFailure, match="no network namespace of its own"):
        asyncio.run(HostRunner().open_sockets(node, 0))


def test_the_namespace_of_another_is_refused(world):
    mine, other = world.nodes[:2]
    node = NetNode("n1", mine.address, other.pid, 1)  # as when a pid has become somebody else's
    with pytest.raises(EnvironmentFailure, match="not the one of"):
        asyncio.run(HostRunner().run(node, ["iptables-save"]))


def test_a_namespace_that_is_gone_is_told(world):
    node = NetNode("n1", world.nodes[0].address, 2**22 - 1, 1)
    with pytest.raises(EnvironmentFailure, match="namespace of n1 is gone"):
        asyncio.run(HostRunner().run(node, ["iptables-save"]))


# Properties.

_LINK = st.sampled_from(sorted(all_links(NAMES[:3])))
_CUT = st.lists(_LINK, min_size=1, max_size=4, unique=True).map(lambda links: Cut(tuple(links)))


@given(pool=st.lists(_CUT, min_size=1, max_size=3), data=st.data())
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_sequence_leaves_what_the_cuts_in_force_leave(world, pool, data):
    networks = NodeNetworks(lambda: world.nodes[:3], HostRunner())
    networks.closed_s = 0.05
    held = set()

    async def steps():
        for _ in range(data.draw(st.integers(1, 4))):
            cut = data.draw(st.sampled_from(pool))
            if data.draw(st.booleans()):
                held.add(cut)
                evidence = await networks.partition(cut)
            else:
                held.discard(cut)
                evidence = await networks.heal(cut)
            assert evidence.verified, evidence

    try:
        asyncio.run(steps())
        cut_links = {link for cut in held for link in cut.links}
        assert heard(world, NAMES[:3]) == all_links(NAMES[:3]) - cut_links
    finally:
        asyncio.run(networks.clear())


_ADDRESS = st.sampled_from(["", "10.99.0.11", "10.99.0.12"])
_RULE = st.builds(Rule, _ADDRESS, st.integers(1, 1_000_000), st.sampled_from(["DROP", "RETURN"]))
_FILTER = st.builds(
    Filter,
    st.lists(_RULE, max_size=4, unique=True).map(tuple),
    st.lists(_RULE, max_size=2, unique=True).map(tuple),
)


@given(targets=st.lists(_FILTER, min_size=1, max_size=3))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_what_is_read(world, targets):
    node, runner = world.nodes[0], HostRunner()

    async def main():
        for target in targets:
            seen = await netfilter.write(runner, node, target)
            assert seen.filter == target
            assert netfilter.changes(await netfilter.read(runner, node), target) == ""

    asyncio.run(main())


def test_the_thread_that_goes_in_does_not_take_the_process_along(world):
    before = Path("/proc/self/ns/net").stat().st_ino
    asyncio.run(NodeNetworks(lambda: world.nodes, HostRunner()).residue())
    assert Path("/proc/self/ns/net").stat().st_ino == before
    assert inside(world.nodes[0].pid, lambda: Path("/proc/thread-self/ns/net").stat().st_ino) != before
