"""The run's client processes: who carries out what, who has died or hangs and is replaced, and killing one on purpose.

A logical process belongs to a slot, and a slot has a client process at all times: when that is lost, its open
operations become ``info`` and a new one takes its place. The interpreter sees ordinary clients.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import time
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from cluster.api import Evidence
from harness.clock import MICROSECOND, SECOND
from harness.exit_codes import EnvironmentFailure
from harness.op import Op
from harness.protocols import Workload
from harness.sequencer import Times
from harness.worker_asked import CLIENT_KILLED, HUNG, Lost
from harness.worker_host import WorkerHost
from harness.worker_link import WorkerLink
from harness.worker_messages import Announce, Committing, Job, Stop

PER_WORKER: Final = 3  # logical processes in one client process
MARGIN_S: Final = 2.0  # above the deadline of an operation: its client process enforces that, and answers, if it can
TICK_S: Final = 0.25
SLOW_S: Final = 5.0  # for the watch to notice, on a machine that is busy
START_S: Final = 60.0  # for the first client processes to be there
CALL_S: Final = 120.0  # for a probe or the setup: every call of the client's in these ends by itself much sooner
STARTS: Final = 3  # in a row that end before they say a word: there will be no other end to the fourth
STOP_S: Final = 4.0  # for clients to close at the end
COMMIT_S: Final = 2.0  # for a commit to come by
INTO_COMMIT_S: Final = (0.0, 0.001, 0.002, 0.004, 0.008)  # a kill waits so long, in turn: prewrite, commit_ts, commit
GONE_S: Final = 1.0
NO_WORKER_PAUSE_S: Final = 0.1  # where there is none: without it the history would fill with that


class _NoTimes:
    """Before the run nobody wants to know."""

    def handed(self, process: int, source: int) -> None:
        """Nothing."""

    def began(self, process: int, time: int) -> None:
        """Nothing."""

    def ended(self, process: int, began: int, ended: int, *, more: bool = False) -> None:
        """Nothing."""

    def dropped(self, process: int, *, more: bool) -> None:
        """Nothing."""

    def nothing_follows(self, process: int) -> None:
        """Nothing."""

    def renamed(self, process: int, new: int) -> None:
        """Nothing."""

    def heard(self, source: int, time: int) -> None:
        """Nothing."""


NO_TIMES: Times = _NoTimes()


class NoWorker(ConnectionError):
    """No client process is there, so nothing was sent."""

    definite = True
    word = "no-client"


class _Slot:
    """A place for one client process after the other."""

    def __init__(self) -> None:
        self.link: WorkerLink | None = None
        self.silent_ends = 0  # of processes that ended before they said a word, in a row


class RemoteClient:
    """A logical process's ``harness.protocols.Client``, whose work is done elsewhere."""

    def __init__(self, slot: _Slot, process: int) -> None:
        self._slot = slot
        self._process = process
        self._handed_to: WorkerLink | None = None  # it may be lost, and still have more to say

    async def invoke(self, op: Op) -> Op:
        """Have it done."""
        try:
            return await self._link().carry_out(self._process, op)
        except NoWorker:
            await asyncio.sleep(NO_WORKER_PAUSE_S)
            raise

    async def close(self) -> None:
        """Have the client closed, if its process is still there."""
        with contextlib.suppress(NoWorker):
            await self._link().close_client(self._process)

    def room(self) -> int:
        """See ``harness.protocols.TakesAhead``."""
        link = self._slot.link
        return 0 if link is None else link.room(self._process)

    def hand(self, op: Op) -> None:
        """See ``harness.protocols.TakesAhead``."""
        self._handed_to = self._slot.link
        assert self._handed_to is not None
        self._handed_to.hand(self._process, op)

    def take(self) -> Op | None:
        """See ``harness.protocols.TakesAhead``."""
        op = None if self._handed_to is None else self._handed_to.take(self._process)
        if op is None:
            self._handed_to = None
        return op

    def _link(self) -> WorkerLink:
        if self._handed_to is not None and self._handed_to.take(self._process) is not None:
            return self._handed_to
        link = self._slot.link
        if link is None or link.is_lost:
            raise NoWorker("client processes end as soon as they begin")
        return link


