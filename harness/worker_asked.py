"""An operation as the harness knows it between handing it to a client process and recording how it ended."""

from __future__ import annotations

import asyncio
from typing import Final

from harness.op import INFO, Op, OpType
from harness.worker_messages import Done

# What an operation ends with when no word of it comes: its process died, hung, or was killed by the nemesis; or it was
# handed out ahead, and was not begun in time.
DIED: Final = "worker-died"
HUNG: Final = "worker-hung"
CLIENT_KILLED: Final = "client-killed"
NOT_BEGUN: Final = "not-begun"


class Lost(ConnectionError):
    """The client process is gone."""


class Asked:
    """An operation that the client process has, from being handed out to being completed here."""

    __slots__ = ("answer", "began", "done", "end", "op", "process", "taken", "ticks")

    def __init__(self, process: int, op: Op) -> None:
        self.process = process  # as the client process knows it
        self.op = op
        self.answer: asyncio.Future[Op] | None = None  # None: it was handed out ahead, and nobody waits for it yet
        self.began: int | None = None
        self.done: Done | None = None
        self.end: tuple[OpType, str] | None = None  # where no ``Done`` comes: type and error
        self.taken = False  # by who will wait for it
        self.ticks = 0  # of the owner's watch, since it was waited for

    @property
    def retires(self) -> bool:
        """After it, the process goes by another number."""
        return self.done is not None and self.done.type == INFO

    @property
    def is_over(self) -> bool:
        """How it ended is known here."""
        return self.done is not None or self.end is not None
