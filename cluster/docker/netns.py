"""Working inside the network namespace of a node, and never in the host's own.

A namespace belongs to a thread. So whoever enters one here is a child process, or a thread that does nothing else and
ends. Sockets stay in the namespace they were made in: made inside, they can be used from anywhere, which is how
connections are tried from a node without any program in its image.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol, TypeVar

import msgspec

from cluster.docker.host_process import CAP_NET_ADMIN, CAP_SYS_ADMIN, holds
from harness.exit_codes import EnvironmentFailure

T = TypeVar("T")

COMMAND_S: Final = 5.0  # for one command in a namespace, which takes a few milliseconds
TOOLS: Final = {"iptables-restore": "iptables", "iptables-save": "iptables", "tc": "iproute2", "ip": "iproute2"}

_CLONE_NEWNET: Final = 0x40000000
_SEARCHED: Final = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"  # a user's PATH may lack sbin
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


class NetNode(msgspec.Struct, frozen=True):
    """A node's place in the network.

    Attributes:
        name: of the node.
        address: its IPv4 address, fixed.
        pid: a process that holds its network namespace for as long as the cluster lives (of the pause container).
        port: where its server listens.
        container: the id of the pause container; only needed where the host's root is not at hand.
    """

    name: str
    address: str
    pid: int
    port: int
    container: str = ""


class Done(msgspec.Struct, frozen=True):
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """Its last words, on one line."""
        lines = [line.strip() for line in (self.err or self.out).splitlines() if line.strip()]
        return lines[-1].removeprefix("Error: ").rstrip(".") if lines else f"exit code {self.status}"


class Runner(Protocol):
    """Does things in the network namespaces of nodes."""

    async def run(self, node: NetNode, command: Sequence[str], stdin: str = "") -> Done:
        """Run one of the host's own programs in the node's namespace.

        Raises:
            EnvironmentFailure: the namespace is gone or not the node's, the program is missing or does not end.
        """
        ...

    async def open_sockets(self, node: NetNode, streams: int) -> list[socket.socket]:
        """Sockets in the node's namespace, not blocking: one for datagrams, then ``streams`` for connections.

        All are bound to the node's address, which proves that the namespace is the node's.

        Raises:
            EnvironmentFailure: the namespace is gone or not the node's.
        """
        ...

    def try_apart(self, commands: Sequence[Sequence[str]]) -> list[Done]:
        """Run commands in a namespace that is made for this and has nothing but ``lo``; blocks.

        What is missing ends with 127.
        """
        ...

    async def close(self) -> None:
        """Let go of what it needed for this."""
        ...


def tool(name: str) -> str:
    """The path of one of the host's programs.

    Raises:
        EnvironmentFailure: it is not installed.
    """
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:{_SEARCHED}")
    if found is None:
        package = TOOLS.get(name, name)
        raise EnvironmentFailure(f"{name} is not installed: Debian: apt install {package}")
    return found


def is_privileged() -> bool:
    """Whether this process may enter namespaces and change what is in them."""
    return os.geteuid() == 0 and holds(CAP_SYS_ADMIN, CAP_NET_ADMIN)


class HostRunner:
    """Implements ``Runner`` for root on the host."""

    async def run(self, node: NetNode, command: Sequence[str], stdin: str = "") -> Done:
        """Run it by nsenter, which gets the namespace as an open file: a pid may be another's by then."""
        enter, program = tool("nsenter"), tool(command[0])
        with _namespace_of(node) as namespace:
            _in_thread(lambda: _make_sockets(namespace, node.address, 0))[0].close()  # it is the node's
            process = await asyncio.create_subprocess_exec(
                enter,
                f"--net=/proc/self/fd/{namespace}",
                program,
                *command[1:],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=(namespace,),
            )
            try:
                async with asyncio.timeout(COMMAND_S):
                    out, err = await process.communicate(stdin.encode())
            except TimeoutError:
                raise EnvironmentFailure(f"{command[0]} did not end within {COMMAND_S:g} s on {node.name}") from None
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
        return Done(process.returncode or 0, out.decode(errors="replace"), err.decode(errors="replace"))

    async def open_sockets(self, node: NetNode, streams: int) -> list[socket.socket]:
        """A thread goes in, makes them, and ends; it takes less than a millisecond."""
        with _namespace_of(node) as namespace:
            return _in_thread(lambda: _make_sockets(namespace, node.address, streams))

    def try_apart(self, commands: Sequence[Sequence[str]]) -> list[Done]:
        """A thread leaves for a new namespace, which ends with it and with what it started."""

        def leave() -> list[Done]:
            _check(_LIBC.unshare(_CLONE_NEWNET), "a new network namespace")
            return [_run_here(command) for command in commands]

        return _in_thread(leave)

    async def close(self) -> None:
        """There is nothing to let go of."""


@contextlib.contextmanager
def _namespace_of(node: NetNode) -> Iterator[int]:
    """The namespace as an open file, which is none of this process's or of the host's first process."""
    gone = f"the network namespace of {node.name} is gone: process {node.pid} does not hold it any more"
    try:
        namespace = os.open(f"/proc/{node.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        raise EnvironmentFailure(gone) from None
    try:
        for own in ("self", "1"):
            with contextlib.suppress(OSError):
                if os.path.samestat(os.fstat(namespace), os.stat(f"/proc/{own}/ns/net")):  # noqa: PTH116
                    raise EnvironmentFailure(f"{node.name} has no network namespace of its own: nothing was done there")
        yield namespace
    finally:
        os.close(namespace)


def _make_sockets(namespace: int, address: str, streams: int) -> list[socket.socket]:
    """Enter, and make them. For a thread that ends afterwards."""
    _check(_LIBC.setns(namespace, _CLONE_NEWNET), "the network namespace")
    made = []
    try:
        for kind in (socket.SOCK_DGRAM, *[socket.SOCK_STREAM] * streams):
            made.append(socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK))
            made[-1].bind((address, 0))
    except OSError as error:
        for each in made:
            each.close()
        raise EnvironmentFailure(f"the network namespace is not the one of {address}: {error.strerror}") from None
    return made


def _check(status: int, what: str) -> None:
    if status != 0:
        raise EnvironmentFailure(f"cannot enter {what}: {os.strerror(ctypes.get_errno())}")


def _run_here(command: Sequence[str]) -> Done:
    try:
        ran = subprocess.run(  # noqa: S603 (ours, from a fixed list)
            [tool(command[0]), *command[1:]], capture_output=True, text=True, timeout=COMMAND_S, check=False
        )
    except EnvironmentFailure as missing:
        return Done(127, "", str(missing))
    except (OSError, subprocess.TimeoutExpired) as error:
        return Done(126, "", str(error))
    return Done(ran.returncode, ran.stdout, ran.stderr)


def _in_thread(work: Callable[[], T]) -> T:
    """Do it in a thread of its own, which never does anything else: it may be in another namespace afterwards."""
    results: list[T] = []
    errors: list[BaseException] = []

    def body() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 (raised below)
            errors.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]
