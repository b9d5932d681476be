"""One client process as the harness sees it: its socket, what it was asked to do, and what became of that."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import Any, Final, Protocol, cast

from harness.exit_codes import EnvironmentFailure
from harness.op import INFO, Op
from harness.sequencer import Times
from harness.worker_messages import (
    Answer,
    Call,
    Cancel,
    Close,
    Command,
    Committing,
    Do,
    Done,
    Frames,
    Hello,
    News,
    Report,
    decode_news,
    encode,
    frame,
)

DIED: Final = "worker-died"
HUNG: Final = "worker-hung"
CLIENT_KILLED: Final = "client-killed"

CLOSE_S: Final = 5.0
CUT_OFF_S: Final = 1.0  # for an operation that is cancelled to say how far it got


class Lost(ConnectionError):
    """The client process is gone."""


class Owner(Protocol):
    """Whom a link belongs to (``harness.worker_pool.WorkerPool``)."""

    @property
    def times(self) -> Times:
        """Is told the times."""
        ...

    def on_lost(self, link: WorkerLink) -> None:
        """The process is gone."""
        ...

    def on_committing(self, link: WorkerLink, news: Committing) -> None:
        """The process is about to send a commit, and was asked to say so."""
        ...


class _Asked:
    """What was asked of the process and not answered yet."""

    __slots__ = ("answer", "op", "ticks")

    def __init__(self, answer: asyncio.Future[Any], op: Op | None = None) -> None:
        self.answer = answer
        self.op = op
        self.ticks = 0  # of the owner's watch, since


class WorkerLink(asyncio.Protocol):
    """The socket to one client process. ``number`` tells it from all others of the run (``Times``'s source)."""

    def __init__(self, number: int, owner: Owner) -> None:
        self._loop = asyncio.get_running_loop()
        self._owner = owner
        self.number = number
        self.pid = 0
        self.ready: asyncio.Future[None] = self._loop.create_future()
        self.end = DIED  # what it says to the operations that it takes with it
        self.is_lost = False
        self.lost_with: list[Op] = []  # that were open when it was lost
        self._open: dict[int, _Asked] = {}
        self._closing: dict[int, _Asked] = {}
        self._calls: list[_Asked] = []
        self._outbox: list[Command] = []
        self._frames = Frames()
        self._transport = cast("asyncio.Transport", None)

    # Asking.

    async def carry_out(self, op: Op) -> Op:
        """The completion of ``op``, from there; ``info`` if the process is lost meanwhile."""
        process = cast("int", op.process)
        asked = self._open[process] = _Asked(self._loop.create_future(), op)
        self._send(Do(process, op.f, op.value, op.node, op.ext))
        self._owner.times.handed(process, self.number)
        try:
            return await asked.answer
        except asyncio.CancelledError:
            return await self._cut_off(process)
        finally:
            self._open.pop(process, None)

    async def _cut_off(self, process: int) -> Op:
        """What is known of an operation that must end now."""
        asked = self._open[process]
        if not asked.answer.cancelled():
            return asked.answer.result()  # it came at the same moment
        if self.is_lost:
            raise asyncio.CancelledError
        asked.answer = self._loop.create_future()
        self._send(Cancel(process))
        try:
            async with asyncio.timeout(CUT_OFF_S):
                return await asked.answer
        except TimeoutError:
            raise asyncio.CancelledError from None

    async def close_client(self, process: int) -> None:
        """Close the client of a process, and wait for that, but not for ever."""
        asked = self._closing[process] = _Asked(self._loop.create_future())
        self._send(Close(process))
        try:
            async with asyncio.timeout(CLOSE_S):
                await asked.answer
        except TimeoutError:
            pass  # if the process hangs, its next operation will show it
        finally:
            self._closing.pop(process, None)

    async def call(self, what: str) -> None:
        """Let it ``probe`` or ``setup``.

        Raises:
            EnvironmentFailure: as it was raised there, or the process is lost.
            RuntimeError: something else was raised there.
        """
        asked = _Asked(self._loop.create_future())
        self._calls.append(asked)
        self._send(Call(what))
        try:
            answer: Answer = await asked.answer
        except Lost:
            raise EnvironmentFailure(f"a client process died during {what}") from None
        if answer.error:
            raise EnvironmentFailure(answer.error) if answer.environment else RuntimeError(answer.error)

    def tell(self, command: Command) -> None:
        """Send a command that has no answer."""
        self._send(command)

    def _send(self, command: Command) -> None:
        if self.is_lost:
            raise Lost
        self._outbox.append(command)
        if len(self._outbox) == 1:
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        batch, self._outbox = self._outbox, []
        if not self.is_lost and self._transport is not None:
            self._transport.write(frame(encode(batch)))
        elif not self.is_lost:
            self._outbox = batch  # sent when the connection is made

    # Looking.

    def open_operation(self, process: int) -> Op | None:
        """What a process has open there, as far as is known here."""
        asked = self._open.get(process)
        return None if asked is None or asked.answer.done() else asked.op

    def tick(self) -> int:
        """Count one more tick; return how many the operation that is open for the longest has seen."""
        longest = 0
        for asked in self._open.values():
            asked.ticks += 1
            longest = max(longest, asked.ticks)
        return longest

    # The socket.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send what was asked before."""
        self._transport = cast("asyncio.Transport", transport)
        if self._outbox:
            self._flush()

    def data_received(self, data: bytes) -> None:
        """Hear what it says."""
        for batch in self._frames.feed(data):
            for news in decode_news(batch):
                self._hear(news)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone, and how its open operations ended is for nobody to know."""
        del exc
        self.lose(self.end)

    def lose(self, end: str) -> None:
        """Let go of it; its open operations are ``info`` with the error ``end``."""
        if self.is_lost:
            return
        self.is_lost = True
        open_ = [asked for asked in self._open.values() if not asked.answer.done()]
        self.lost_with = [asked.op for asked in open_ if asked.op is not None]
        if self._transport is not None:
            self._transport.abort()
        if not self.ready.done():
            self.ready.set_exception(Lost())
            self.ready.exception()  # told to whoever waits; if nobody does, that is no mistake
        for asked in open_:
            if asked.op is not None:
                asked.answer.set_result(asked.op.replace(type=INFO, error=end))
        for asked in self._closing.values():
            if not asked.answer.done():
                asked.answer.set_result(None)
        for asked in self._calls:
            if not asked.answer.done():
                asked.answer.set_exception(Lost())
        self._owner.on_lost(self)

    def kill(self) -> None:
        """SIGKILL."""
        if self.pid and not self.is_lost:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    # News.

    def _hear(self, news: News) -> None:
        if isinstance(news, Report):
            self._hear_report(news)
        elif isinstance(news, Hello):
            self.pid = news.pid
            if not self.ready.done():
                self.ready.set_result(None)
        elif isinstance(news, Committing):
            self._owner.on_committing(self, news)
        elif self._calls:
            asked = self._calls.pop(0)
            if not asked.answer.done():
                asked.answer.set_result(news)

    def _hear_report(self, report: Report) -> None:
        times = self._owner.times
        for process, time in report.began:
            times.began(process, time)
        for done in report.done:
            self._hear_done(done, times)
        for process in report.closed:
            asked = self._closing.get(process)
            if asked is not None and not asked.answer.done():
                asked.answer.set_result(None)
        times.heard(self.number, report.now)

    def _hear_done(self, done: Done, times: Times) -> None:
        asked = self._open.get(done.process)
        if asked is None or asked.op is None or asked.answer.done():
            return
        times.ended(done.process, done.began, done.ended)
        op = asked.op
        asked.answer.set_result(
            Op(0, 0, op.process, cast("Any", done.type), op.f, done.value, done.error, done.node, done.ext)
        )
