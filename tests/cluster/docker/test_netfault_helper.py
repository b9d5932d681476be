"""Network faults without root: by a user who may use Docker and nothing else, on nodes whose servers only wait.

That user is real: a process that has given root away. What it has done is looked at from outside, as root.
"""

import asyncio
import contextlib
import encodings.idna  # noqa: F401 (whoever is not root may be kept from importing it later)
import io
import json
import multiprocessing
import os
import shutil
import signal
import socket
import sys
import tarfile
import tempfile
from pathlib import Path

import pytest

from cluster.api import Cut, Degradation
from cluster.docker import helper, helper_container
from cluster.docker.cluster import DockerCluster, local_capabilities
from cluster.docker.engine import Engine
from cluster.docker.helper import HelperRunner, runner_for
from cluster.docker.images import PAUSE_IMAGE, ensure_pause_image
from cluster.docker.layout import CLUSTER, HELPER_PART, NODE, PART, Layout
from cluster.docker.netns import HostRunner, NetNode, is_privileged
from cluster.docker.network import NodeNetworks
from cluster.docker.node import remove_container
from cluster.docker.nodes import Nodes
from cluster.docker.objects import find_cluster, make_network, remove_cluster
from cluster.docker.owner import owner_of_this_process
from cluster.docker.pause import PROGRAM, pause_archive
from cluster.pd_api import PdApi
from harness import cluster_commands
from harness.exit_codes import EnvironmentFailure, ExitCode
from harness.spec import DockerOptions
from tests.cluster.docker.namespaces import inside, need

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("docker")]

NAME = "netfault"
IMAGE = "quorumquake-test/waits"
NOBODY = 65534
DOOR = Path("/var/run/docker.sock")
CUT = Cut.between(["pd1"], ["kv1"])


@pytest.fixture(scope="module")
def engine(docker_engine):
    need("iptables", "tc", "ip")
    engine = Engine()
    ensure_pause_image(engine)
    engine.api.import_image_from_data(servers_that_wait(), repository=IMAGE, tag="1")
    yield engine
    engine.api.remove_image(f"{IMAGE}:1")
    engine.close()
    for path in Path(tempfile.gettempdir()).glob("quorumquake-*"):
        if path.stat().st_uid == NOBODY:  # of a harness that was killed
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def servers_that_wait():
    """An image whose PD and whose store do nothing."""
    with tarfile.open(fileobj=io.BytesIO(pause_archive())) as archive:
        program = archive.extractfile(PROGRAM.lstrip("/")).read()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in ("pd-server", "tikv-server"):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(program), 0o755
            archive.addfile(entry, io.BytesIO(program))
    return buffer.getvalue()


@pytest.fixture
def nodes(engine):
    """Two nodes, of a cluster whose maker is gone."""
    options = DockerOptions(pd=1, kv=1, subnet="198.18.62.0/24", pd_image=IMAGE, kv_image=IMAGE, version="1")
    layout = Layout.of(NAME, options)
    made = Nodes(engine, layout, PdApi(layout.pd_addresses))

    async def make():
        await made.create()
        await made.start()

    try:
        make_network(engine, layout, as_user(owner_of_this_process))
        asyncio.run(make())
        yield [NetNode(node.name, node.place.address, node.holder[1], node.place.port, node.holder[0]) for node in made]
    finally:
        remove_cluster(engine, NAME)


