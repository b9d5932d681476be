"""Loss and rate between real network namespaces, measured; and what this kernel cannot do."""

import asyncio
import math
import os
import socket
import threading
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cluster.api import ASPECTS, Cut, Degradation
from cluster.docker import netfilter, netns, shaping
from cluster.docker.netns import HostRunner
from cluster.docker.network import NodeNetworks
from harness.clock import MILLISECOND
from harness.exit_codes import EnvironmentFailure
from tests.cluster.docker.namespaces import inside, need

NAMES = ["n1", "n2", "n3", "n4", "n5"]


@pytest.fixture
def networks(world):
    return NodeNetworks(lambda: world.nodes, HostRunner())


def arrivals(source, destination, count=600):
    """How many of so many datagrams arrive, by other code than the one under test."""
    receiver, sender = (inside(pid, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                        for pid in (destination[0], source[0]))  # fmt: skip
    with receiver, sender:
        receiver.bind((destination[1], 0))
        receiver.setblocking(False)
        arrived = 0
        for k in range(count):
            try:
                sender.sendto(b"x", receiver.getsockname())
            except PermissionError:
                continue  # its own filter has dropped it
            if k % 50 == 49:
                arrived += drained(receiver)
        time.sleep(0.05)
        return arrived + drained(receiver)


def drained(receiver):
    count = 0
    try:
        while receiver.recv(10):
            count += 1
    except BlockingIOError:
        return count


def place(world, name):
    if name == "gateway":
        return world.gateway, "10.99.0.1"
    node = next(node for node in world.nodes if node.name == name)
    return node.pid, node.address


def assert_lost(world, source, destination, share, count=600):
    arrived = arrivals(place(world, source), place(world, destination), count)
    assert abs(count - arrived - count * share) <= 5 * math.sqrt(count * share * (1 - share)), (source, destination)


def test_a_third_of_the_messages_is_lost_in_both_directions(world, networks):
    evidence = asyncio.run(networks.degrade(["n1"], Degradation(loss_ppm=300_000)))
    assert evidence.verified
    assert evidence.measured["lost"] == pytest.approx(evidence.measured["expected"], abs=40)
    for link in (("n1", "n2"), ("n2", "n1"), ("gateway", "n1"), ("n1", "gateway")):
        assert_lost(world, *link, 0.3)
    for link in (("n2", "n3"), ("gateway", "n2"), ("n1", "n1")):
        assert_lost(world, *link, 0.0)
    assert asyncio.run(networks.degrade(["n1"], Degradation())).verified
    assert_lost(world, "n1", "n2", 0.0)
    assert asyncio.run(networks.residue()) == []


def test_a_link_gets_the_worse_of_its_ends(world, networks):
    asyncio.run(networks.degrade(["n1", "n2"], Degradation(loss_ppm=200_000)))
    assert asyncio.run(networks.degrade(["n3"], Degradation(loss_ppm=400_000))).verified
    for link, share in ((("n1", "n2"), 0.2), (("n1", "n3"), 0.4), (("n3", "n1"), 0.4), (("n4", "n2"), 0.2)):
        assert_lost(world, *link, share)


def test_a_cut_within_loss_is_proved_and_healed(world, networks):
    asyncio.run(networks.degrade(["n1", "n2"], Degradation(loss_ppm=400_000)))
    cut = Cut.one_way(["n1"], ["n2", "n3"])
    assert asyncio.run(networks.partition(cut)).verified
    assert_lost(world, "n1", "n3", 1.0, 50)
    assert_lost(world, "n3", "n1", 0.4)
    assert asyncio.run(networks.heal(cut)).verified
    assert_lost(world, "n1", "n3", 0.4)


def test_loss_that_is_not_there_is_not_believed(world, networks, monkeypatch):
    right = netfilter.wanted
    monkeypatch.setattr(netfilter, "wanted", lambda node, cut, _, addresses: right(node, cut, {}, addresses))
    evidence = asyncio.run(networks.degrade(["n1"], Degradation(loss_ppm=300_000)))
    assert not evidence.verified
    assert evidence.measured["lost"] == 0


def test_loss_that_stays_is_noticed(world, networks, monkeypatch):
    asyncio.run(networks.degrade(["n1"], Degradation(loss_ppm=300_000)))

    async def nothing(*_):
        pass

    monkeypatch.setattr(NodeNetworks, "_apply", nothing)
    assert not asyncio.run(networks.degrade(["n1"], Degradation())).verified


def test_a_node_that_is_cut_off_cannot_be_measured(world, networks):
    asyncio.run(networks.partition(Cut.between(["n1"], NAMES[1:])))
    evidence = asyncio.run(networks.degrade(["n1"], Degradation(loss_ppm=300_000)))
    assert not evidence.verified
    assert evidence.measured["sent"] == 0


# Rate.


def kbit_of(world, source, destination, size):
    """How fast so many bytes get from one node to the other by TCP."""
    one, other = (next(node for node in world.nodes if node.name == name) for name in (source, destination))
    stream = world.connect(one.pid, other, timeout=20)
    end = world.accepted(other, stream)
    sender = threading.Thread(target=stream.sendall, args=(b"x" * size,))
    began = time.monotonic()
    sender.start()
    with stream, end:
        left = size
        while left:
            left -= len(end.recv(65536))
        took = time.monotonic() - began
        sender.join()
    return size * 8 / 1000 / took


def test_a_rate_is_reported_and_kept(world, networks):
    evidence = asyncio.run(networks.degrade(["n1"], Degradation(kbit=4_000)))
    assert evidence.verified
    assert evidence.measured["kbit"] == 4_000
    assert asyncio.run(networks.residue()) == ["n1 sends through tbf, 4000 kbit/s at most"]
    assert 2_000 < kbit_of(world, "n1", "n2", 400_000) < 5_000
    assert kbit_of(world, "n2", "n1", 400_000) > 10_000  # only what leaves the node
    assert asyncio.run(networks.degrade(["n1"], Degradation(kbit=9_000))).measured["kbit"] == 9_000
    assert asyncio.run(networks.degrade(["n1"], Degradation())).verified
    assert kbit_of(world, "n1", "n2", 400_000) > 20_000
    assert asyncio.run(networks.residue()) == []


def test_clear_leaves_the_queues_of_others(world, networks):
    one, other = world.nodes[:2]
    asyncio.run(networks.degrade(["n1"], Degradation(kbit=64, loss_ppm=10_000)))
    world.run(other, "tc", "qdisc", "replace", "dev", "eth0", "root", "handle", "77:", "pfifo")
    asyncio.run(NodeNetworks(lambda: world.nodes, HostRunner()).clear())
    assert "tbf" not in world.run(one, "tc", "qdisc", "show", "dev", "eth0")
    assert "77:" in world.run(other, "tc", "qdisc", "show", "dev", "eth0")
    assert asyncio.run(networks.residue()) == []
    world.run(other, "tc", "qdisc", "del", "dev", "eth0", "root")


# What there is here.

_HOWS = st.builds(
    Degradation,
    st.integers(0, 1_000_000),
    st.integers(0, 10_000).map(lambda ms: ms * MILLISECOND),
    st.integers(0, 1_000_000),
    st.integers(0, 1_000_000),
    st.sampled_from([0, 1, 64, 1_000, 10_000_000]),
)
_GRAMMAR = ("What is", "Illegal", "Usage", "Garbage", "invalid", "must be")


@given(hows=st.lists(_HOWS.filter(shaping.discipline), min_size=20, max_size=20))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_tc_understands_every_command(hows):
    need("tc")
    commands = [["tc", "qdisc", "replace", "dev", "lo", "root", *shaping.discipline(how)] for how in hows]
    for command, done in zip(commands, HostRunner().try_apart(commands), strict=True):
        assert done.status == 0 or "qdisc kind is unknown" in done.complaint, (command, done)
        assert not any(word in done.err for word in _GRAMMAR)


def test_tc_would_say_what_is_wrong_with_a_command():
    need("tc")
    (done,) = HostRunner().try_apart([["tc", "qdisc", "replace", "dev", "lo", "root", "netem", "delay", "soon"]])
    assert done.status != 0
    assert any(word in done.err for word in _GRAMMAR)


def test_what_is_possible_is_what_the_kernel_says(world, networks):
    capabilities = networks.capabilities()
    assert set(capabilities) == {"partition", "degrade", *ASPECTS}
    disciplines = {"netem": "netem delay 1ms", "tbf": "tbf rate 1mbit burst 2kb latency 1ms"}
    commands = [["tc", "qdisc", "add", "dev", "lo", "root", *words.split()] for words in disciplines.values()]
    tried = {
        name: HostRunner().try_apart([command])[0].status == 0
        for name, command in zip(disciplines, commands, strict=True)
    }
    for name in ("delay", "duplicate", "reorder"):
        assert capabilities[name].available == tried["netem"]
    assert capabilities["rate"].available == tried["tbf"]
    assert capabilities["partition"].available
    assert capabilities["loss"].available
    if not tried["netem"]:
        assert capabilities["delay"].reason == "tc says 'Specified qdisc kind is unknown': this kernel has no netem"
        with pytest.raises(EnvironmentFailure, match="no delay on this machine: tc says"):
            asyncio.run(networks.degrade(["n1"], Degradation(delay_ns=MILLISECOND)))


def test_missing_programs_are_named(monkeypatch):
    monkeypatch.setattr(netns, "_SEARCHED", "")
    monkeypatch.setenv("PATH", "/nowhere")
    need_root = os.geteuid() == 0
    if not need_root:
        pytest.skip("a namespace of its own needs root")
    capabilities = NodeNetworks(list, HostRunner()).capabilities()
    assert capabilities["partition"].reason == "iptables-save is not installed: Debian: apt install iptables"
    assert capabilities["rate"].reason == "tc is not installed: Debian: apt install iproute2"
    assert not capabilities["degrade"].available
