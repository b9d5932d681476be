"""The image of the pause containers: a program of a few instructions that waits for ever, made here.

Such a container holds a node's network namespace, so that a node whose process was killed keeps its address: without
it a client waits 12 to 35 s for a killed leader, with it one. No registry is asked for it, since the machine may reach
none.
"""

from __future__ import annotations

import platform
import struct
from typing import Final

from cluster.docker.archive import archive_of
from harness.exit_codes import EnvironmentFailure

_BASE: Final = 0x400000
_HEADERS: Final = 64 + 56

# Machine (ELF's e_machine) and code: for ever { pause() }. As process 1 it has no default signal handlers, so only
# SIGKILL ends it.
_PROGRAMS: Final = {
    # again: mov eax, 34; syscall; jmp again
    "x86_64": (62, bytes.fromhex("b8220000000f05ebf7")),
    # again: mov x0, 0; mov x1, 0; mov x2, 0; mov x3, 0; mov x8, 73 (ppoll); svc 0; b again
    "aarch64": (183, bytes.fromhex("000080d2010080d2020080d2030080d2280980d2010000d4faffff17")),
}
_ALIASES: Final = {"amd64": "x86_64", "arm64": "aarch64"}

PROGRAM: Final = "/pause"


def pause_archive(machine: str = "") -> bytes:
    """A tar archive with the program alone, for ``docker import``; ``machine`` is this one if it is not given.

    Raises:
        EnvironmentFailure: there is no such program for this machine.
    """
    return archive_of(PROGRAM, _executable(machine or platform.machine()), 0o755)


def _executable(machine: str) -> bytes:
    name = _ALIASES.get(machine.lower(), machine.lower())
    if name not in _PROGRAMS:
        raise EnvironmentFailure(f"a cluster in Docker needs an x86-64 or arm64 machine, and this one is {machine!r}")
    kind, code = _PROGRAMS[name]
    size = _HEADERS + len(code)
    ident = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)  # 64 bits, little endian
    header = ident + struct.pack("<HHIQQQIHHHHHH", 2, kind, 1, _BASE + _HEADERS, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x10000)  # loaded, readable, executable
    return header + segment + code