class WorkerPool:
    """The client processes of one run.

    Args:
        workload: what they do; an object of a class that can be imported.
        run_id: what it was made with.
        concurrency: how many logical processes there are at once.
        deadline_ns: of an operation.
        log: the file for what they write on standard error; None: the harness's own.
    """

    def __init__(
        self, workload: Workload, run_id: str, concurrency: int, deadline_ns: int, log: Path | None = None
    ) -> None:
        kind = type(workload)
        options = {option.name: cast("Any", workload).options[option.name] for option in kind.OPTIONS}
        self._job = Job(f"{kind.__module__}:{kind.__qualname__}", options, run_id, (), deadline_ns)
        self._log = log
        self._host: WorkerHost | None = None
        self._slots = [_Slot() for _ in range(-(-concurrency // PER_WORKER))]
        self._concurrency = concurrency
        self._patience = round((deadline_ns / SECOND + MARGIN_S) / TICK_S)  # in ticks
        self._made = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._commit: asyncio.Future[tuple[WorkerLink, Committing, Op | None]] | None = None
        self._delays = itertools.cycle(INTO_COMMIT_S)
        self._closing = False
        self.times: Times = NO_TIMES

    @property
    def patience_ns(self) -> int:
        """Nanoseconds after which an operation has its completion, even if the client process hangs."""
        return round((self._patience * TICK_S + SLOW_S) * SECOND)

    async def start(self, addresses: tuple[str, ...]) -> None:
        """Start them, as clients of the cluster whose PD is at ``addresses``.

        Raises:
            EnvironmentFailure: they do not start.
        """
        self._host = WorkerHost(msgspec.structs.replace(self._job, addresses=addresses), self._log)
        for slot in self._slots:
            self._fill(slot)
        try:
            async with asyncio.timeout(START_S):
                for slot in self._slots:
                    await self._ready(slot)
        except TimeoutError:
            raise EnvironmentFailure(f"no client process was there within {START_S:g} s") from None
        self._start_task(self._watch())

    async def _ready(self, slot: _Slot) -> None:
        while True:
            if slot.silent_ends >= STARTS or slot.link is None:
                where = f"; see {self._log}" if self._log else ""
                raise EnvironmentFailure(f"client processes end as soon as they begin{where}")
            with contextlib.suppress(Lost):
                return await asyncio.shield(slot.link.ready)

    async def call(self, what: str) -> None:
        """``probe`` the cluster, or ``setup`` the workload, in one of them.

        Raises:
            EnvironmentFailure: it did not work.
        """
        link = self._slots[0].link
        if link is None:
            raise EnvironmentFailure("there is no client process")
        try:
            async with asyncio.timeout(CALL_S):
                await link.call(what)
        except TimeoutError:
            raise EnvironmentFailure(f"a client process hangs in {what}, for {CALL_S:g} s by now") from None

    async def open_client(self, process: int) -> RemoteClient:
        """The client of a logical process; it connects at its first operation."""
        return RemoteClient(self._slots[process % self._concurrency % len(self._slots)], process)

    async def close(self) -> None:
        """Let clients close, then end all processes, whatever they do."""
        self._closing = True
        for task in self._tasks:
            task.cancel()
        links = [link for link in self._links() if link.pid]
        for link in links:
            link.tell(Stop())
        deadline = time.monotonic() + STOP_S
        try:
            while any(not link.is_lost for link in links) and time.monotonic() < deadline:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        finally:
            for link in self._links():
                link.kill()
                link.lose(link.end)
            if self._host is not None:
                self._host.close()
                self._host = None
                if self._log is not None and not self._log.stat().st_size:
                    self._log.unlink()

    # Who is there.

    def _links(self) -> list[WorkerLink]:
        return [slot.link for slot in self._slots if slot.link is not None and not slot.link.is_lost]

    def _fill(self, slot: _Slot) -> None:
        assert self._host is not None
        self._made += 1
        sock = self._host.start()
        link = slot.link = WorkerLink(self._made, self, sock)
        loop = asyncio.get_running_loop()
        self._start_task(loop.create_unix_connection(lambda: link, sock=sock))

    def _start_task(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def on_lost(self, link: WorkerLink) -> None:
        """Replace it; one that never was ready counts, since its successor may fare no better."""
        slot = next(slot for slot in self._slots if slot.link is link)
        slot.silent_ends = 0 if link.pid else slot.silent_ends + 1
        if not self._closing and slot.silent_ends < STARTS:
            self._fill(slot)

    async def _watch(self) -> None:
        """Find those that hang. Ticks are counted, not time: if the harness was stopped, nobody else is to blame."""
        while True:
            await asyncio.sleep(TICK_S)
            for link in self._links():
                if link.is_doomed:  # since the last tick: there is no end to wait for
                    link.lose(HUNG)
                elif link.tick() > self._patience:
                    link.end, link.is_doomed = HUNG, True
                    link.kill()

    # Killing one.

    def on_committing(self, link: WorkerLink, news: Committing) -> None:
        """The first that is heard of is taken."""
        if self._commit is not None and not self._commit.done():
            self._commit.set_result((link, news, link.open_operation(news.process)))

    async def kill(self) -> Evidence:
        """Kill a client process (SIGKILL) while one of its commits is under way; it is replaced.

        How far the commit gets differs from one kill to the next. The evidence has the ``pid`` and whether it is
        ``gone``, the ``process`` whose commit it was, ``into_commit_us`` (the time from the sending of the commit to
        the kill) and ``open``, the processes whose operations were lost with it. It is verified if the client process
        is gone and the commit had no answer.
        """
        deadline = time.monotonic() + COMMIT_S
        commits = 0
        self._announce(on=True)
        try:
            while True:
                self._commit = asyncio.get_running_loop().create_future()
                async with asyncio.timeout(deadline - time.monotonic()):
                    link, news, op = await self._commit
                commits += 1
                await asyncio.sleep(next(self._delays))
                if not link.is_lost and op is not None and link.open_operation(news.process) is op:
                    return await self._kill(link, news)
        except TimeoutError:
            return Evidence(verified=False, measured={"commits": commits})
        finally:
            self._commit = None
            self._announce(on=False)

    async def _kill(self, link: WorkerLink, news: Committing) -> Evidence:
        link.end = CLIENT_KILLED
        link.kill()
        killed = time.monotonic_ns()
        gone = await _is_gone(link)
        lost = [op.process for op in link.lost_with]
        measured = {
            "pid": link.pid,
            "gone": gone,
            "process": news.process,
            "into_commit_us": (killed - news.time) // MICROSECOND,
            "open": lost,
        }
        return Evidence(verified=gone and news.process in lost, measured=measured)

    def _announce(self, *, on: bool) -> None:
        for link in self._links():
            link.tell(Announce(on))


async def _is_gone(link: WorkerLink) -> bool:
    """Whether a process that was killed has ended, of which nothing is left then: the host reaps it at once."""
    deadline = time.monotonic() + GONE_S
    while time.monotonic() < deadline:
        with contextlib.suppress(PermissionError):  # another user's by now
            try:
                os.kill(link.pid, 0)
            except ProcessLookupError:
                if link.is_lost:
                    return True
        await asyncio.sleep(0.005)
    return False