def as_user(work):
    """Do it in a process of a user who is not root, but of the engine's group; its result, its error, or None."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()

    def body():
        os.setgroups([DOOR.stat().st_gid])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        try:
            theirs.send(work())
        except BaseException as error:  # noqa: BLE001 (raised below)
            theirs.send(error)

    process = context.Process(target=body)
    process.start()
    theirs.close()
    with ours:
        try:
            result = ours.recv() if ours.poll(100) else TimeoutError()
        except EOFError:
            result = None
    if isinstance(result, TimeoutError):
        process.kill()
    process.join()
    process.close()
    if isinstance(result, BaseException):
        raise result
    return result


def with_networks(nodes, use):
    """What ``use`` makes of the nodes' networks, in a process like a run's, with the runner that it would take."""

    async def main():
        engine = Engine()
        networks = NodeNetworks(lambda: nodes, runner_for(engine))
        networks.closed_s = 0.1
        try:
            return await use(networks)
        finally:
            await networks.close()
            engine.close()

    return asyncio.run(main())


def talk(nodes):
    """The links over which a connection attempt from inside is answered."""
    found = set()
    for a, b in (nodes, nodes[::-1]):
        with inside(a.pid, lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as stream:
            stream.settimeout(0.3)
            with contextlib.suppress(TimeoutError):
                with contextlib.suppress(ConnectionRefusedError):  # an answer
                    stream.connect((b.address, b.port))
                found.add((a.name, b.name))
    return found


def helpers(engine):
    """Those of these nodes, and of none; not of other clusters that this machine may have."""
    found = engine.api.containers(all=True, filters={"label": f"{PART}={HELPER_PART}"})
    return [helper for helper in found if helper["Labels"].get(CLUSTER) in (NAME, None)]


def test_a_user_without_root_cuts_and_heals(engine, nodes):
    both = {("pd1", "kv1"), ("kv1", "pd1")}
    assert talk(nodes) == both
    made = as_user(lambda: with_networks(nodes, lambda networks: networks.partition(CUT)))
    assert made.verified, made
    assert made.measured["before"] == {"datagrams": 2, "connections": 2}
    assert talk(nodes) == set()
    assert helpers(engine) == []  # the cut needs none to stay
    healed = as_user(lambda: with_networks(nodes, lambda networks: networks.heal(CUT)))
    assert healed.verified, healed
    assert talk(nodes) == both
    assert as_user(lambda: with_networks(nodes, lambda networks: networks.residue())) == []


def test_loss_and_rate_without_root(nodes):
    for how in (Degradation(loss_ppm=300_000), Degradation(kbit=2000), Degradation()):
        made = as_user(lambda how=how: with_networks(nodes, lambda networks: networks.degrade(["kv1"], how)))
        assert made.verified, made


def test_that_user_has_no_other_way_and_is_told_what_needs_root(nodes):
    def try_as_root_would():
        try:
            asyncio.run(HostRunner().run(nodes[0], ["true"]))
        except EnvironmentFailure as failure:
            return is_privileged(), str(failure), dict(local_capabilities())
        return None

    privileged, refusal, capabilities = as_user(try_as_root_would)
    assert not privileged
    assert "the network namespace of pd1 is gone" in refusal
    assert "need root on the host" in capabilities["clock"].reason
    assert capabilities["partition"].available
    assert capabilities["loss"].available
    assert capabilities["kill, stop, pause"].available


def test_a_helper_bears_the_labels_of_its_node_and_may_do_nothing_else(engine, nodes, monkeypatch):
    monkeypatch.setattr(helper_container, "COMMAND_S", 0.5)
    runner, node = HelperRunner(engine), nodes[1]

    async def main():
        rights = await runner.run(node, ["grep", "CapEff", "/proc/self/status"])
        assert int(rights.out.split()[1], 16) == 1 << 12 | 1 << 13  # NET_ADMIN, NET_RAW
        assert (await runner.run(node, ["touch", "/usr/bin/mine"])).complaint.endswith("Read-only file system")
        assert (await runner.run(node, ["cat", "-"], "three\nlines\n$x")).out == "three\nlines\n$x"
        (found,) = helpers(engine)
        assert {name: found["Labels"][name] for name in (CLUSTER, NODE)} == {CLUSTER: NAME, NODE: "kv1"}
        assert found["Names"][0].startswith(f"/qq-{NAME}-kv1-helper-")
        with pytest.raises(EnvironmentFailure, match="sleep did not end within"):
            await runner.run(node, ["sleep", "20"])
        engine.api.remove_container(found["Id"], force=True)
        sockets = await runner.open_sockets(node, 250)  # by another helper
        assert len(sockets) == 251
        assert {each.getsockname()[0] for each in sockets} == {node.address}
        for each in sockets:
            each.close()
        (second,) = helpers(engine)
        monkeypatch.setattr(helper, "_IN_USE_S", -1)
        runner._helpers = {key: (made, 0.0) for key, (made, _) in runner._helpers.items()}
        assert (await runner.run(node, ["true"])).status == 0  # the time of the second one was up
        (third,) = helpers(engine)
        assert len({found["Id"], second["Id"], third["Id"]}) == 3
        await runner.close()
        assert helpers(engine) == []

    asyncio.run(main())


def test_a_helper_in_another_network_is_not_used(engine, nodes):
    one, other = nodes
    strange = NetNode(one.name, one.address, one.pid, one.port, other.container)
    runner = HelperRunner(engine)
    with pytest.raises(EnvironmentFailure, match=f"makes no socket of {one.address}"):
        asyncio.run(runner.run(strange, ["true"]))
    with pytest.raises(EnvironmentFailure, match="the network namespace of pd1 is gone"):
        asyncio.run(runner.run(NetNode(one.name, one.address, one.pid, one.port, "nosuchcontainer"), ["true"]))
    assert helpers(engine) == []
    asyncio.run(runner.close())


def test_a_helper_in_the_network_of_this_machine_does_nothing(engine, monkeypatch):
    done = []
    execute = helper_container.HelperContainer.execute
    monkeypatch.setattr(
        helper_container.HelperContainer, "execute",
        lambda self, command, *more, **options: done.append(command[0]) or execute(self, command, *more, **options),
    )  # fmt: skip
    host_config = engine.api.create_host_config(network_mode="host", auto_remove=True)
    made = engine.api.create_container(PAUSE_IMAGE, entrypoint=[PROGRAM], host_config=host_config)["Id"]
    runner = HelperRunner(engine)
    try:
        engine.api.start(made)
        with pytest.raises(EnvironmentFailure, match="n1 has no network namespace of its own: nothing was done there"):
            asyncio.run(runner.run(NetNode("n1", "127.0.0.1", 0, 9, made), ["iptables-save"]))
    finally:
        remove_container(engine, made)
        asyncio.run(runner.close())
    assert done == ["readlink"]
    assert helpers(engine) == []


def test_what_a_killed_harness_left_is_seen_healed_and_cleaned_without_root(engine, nodes):
    def cut_and_die():
        async def use(networks):
            evidence = await networks.partition(CUT)
            assert evidence.verified
            os.kill(os.getpid(), signal.SIGKILL)

        with_networks(nodes, use)

    def status():
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            assert cluster_commands.status("json") == ExitCode.VALID
        return next(cluster for cluster in json.loads(said.getvalue()) if cluster["name"] == NAME)

    assert as_user(cut_and_die) is None
    assert talk(nodes) == set()
    assert len(helpers(engine)) == 2
    assert as_user(status)["in force"] == ["pd1 drops what comes from kv1", "kv1 drops what comes from pd1"]
    assert as_user(lambda: cluster_commands.heal(NAME)) == ExitCode.VALID
    assert len(talk(nodes)) == 2
    assert as_user(status)["in force"] == []
    assert as_user(lambda: cluster_commands.clean(everything=False)) == ExitCode.VALID
    assert find_cluster(engine, NAME) is None
    assert helpers(engine) == []


def test_where_helpers_do_not_work_a_run_is_told_so_when_it_is_planned(engine, monkeypatch):
    monkeypatch.setattr(sys, "_base_executable", "/no/such/python")
    options = DockerOptions(pd=1, kv=1, subnet="198.18.62.0/24", pd_image=IMAGE, kv_image=IMAGE, version="1")

    def plan():
        found = DockerCluster.new(options).capabilities()
        return {found[name].reason for name in ("partition", "degrade", "loss", "rate")}

    (reason,) = as_user(plan)
    assert reason.startswith("a helper container makes no socket of 127.0.0.1: ")
    assert "/no/such/python" in reason
    assert "\n" not in reason
    assert helpers(engine) == []
