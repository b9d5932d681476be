"""What the harness and its client processes say to each other: frames of msgpack over a socket pair.

A frame is its length (four bytes, big-endian) and one batch. All that is ready when a loop comes to write goes out in
one frame, since on a busy machine every wake-up costs the cluster under test some of its time.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, Final

import msgspec

_LENGTH: Final = struct.Struct(">I")


class Job(msgspec.Struct, frozen=True):
    """What a client process is for.

    Attributes:
        workload: where its class is found, ``module:Class``.
        options: the workload's.
        run_id: the run's.
        addresses: of PD.
        deadline_ns: of an operation.
    """

    workload: str
    options: dict[str, Any]
    run_id: str
    addresses: tuple[str, ...]
    deadline_ns: int


# To a client process.


class Do(msgspec.Struct, array_like=True, tag=1):
    """Carry out an operation; the answer is a ``Done``.

    Attributes:
        until: 0: at once. Else it is handed out ahead: to be begun behind the operations that the process was asked for
            before, once the ``Done`` of the last of them is written to the socket; but not if one of them became
            ``info``, and not later than this time: it is in ``Report.dropped`` then.
    """

    process: int
    f: str
    value: Any = None
    node: str | None = None
    ext: dict[str, Any] | None = None
    until: int = 0


class Cancel(msgspec.Struct, array_like=True, tag=2):
    """Cut the open operation of a process off; its ``Done`` tells what is known of it. Those behind it are dropped."""

    process: int


class Close(msgspec.Struct, array_like=True, tag=3):
    """Close the client of a process; the answer is in ``Report.closed``."""

    process: int


class Announce(msgspec.Struct, array_like=True, tag=4):
    """From now on say ``Committing`` right before a commit is sent, or no more."""

    on: bool


class Call(msgspec.Struct, array_like=True, tag=5):
    """``probe`` the cluster, or ``setup`` the workload; the answer is an ``Answer``."""

    what: str


class Stop(msgspec.Struct, array_like=True, tag=6):
    """Close all clients and end."""


Command = Do | Cancel | Close | Announce | Call | Stop

# From a client process. Its times are the machine's CLOCK_MONOTONIC, in nanoseconds.


class Hello(msgspec.Struct, array_like=True, tag=1):
    """Begun, and ready."""

    pid: int


class Done(msgspec.Struct, array_like=True):
    """A completion, with the times right before and after the call."""

    process: int
    began: int
    ended: int
    type: str
    value: Any = None
    error: Any = None
    node: str | None = None
    ext: dict[str, Any] | None = None


class Report(msgspec.Struct, array_like=True, tag=2):
    """What happened since the last one.

    Attributes:
        now: whatever began before then, or ended, has been told with this report.
        began: processes, each with the time at which its open operation began.
        done: completions.
        closed: processes whose clients are closed.
        dropped: the process of each operation that was handed out ahead and is not begun, in their order; after
            ``done`` in time.
    """

    now: int
    began: list[tuple[int, int]]
    done: list[Done]
    closed: list[int]
    dropped: list[int] = []


class Committing(msgspec.Struct, array_like=True, tag=3):
    """A process is about to send a commit."""

    process: int
    time: int


class Answer(msgspec.Struct, array_like=True, tag=4):
    """A ``Call`` has ended. An ``error`` that is none of the ``environment`` has a traceback for a text."""

    error: str = ""
    environment: bool = True


News = Hello | Report | Committing | Answer

encode = msgspec.msgpack.Encoder().encode
decode_commands = msgspec.msgpack.Decoder(list[Command]).decode
decode_news = msgspec.msgpack.Decoder(list[News]).decode


def frame(batch: bytes) -> bytes:
    """A batch with its length before it."""
    return _LENGTH.pack(len(batch)) + batch


class Frames:
    """Cuts a stream of bytes into batches again."""

    def __init__(self) -> None:
        self._left = b""

    @property
    def is_torn(self) -> bool:
        """Whether the rest of a batch is still to come."""
        return bool(self._left)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The batches that are whole now."""
        if self._left:
            data = self._left + data
        at = 0
        while len(data) - at >= _LENGTH.size:
            end = at + _LENGTH.size + _LENGTH.unpack_from(data, at)[0]
            if end > len(data):
                break
            yield data[at + _LENGTH.size : end]
            at = end
        self._left = data[at:]
