"""A client process: carries out the operations of a few logical processes through tikv-client.

tikv-client can hang, panic and crash the interpreter at its exit, so it lives here and never in the harness. What is
``ok``, ``fail`` and ``info`` is decided by ``harness.client_calls``, as for clients in the harness itself; the times
are taken here, right around each call. The process always ends by ``os._exit``.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
import socket
import time
import traceback
from collections import deque
from functools import partial
from typing import Any, Final, NoReturn, cast

import uvloop

from cluster.probe import probe
from cluster.tikv import TikvStore
from harness.client_calls import ClientCalls, Worker, words
from harness.clock import RealClock
from harness.exit_codes import EnvironmentFailure
from harness.op import INFO, INVOKE, Op
from harness.protocols import Client, Workload
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
    Job,
    News,
    Report,
    Stop,
    decode_commands,
    encode,
    frame,
)

HEARTBEAT_S: Final = 0.04
FULL_S: Final = 0.01  # to look again, where the socket takes nothing more


def load_workload(job: Job) -> Workload:
    """The workload of a job, for its clients."""
    module, _, name = job.workload.partition(":")
    return getattr(importlib.import_module(module), name)(job.options, job.run_id)


def run_worker(job: Job, sock: socket.socket) -> NoReturn:
    """Serve the harness at the other end of ``sock`` until that is closed or says so."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["RUST_BACKTRACE"] = "0"  # the client panics as others raise: a line each is enough
    code = 1
    try:
        # What a client spends on its loop, the cluster under test does not get: on a busy machine this loop is felt.
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(job, sock))
            code = 0
            os._exit(code)  # before the loop is torn down, with whatever a thread of Rust may do to it
    finally:
        os._exit(code)


