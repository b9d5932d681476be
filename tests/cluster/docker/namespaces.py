"""Nodes without Docker: network namespaces on a bridge that lies in a namespace of its own, not in the host's.

Servers are sockets that listen inside; the kernel accepts for them.
"""

import contextlib
import ctypes
import os
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from cluster.docker.netns import NetNode, is_privileged

PORT = 20160
_LIBC = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000


def need(*programs):
    """Root and these programs, or the test is skipped; in CI it fails."""
    missing = [program for program in programs if shutil.which(program, path="/usr/sbin:/sbin:/usr/bin:/bin") is None]
    if is_privileged() and not missing:
        return
    say = pytest.fail if os.environ.get("CI") else pytest.skip
    what = f"install {', '.join(missing)} (Debian: apt install iptables iproute2)" if missing else "run it as root"
    say(f"network faults need root, iptables and tc: {what}")


def inside(pid, work):
    """Do it in a thread in that namespace."""
    results = []

    def body():
        with open(f"/proc/{pid}/ns/net") as namespace:  # noqa: PTH123
            assert _LIBC.setns(namespace.fileno(), _CLONE_NEWNET) == 0
        results.append(work())

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    return results[0]


def _bound(address):
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((address, 0))
    return made


class World:
    """Nodes ``n1``, ``n2`` ... at 10.99.0.11 ..., and the gateway at 10.99.0.1, where clients come from."""

    def __init__(self, count):
        self._children = []
        self._sockets = []
        self.gateway = self._namespace()
        self._at(self.gateway, "ip link add bridge0 type bridge", "ip address add 10.99.0.1/24 dev bridge0",
                 "ip link set bridge0 up", "ip link set lo up")  # fmt: skip
        self.nodes = [self._join(k) for k in range(1, count + 1)]
        self.servers = {node.name: self.listen(node) for node in self.nodes}

    def _namespace(self):
        child = subprocess.Popen(["unshare", "--net", "sleep", "600"])
        self._children.append(child)
        own = Path("/proc/self/ns/net").stat().st_ino
        while Path(f"/proc/{child.pid}/ns/net").stat().st_ino == own:
            assert child.poll() is None
            time.sleep(0.002)
        return child.pid

    def _at(self, pid, *commands):
        for command in commands:
            subprocess.run(["nsenter", f"--net=/proc/{pid}/ns/net", *command.split()], check=True)

    def _join(self, number):
        pid, address = self._namespace(), f"10.99.0.{10 + number}"
        self._at(self.gateway, f"ip link add port{number} type veth peer name eth0 netns {pid}",
                 f"ip link set port{number} master bridge0 up")  # fmt: skip
        self._at(pid, f"ip address add {address}/24 dev eth0", "ip link set eth0 up", "ip link set lo up")
        return NetNode(f"n{number}", address, pid, PORT)

    def listen(self, node):
        server = inside(node.pid, lambda: socket.create_server((node.address, node.port), backlog=1000))
        self._sockets.append(server)
        return server

    def run(self, node, *command):
        """A command inside a node, for looking at it by other means."""
        enter = ["nsenter", f"--net=/proc/{node.pid}/ns/net"]
        return subprocess.run([*enter, *command], check=True, capture_output=True, text=True).stdout

    def connect(self, pid, to, timeout=0.25):
        """A connection from that namespace, or None."""
        stream = inside(pid, lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        stream.settimeout(timeout)
        try:
            stream.connect((to.address, to.port))
        except TimeoutError:
            stream.close()
            return None
        self._sockets.append(stream)
        return stream

    def accepted(self, node, stream):
        """The server's end of a connection, of all those in its backlog."""
        while True:
            end, peer = self.servers[node.name].accept()
            if peer == stream.getsockname():
                return end
            end.close()

    def heard(self, pairs, timeout=0.06):
        """The links (names) over which a datagram arrives in time, by other code than the one under test."""
        targets = {b.name: b for _, b in pairs}
        receivers = {name: inside(b.pid, lambda b=b: _bound(b.address)) for name, b in targets.items()}
        for a, b in pairs:
            with inside(a.pid, lambda a=a: _bound(a.address)) as sender:
                sender.sendto(a.name.encode(), receivers[b.name].getsockname())
        time.sleep(timeout)
        arrived = set()
        for name, receiver in receivers.items():
            receiver.setblocking(False)
            with receiver, contextlib.suppress(BlockingIOError):
                while True:
                    arrived.add((receiver.recv(100).decode(), name))
        return arrived

    def close(self):
        for each in self._sockets:
            each.close()
        for child in self._children:
            child.kill()
            child.wait()
