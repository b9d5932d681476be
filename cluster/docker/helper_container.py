"""A helper container: it shares a network namespace, may change networks there, and nothing else. All calls block.

Its image is the one of the pause containers, so that no registry is needed: its programs are the host's own, mounted
to be read only. Sockets that are made inside are handed out through a Unix socket in a folder that both see; from then
on they are used as if they had been made here.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import docker.errors

from cluster.docker.engine import Engine
from cluster.docker.images import PAUSE_IMAGE
from cluster.docker.layout import CLUSTER, HELPER_PART, NODE, PART
from cluster.docker.netns import COMMAND_S, Done, tool
from cluster.docker.node import remove_container
from harness.exit_codes import EnvironmentFailure

LIFE_S: Final = 600  # then it ends: whoever made it may be gone
TIMED_OUT: Final = 124  # the status of a command that did not end, as timeout(1) has it

_INSIDE: Final = "/quorumquake"  # the folder, as the helper sees it
_SYSTEM: Final = ("/usr", "/lib", "/lib32", "/lib64", "/sbin", "/bin", "/etc/alternatives", "/etc/ld.so.cache")
_FEED: Final = 'printf %s "$1" | { shift; "$@"; }'
_AT_ONCE: Final = 100  # sockets in one message; the kernel takes 253
_HAND_OUT: Final = f"""
import socket, sys
path, address, streams = sys.argv[1:]
made = []
for kind in [socket.SOCK_DGRAM] + [socket.SOCK_STREAM] * int(streams):
    made.append(socket.socket(socket.AF_INET, kind))
    made[-1].bind((address, 0))
with socket.socket(socket.AF_UNIX) as door:
    door.connect(path)
    for k in range(0, len(made), {_AT_ONCE}):
        socket.send_fds(door, [b"x"], [each.fileno() for each in made[k : k + {_AT_ONCE}]])
"""


class HelperContainer:
    """One that runs, until it is removed or its time is up. Then all calls raise docker's NotFound.

    Args:
        engine: makes it.
        network_mode: Docker's word for the namespace.
        labels: beside that which says what it is.
        folder: this user's, for sockets; it must outlive the helper.

    Raises:
        EnvironmentFailure: it cannot be made.
        docker.errors.NotFound: the container whose namespace it should share is gone.
    """

    def __init__(self, engine: Engine, network_mode: str, labels: dict[str, str], folder: Path) -> None:
        self._engine = engine
        self._folder = folder
        prefix = () if sys.base_prefix.startswith("/usr") else (sys.base_prefix,)
        there = [path for path in _SYSTEM if Path(path).exists()]  # what is not would be made
        whose = [labels[each] for each in (CLUSTER, NODE) if each in labels]
        host_config = engine.api.create_host_config(
            network_mode=network_mode,
            auto_remove=True,
            binds=[*(f"{path}:{path}:ro" for path in (*there, *prefix)), f"{folder}:{_INSIDE}"],
            tmpfs={"/run": ""},  # for the lock of iptables
            cap_drop=["ALL"],
            cap_add=["NET_ADMIN", "NET_RAW"],  # the older iptables speaks to the kernel through a raw socket
            security_opt=["no-new-privileges", "label=disable"],  # else SELinux keeps it from the Unix socket
        )
        made = engine.do(
            engine.api.create_container,
            PAUSE_IMAGE,
            name="-".join(["qq", *whose, "helper", secrets.token_hex(3)]),
            entrypoint=[tool("sleep"), str(LIFE_S)],
            labels={**labels, PART: HELPER_PART},
            host_config=host_config,
        )
        self._id = str(made["Id"])
        try:
            engine.do(engine.api.start, self._id)
        except BaseException:
            self.remove()
            raise

    def remove(self) -> None:
        """Take it away, if it is there."""
        self._engine.do(remove_container, self._engine, self._id)

    def execute(self, command: Sequence[str], stdin: str = "", user: str = "") -> Done:
        """Run one of the host's programs in it; one that is missing ends with 127, one that does not end with 124."""
        program, *rest = command
        try:
            words = [tool("timeout"), f"{COMMAND_S:g}", program if "/" in program else tool(program), *rest]
        except EnvironmentFailure as missing:
            return Done(127, "", str(missing))
        if stdin:
            words = [tool("sh"), "-c", _FEED, "sh", stdin, *words]
        api = self._engine.api
        try:
            made = self._engine.do(api.exec_create, self._id, words, user=user)["Id"]
            printed: Any = self._engine.do(api.exec_start, made, demux=True)
            status = self._engine.do(api.exec_inspect, made)["ExitCode"]
        except EnvironmentFailure as failure:
            if "is not running" in str(failure):
                raise docker.errors.NotFound(str(failure)) from None
            raise
        out, err = ((each or b"").decode(errors="replace") for each in printed)
        return Done(status, out, err)

    def open_sockets(self, address: str, streams: int) -> list[socket.socket]:
        """Let a Python in it make sockets as ``Runner.open_sockets`` describes them, and hand them out.

        Raises:
            EnvironmentFailure: it cannot; the namespace is not that of this address, say.
        """
        path = self._folder / self._id[:12]
        python = str(Path(getattr(sys, "_base_executable", "") or sys.executable).resolve())
        command = [python, "-I", "-S", "-c", _HAND_OUT, f"{_INSIDE}/{path.name}", address, str(streams)]
        with socket.socket(socket.AF_UNIX) as door:
            door.bind(str(path))
            try:
                door.listen()
                door.setblocking(False)
                # As this user, who owns the folder: the helper's root has no right to ignore that.
                done = self.execute(command, user=f"{os.getuid()}:{os.getgid()}")
                if done.status:
                    raise EnvironmentFailure(f"a helper container makes no socket of {address}: {done.complaint}")
                with door.accept()[0] as hand:
                    return _take(hand, streams + 1)
            finally:
                path.unlink()


def _take(hand: socket.socket, count: int) -> list[socket.socket]:
    made: list[socket.socket] = []
    while len(made) < count:
        _, numbers, _, _ = socket.recv_fds(hand, 1, _AT_ONCE)
        if not numbers:
            close_sockets(made)
            raise EnvironmentFailure("not all sockets came out of a network namespace: too many files are open")
        made += [socket.socket(fileno=number) for number in numbers]
    for each in made:
        each.setblocking(False)
    return made


def close_sockets(made: Any) -> None:
    """Close them, if it is a list of sockets."""
    for each in made if isinstance(made, list) else ():
        with contextlib.suppress(OSError):
            each.close()
