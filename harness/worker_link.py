"""One client process as the harness sees it: its socket, what it was asked to do, and what became of that."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections import deque
from typing import Any, Final, Protocol, cast

from harness.clock import MILLISECOND
from harness.exit_codes import EnvironmentFailure
from harness.op import FAIL, INFO, Op
from harness.sequencer import Times
from harness.worker_asked import DIED, NOT_BEGUN, Asked, Lost
from harness.worker_messages import (
    Announce,
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

# Operations are handed out ahead so that a process need not wait for the harness, nor the harness be woken for each:
# what a busy machine spends on waking processes, the cluster under test does not get.
AHEAD_NS: Final = 250 * MILLISECOND  # one that is not begun by then is not begun at all; below CUT_OFF_S
LEAST_AHEAD: Final = 2  # for a process: one may end just after we listened
MOST_AHEAD: Final = 32
LISTEN_S: Final = 0.04  # so often, at the same moments, links are read whose processes have work

CLOSE_S: Final = 5.0
CUT_OFF_S: Final = 1.0  # for an operation that is cancelled to say how far it got


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


class WorkerLink(asyncio.Protocol):
    """The socket to one client process. ``number`` tells it from all others of the run (``Times``'s source)."""

    def __init__(self, number: int, owner: Owner, sock: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        self._owner = owner
        self.number = number
        self.pid = 0
        self.ready: asyncio.Future[None] = self._loop.create_future()
        self.end = DIED  # what it says to the operations that it takes with it
        self.is_lost = False
        self.is_doomed = False  # it was killed, and its end is awaited
        self.lost_with: list[Op] = []  # that were open when it was lost
        self._open: dict[int, deque[Asked]] = {}  # by process: the one it is at, and those behind it
        self._numbers: dict[int, int] = {}  # by process: what the history calls it, where that is another number
        self._target: dict[int, int] = {}  # by process: how many to have behind
        self._closing: dict[int, asyncio.Future[None]] = {}
        self._calls: list[asyncio.Future[Answer]] = []
        self._announcing = False
        sock.setblocking(False)  # it may be lost before the connection is made, which is what would do this
        self._sock = sock
        self._outbox: list[Command] = []
        self._frames = Frames()
        self._transport = cast("asyncio.Transport", None)

    # Asking.

    async def carry_out(self, process: int, op: Op) -> Op:
        """The completion of ``op``, from there; ``info`` if the process is lost meanwhile.

        If it was handed out ahead, it is the one that ``take`` gave; ``op`` may have another process number by now.
        """
        queue = self._open.setdefault(process, deque())
        if queue:
            asked = queue[0]
        else:
            asked = Asked(process, op)
            self._send(Do(process, op.f, op.value, op.node, op.ext))
            queue.append(asked)
        number = cast("int", op.process)
        before = self._numbers.get(process, process)
        if number != before:
            self._owner.times.renamed(before, number)
            self._numbers[process] = number
        asked.op = op
        asked.answer = self._loop.create_future()
        try:
            if asked.is_over:
                self._answer(asked)
            else:
                self._owner.times.handed(number, self.number)
                if asked.began is not None:
                    self._owner.times.began(number, asked.began)
            return await asked.answer
        except asyncio.CancelledError:
            return await self._cut_off(process, asked)
        finally:
            if queue and queue[0] is asked:
                queue.popleft()

    async def _cut_off(self, process: int, asked: Asked) -> Op:
        """What is known of an operation that must end now."""
        assert asked.answer is not None
        if not asked.answer.cancelled():
            return asked.answer.result()  # it came at the same moment
        if self.is_lost:
            raise asyncio.CancelledError
        asked.answer = self._loop.create_future()
        self._send(Cancel(process))
        await asyncio.wait([asked.answer], timeout=CUT_OFF_S)
        if not asked.answer.done():
            self._hear_the_rest()  # if it was the harness that stood still, the answer is there
        if asked.answer.done():
            return asked.answer.result()
        self._open.pop(process, None)  # what is behind it is too late by now to be begun
        raise asyncio.CancelledError

    # Handing out ahead.

    def room(self, process: int) -> int:
        """How many operations to hand out ahead now."""
        queue = self._open.get(process)
        if not queue or self.is_lost or self._announcing or queue[-1].is_over:
            return 0
        return self._target.get(process, LEAST_AHEAD) - (len(queue) - 1)

    def hand(self, process: int, op: Op) -> None:
        """Have ``op`` done behind what the process is at."""
        self._open[process].append(Asked(process, op))
        self._send(Do(process, op.f, op.value, op.node, op.ext, time.monotonic_ns() + AHEAD_NS))
        self._listen_later()

    def take(self, process: int) -> Op | None:
        """The operation that the process is at by now, or will be, of those handed out ahead."""
        queue = self._open.get(process)
        if queue:
            queue[0].taken = True
            return queue[0].op
        self._owner.times.nothing_follows(self._numbers.get(process, process))
        return None

    def _learn(self) -> None:
        """Have twice as many behind if all were done before we listened, one less if more were left than needed."""
        for process, queue in self._open.items():
            target, left = self._target.get(process, LEAST_AHEAD), sum(not asked.is_over for asked in queue)
            if not left and len(queue) > 1:
                self._target[process] = min(2 * target, MOST_AHEAD)
            elif left - 1 > target // 2 and target > LEAST_AHEAD:
                self._target[process] = target - 1

    def _listen_later(self) -> None:
        """Not at every word: all links are read at the same moments while their processes have enough to do."""
        if self._transport is None or self._announcing or not self._transport.is_reading():
            return
        self._transport.pause_reading()
        now = self._loop.time()
        self._loop.call_at(now - now % LISTEN_S + LISTEN_S, self._transport.resume_reading)

    # Asking for other things.

    async def close_client(self, process: int) -> None:
        """Close the client of a process, and wait for that, but not for ever."""
        closed = self._closing[process] = self._loop.create_future()
        self._open.pop(process, None)
        self._target.pop(process, None)
        self._numbers.pop(process, None)
        self._send(Close(process))
        try:
            async with asyncio.timeout(CLOSE_S):
                await closed
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
        answered: asyncio.Future[Answer] = self._loop.create_future()
        self._calls.append(answered)
        self._send(Call(what))
        try:
            answer = await answered
        except Lost:
            raise EnvironmentFailure(f"a client process died during {what}") from None
        if answer.error:
            raise EnvironmentFailure(answer.error) if answer.environment else RuntimeError(answer.error)

    def tell(self, command: Command) -> None:
        """Send a command that has no answer."""
        if isinstance(command, Announce):
            self._announcing = command.on
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
        asked = self._current(process)
        return None if asked is None else asked.op

    def _current(self, process: int) -> Asked | None:
        """The operation that the process is at, or that is on its way there."""
        return next((asked for asked in self._open.get(process, ()) if not asked.is_over), None)

    def tick(self) -> int:
        """Count one more tick; return how many the operation that is open for the longest has seen."""
        longest = 0
        for process in self._open:
            asked = self._current(process)
            if asked is None or asked.answer is None:
                continue
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
        self._learn()
        if not self._frames.is_torn and any(len(queue) > 1 for queue in self._open.values()):
            self._listen_later()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone, and how its open operations ended is for nobody to know."""
        del exc
        self.lose(self.end)

    def _hear_the_rest(self) -> None:
        """What the process has said and nobody has read is still there: how far it came with its work."""
        with contextlib.suppress(OSError):
            while data := self._sock.recv(1 << 16):
                self.data_received(data)

    def lose(self, end: str) -> None:
        """Let go of it; its open operations are ``info`` with the error ``end``. It must not be doing anything more."""
        if self.is_lost:
            return
        self._hear_the_rest()
        self.is_lost = True
        open_ = [asked for asked in map(self._current, self._open) if asked is not None]
        self.lost_with = [asked.op for asked in open_]
        if self._transport is not None:
            self._transport.abort()
        else:
            self._sock.close()
        if not self.ready.done():
            self.ready.set_exception(Lost())
            self.ready.exception()  # told to whoever waits; if nobody does, that is no mistake
        for asked in open_:
            asked.end = (INFO, end)
            self._forget_behind(asked)
            self._answer(asked)
        for closed in self._closing.values():
            if not closed.done():
                closed.set_result(None)
        for answered in self._calls:
            if not answered.done():
                answered.set_exception(Lost())
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
            answered = self._calls.pop(0)
            if not answered.done():
                answered.set_result(news)

    def _hear_report(self, report: Report) -> None:
        for done in report.done:
            self._hear_done(done)
        for process in report.dropped:
            self._hear_dropped(process)
        for process, began in report.began:
            self._hear_began(process, began)
        for done in report.done:
            queue = self._open.get(done.process)
            if queue and queue[0].is_over:
                self._answer(queue[0])
        for process in report.closed:
            closed = self._closing.get(process)
            if closed is not None and not closed.done():
                closed.set_result(None)
        self._owner.times.heard(self.number, report.now)

    def _hear_done(self, done: Done) -> None:
        asked = self._current(done.process)
        if asked is not None:
            asked.done = done
            if asked.retires:
                self._forget_behind(asked)

    def _hear_began(self, process: int, time: int) -> None:
        asked = self._current(process)
        if asked is not None:
            asked.began = time
            if asked.answer is not None:
                self._owner.times.began(cast("int", asked.op.process), time)

    def _forget_behind(self, last: Asked) -> None:
        """What is behind the last operation of a process is not begun."""
        queue = self._open[last.process]
        while queue[-1] is not last:
            queue.pop()

    def _hear_dropped(self, process: int) -> None:
        asked = self._current(process)
        if asked is None:
            return
        if asked.answer is None and not asked.taken:
            self._open[process].remove(asked)
        else:  # it was on its way when all before it had ended: here it seemed to have begun
            asked.end = (FAIL, NOT_BEGUN)
            self._answer(asked)

    def _answer(self, asked: Asked) -> None:
        """Tell who waits for it, if somebody does yet, how it ended."""
        if asked.answer is None or asked.answer.done():
            return
        op, done = asked.op, asked.done
        more = self._open[asked.process][-1] is not asked
        if done is None:
            assert asked.end is not None
            type_, error = asked.end
            if type_ == FAIL:
                self._owner.times.dropped(cast("int", op.process), more=more)
            asked.answer.set_result(op.replace(type=type_, error=error))
            return
        self._owner.times.ended(cast("int", op.process), done.began, done.ended, more=more)
        asked.answer.set_result(
            Op(0, 0, op.process, cast("Any", done.type), op.f, done.value, done.error, done.node, done.ext)
        )