async def _serve(job: Job, sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    _, process = await loop.create_unix_connection(partial(ClientProcess, job), sock=sock)
    await process.ended


class _Running:
    """An operation under way."""

    __slots__ = ("began", "is_last", "task", "told")

    def __init__(self) -> None:
        self.began = 0  # not yet
        self.is_last = False  # what is behind it is dropped
        self.told = False  # to the harness, when it began
        self.task: asyncio.Task[None] | None = None


class ClientProcess(asyncio.Protocol):
    """Its end of the socket, and its clients."""

    def __init__(self, job: Job) -> None:
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = self._loop.create_future()
        self._job = job
        self._workload = load_workload(job)
        self._calls = ClientCalls(RealClock(), self._open_client, job.deadline_ns)
        self._workers: dict[int, Worker] = {}
        self._last: dict[int, int] = {}  # when the last operation of a process ended
        self._running: dict[int, _Running] = {}
        self._waiting: dict[int, deque[Do]] = {}  # handed out ahead
        self._retired: set[int] = set()  # processes of which an operation became info
        self._dropped: list[int] = []
        self._done: list[Done] = []
        self._closed: list[int] = []
        self._planned = False  # a report
        self._beating = False
        self._announcing = False
        self._others: set[asyncio.Task[None]] = set()
        self._frames = Frames()
        self._transport = cast("asyncio.Transport", None)

    # The socket.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self._say(Hello(os.getpid()))

    def data_received(self, data: bytes) -> None:
        """Do what is asked."""
        for batch in self._frames.feed(data):
            for command in decode_commands(batch):
                self._obey(command)

    def connection_lost(self, exc: Exception | None) -> None:
        """The harness has gone, or wants nothing more of this process: no time for anything."""
        del exc
        os._exit(0)

    def _say(self, *news: News) -> None:
        self._transport.write(frame(encode(news)))

    # Commands.

    def _obey(self, command: Command) -> None:
        if isinstance(command, Do):
            if command.until:
                self._queue(command)
            else:
                self._begin(command)
        elif isinstance(command, Cancel):
            self._cancel(command.process)
        elif isinstance(command, Close):
            self._start(self._close(command.process))
        elif isinstance(command, Announce):
            self._announcing = command.on
        elif isinstance(command, Call):
            self._start(self._call(command.what))
        elif isinstance(command, Stop):
            self._start(self._stop())

    def _start(self, work: Any) -> None:
        task = self._loop.create_task(work)
        self._others.add(task)
        task.add_done_callback(self._others.discard)

    def _begin(self, command: Do) -> None:
        process = command.process
        worker = self._workers.get(process)
        if worker is None:
            worker = self._workers[process] = Worker(process, None, self._loop.create_future())
        running = self._running[process] = _Running()
        op = Op(0, 0, process, INVOKE, command.f, command.value, None, command.node, command.ext)
        worker.open = op
        running.task = self._loop.create_task(self._carry_out(worker, op, running))
        if not self._beating:
            self._beating = True
            self._loop.call_later(HEARTBEAT_S, self._beat)

    async def _carry_out(self, worker: Worker, op: Op, running: _Running) -> None:
        process = cast("int", op.process)
        began = running.began = max(time.monotonic_ns(), self._last.get(process, 0) + 1)
        done = await self._calls.carry_out(worker, op)
        ended = self._last[process] = time.monotonic_ns()
        del self._running[process]
        self._done.append(Done(process, began, ended, done.type, done.value, done.error, done.node, done.ext))
        if done.type == INFO:
            self._retired.add(process)
        if running.is_last:
            self._drop_all(process)
        self._drop_what_is_late(process)
        self._plan_report()

    # What was handed out ahead.

    def _queue(self, command: Do) -> None:
        process = command.process
        self._waiting.setdefault(process, deque()).append(command)
        if process not in self._running:
            self._begin_waiting()

    def _drop_what_is_late(self, process: int) -> None:
        waiting = self._waiting.get(process)
        now = time.monotonic_ns()
        while waiting and (process in self._retired or waiting[0].until < now):
            self._drop_first(process, waiting)

    def _drop_all(self, process: int) -> None:
        waiting = self._waiting.get(process)
        while waiting:
            self._drop_first(process, waiting)

    def _drop_first(self, process: int, waiting: deque[Do]) -> None:
        waiting.popleft()
        self._dropped.append(process)
        self._plan_report()

    def _begin_waiting(self) -> None:
        """Begin what is next. Whatever was said before must not be lost if this process dies from now on."""
        if self._planned:
            return  # it ends here
        if self._transport.get_write_buffer_size():
            self._loop.call_later(FULL_S, self._begin_waiting)
            return
        for process, waiting in self._waiting.items():
            if process not in self._running:
                self._drop_what_is_late(process)
                if waiting:
                    self._begin(waiting.popleft())

    def _cancel(self, process: int) -> None:
        running = self._running.get(process)
        if running is None or running.task is None:
            self._drop_all(process)
            return
        running.is_last = True  # what is behind it is told after its end: else that would be taken for its own
        self._loop.call_soon(running.task.cancel)  # not before it has begun: it would never end

    async def _close(self, process: int) -> None:
        running = self._running.get(process)
        if running is not None and running.task is not None:
            self._cancel(process)
            await asyncio.wait({running.task})
        worker = self._workers.pop(process, None)
        self._last.pop(process, None)
        self._waiting.pop(process, None)
        self._retired.discard(process)
        if worker is not None:
            await self._calls.close(worker)
        self._closed.append(process)
        self._plan_report()

    async def _stop(self) -> None:
        await asyncio.gather(*(self._close(process) for process in list(self._workers)))
        self._report()
        self.ended.set_result(None)

    async def _call(self, what: str) -> None:
        store = TikvStore(self._job.addresses)
        try:
            if what == "probe":
                await probe(store, self._job.addresses)
            else:
                await self._workload.setup(store)
            await store.close()
        except EnvironmentFailure as failure:
            self._say(Answer(str(failure)))
        except Exception:  # noqa: BLE001 (told there)
            self._say(Answer(traceback.format_exc(), environment=False))
        else:
            self._say(Answer())

    # Reports.

    def _plan_report(self) -> None:
        if not self._planned:
            self._planned = True
            self._loop.call_soon(self._report)

    def _beat(self) -> None:
        """Tell when the operations began that are still open, so that the others need not wait for their ends."""
        if self._running:
            began = [
                (process, running.began)
                for process, running in self._running.items()
                if running.began and not running.told
            ]
            for process, _ in began:
                self._running[process].told = True
            self._report(began)
            self._loop.call_later(HEARTBEAT_S, self._beat)
        else:
            self._beating = False

    def _report(self, began: list[tuple[int, int]] | None = None) -> None:
        self._planned = False
        now = time.monotonic_ns()
        for running in self._running.values():
            if running.began and not running.told:
                now = min(now, running.began)  # what is not told with this report did not begin before it
        done, self._done = self._done, []
        closed, self._closed = self._closed, []
        dropped, self._dropped = self._dropped, []
        report = Report(now, began or [], done, closed, dropped)
        try:
            self._say(report)
        except (TypeError, ValueError, OverflowError, RecursionError):
            report.done = [self._sayable(each) for each in done]
            self._say(report)
        self._begin_waiting()

    def _sayable(self, done: Done) -> Done:
        try:
            encode(done)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            op = self._workers[done.process].open
            value = None if op is None else op.value
            self._retired.add(done.process)
            self._drop_what_is_late(done.process)
            return Done(done.process, done.began, done.ended, INFO, value, ["unrecordable", *words(error)])
        return done

    # Clients.

    async def _open_client(self, process: int) -> Client:
        store = TikvStore(self._job.addresses, partial(self._before_commit, process))
        return self._workload.client(store)

    def _before_commit(self, process: int) -> None:
        if self._announcing:
            self._say(Committing(process, time.monotonic_ns()))
