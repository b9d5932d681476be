"""Work under limits that are kept: in a child process, which is killed when its time or its memory is used up.

Nothing inside a process can keep its own deadline: one call into a library may take minutes. What the child has
reported until then is not lost.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Literal, NamedTuple

import msgspec

_LOOK: Final = 0.02  # seconds between two looks at the memory
_SIZE: Final = struct.Struct("<Q")
_FAILED: Final = 99  # the child's exit code when it could not even say what went wrong

_PR_SET_PDEATHSIG: Final = 1

Ended = Literal["done", "timeout", "memory", "crash", "interrupted"]


class Limits(msgspec.Struct, frozen=True):
    """How much may be used.

    Attributes:
        seconds: of real time; None: without end.
        memory: bytes in memory at once; None: whatever there is.
    """

    seconds: float | None = None
    memory: int | None = None


class Outcome(NamedTuple):
    """What came of it.

    Attributes:
        ended: how the child ended.
        reports: what it reported, in order.
    """

    ended: Ended
    reports: list[bytes]


def under(limits: Limits, work: Callable[[Callable[[bytes], None]], None]) -> Outcome:
    """Call ``work(report)`` in a child process.

    What ``work`` raises is a crash: it has to report its own errors. A KeyboardInterrupt ends it, and is told.
    """
    reading, writing = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        _be_the_child(parent, (reading, writing), work)
    os.close(writing)
    buffer = bytearray()
    try:
        ended = _watch(child, reading, limits, buffer)
        return Outcome(ended, _reports(buffer))
    except KeyboardInterrupt:
        _kill(child)
        return Outcome("interrupted", _reports(buffer))
    except BaseException:
        _kill(child)
        raise
    finally:
        os.close(reading)


def die_with_parent(parent: int) -> None:
    """Be killed when the parent ends (Linux); the parent may have ended already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


@contextlib.contextmanager
def interrupted_by(number: signal.Signals) -> Iterator[None]:
    """Let this signal, too, raise KeyboardInterrupt, in the main thread; elsewhere signals are not ours."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(number, previous)


def _be_the_child(parent: int, pipe: tuple[int, int], work: Callable[[Callable[[bytes], None]], None]) -> None:
    code = _FAILED
    reading, writing = pipe
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; the parent ends this one when it has read
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        die_with_parent(parent)
        os.close(reading)
        work(lambda report: _write(writing, report))
        code = 0
    finally:
        # Nothing of the parent's may be done twice: no buffers written, no exit handlers run.
        os._exit(code)


def _write(pipe: int, report: bytes) -> None:
    left = memoryview(_SIZE.pack(len(report)) + report)
    while left:
        left = left[os.write(pipe, left) :]


def _watch(child: int, reading: int, limits: Limits, buffer: bytearray) -> Ended:
    end = None if limits.seconds is None else time.monotonic() + limits.seconds
    ended: Ended = "done"
    while True:
        ready, _, _ = select.select([reading], [], [], _wait(end, limits))
        if ready:
            block = os.read(reading, 1 << 20)
            if not block:
                break
            buffer += block
        if end is not None and time.monotonic() >= end:
            ended = "timeout"
        if limits.memory is not None and _resident(child) > limits.memory:
            ended = "memory"
        if ended != "done":
            _kill(child)
            return ended
    _, status = os.waitpid(child, 0)
    return "done" if status == 0 else "crash"


def _wait(end: float | None, limits: Limits) -> float | None:
    left = None if end is None else max(end - time.monotonic(), 0)
    if limits.memory is None:
        return left
    return _LOOK if left is None else min(_LOOK, left)


def _resident(process: int) -> int:
    """Bytes that a process has in memory; 0 where the system does not tell."""
    try:
        pages = Path(f"/proc/{process}/statm").read_bytes().split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _kill(child: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(child, 0)


def _reports(buffer: bytearray) -> list[bytes]:
    """The whole reports; the last may be torn."""
    found = []
    at = 0
    while at + _SIZE.size <= len(buffer):
        (size,) = _SIZE.unpack_from(buffer, at)
        begin = at + _SIZE.size
        if begin + size > len(buffer):
            break
        found.append(bytes(buffer[begin : begin + size]))
        at = begin + size
    return found
