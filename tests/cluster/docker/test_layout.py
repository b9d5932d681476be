"""What a cluster consists of, and the program that holds a node's network."""

from __future__ import annotations

import gc
import ipaddress
import os
import platform
import signal
import subprocess
import tarfile
import time
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.docker.engine import Engine
from cluster.docker.layout import Layout
from cluster.docker.pause import pause_archive
from cluster.pd_api import encode_key
from harness.exit_codes import EnvironmentFailure, UsageError
from harness.settings import docker_options, merge


def options(**given):
    return docker_options(merge(given, {}))


@given(st.integers(1, 9), st.integers(1, 50), st.sampled_from(["198.18.0.0/24", "198.18.7.128/25", "10.0.0.0/16"]))
def test_every_node_has_an_address_of_its_own_in_the_subnet_and_a_new_store_gets_another(pds, stores, subnet):
    layout = Layout.of("here", options(pd=pds, kv=stores, subnet=subnet))
    network = ipaddress.IPv4Network(subnet)
    addresses = [ipaddress.IPv4Address(place.address) for place in layout.places]
    assert len(set(addresses)) == len(addresses) == pds + stores
    assert all(address in network for address in addresses)
    reserved = {network.network_address, network.network_address + 1, network.broadcast_address}
    assert not reserved.intersection(addresses)
    joining = ipaddress.IPv4Address(layout.joining("kv99").address)
    assert joining in network
    assert joining not in reserved.union(addresses)


def test_the_command_lines_are_those_of_pd_and_tikv():
    layout = Layout.of("here", options(pd=2, kv=1))
    pd, store = layout.command(layout.places[1]), layout.command(layout.places[2])
    assert pd[0] == "/pd-server"
    assert "--initial-cluster=pd1=http://198.18.0.2:2380,pd2=http://198.18.0.3:2380" in pd
    assert "--advertise-client-urls=http://198.18.0.3:2379" in pd
    assert store[0] == "/tikv-server"
    assert "--pd-endpoints=198.18.0.2:2379,198.18.0.3:2379" in store
    assert "--advertise-addr=198.18.0.4:20160" in store


@pytest.mark.parametrize("name", ["", "Big", "a_b", "-a", "a" * 32])
def test_a_name_that_docker_would_not_take_is_refused(name):
    with pytest.raises(UsageError, match="small letters"):
        Layout.of(name, options())


@pytest.mark.parametrize(
    ("given_options", "says"),
    [
        ({"subnet": "198.18.0.1/24"}, "host bits"),
        ({"subnet": "300.0.0.0/24"}, "IPv4 network"),
        ({"subnet": "198.18.0.0/29"}, "too small"),
        ({"pd": 0}, "pd must be from 1"),
        ({"kv": 51}, "kv must be from 1 to 50"),
        ({"kv_config": "/no/such/file"}, "no file"),
    ],
)
def test_options_that_make_no_cluster_are_refused(given_options, says):
    with pytest.raises(UsageError, match=says):
        options(**given_options)


@pytest.mark.skipif(
    platform.machine() not in {"x86_64", "aarch64"}, reason="there is no pause program for this machine"
)
def test_the_pause_program_waits_without_doing_anything_and_only_a_kill_ends_it(tmp_path: Path):
    with tarfile.open(fileobj=BytesIO(pause_archive())) as archive:
        archive.extractall(tmp_path, filter="data")
    process = subprocess.Popen([tmp_path / "pause"])
    try:
        time.sleep(0.3)
        assert process.poll() is None
        ticks = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        assert ticks == ["0", "0"]
        os.kill(process.pid, signal.SIGCONT)
        time.sleep(0.1)
        assert process.poll() is None
    finally:
        process.kill()
        assert process.wait() == -signal.SIGKILL


def test_there_is_no_pause_program_for_any_machine():
    assert pause_archive("arm64") != pause_archive("x86_64")
    with pytest.raises(EnvironmentFailure, match="riscv64"):
        pause_archive("riscv64")


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_encoded_keys_keep_their_order(left, right):
    assert (encode_key(left) < encode_key(right)) == (left < right)
    assert encode_key(left)[:8] == left[:8].ljust(8, b"\0")
    assert len(encode_key(left)) % 9 == 0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # a socket that the SDK forgets
@pytest.mark.parametrize("where", ["unix:///no/such/socket", "tcp://127.0.0.1:1"])
def test_without_an_engine_one_sentence_says_what_to_do(where, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", where)
    with pytest.raises(EnvironmentFailure, match=r"no Docker engine answers .* install and start it"):
        Engine()
    gc.collect()
