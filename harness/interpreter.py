"""Carries out what a generator asks for: one worker for each thread, every operation recorded before it is begun.

After ``info`` the process number is retired, and the thread goes on as a new process with a new client. Whatever
happens, stopping, crashing or cancelling, each invocation gets its completion; only a harness that is killed leaves
operations open. Nothing is polled, and no operation is kept once it is complete.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, cast

import msgspec

from harness.client_calls import ClientCalls, Worker, words
from harness.clock import SECOND, Clock
from harness.generator_base import ahead_of
from harness.op import FAIL, INFO, INVOKE, NEMESIS, OK, Op
from harness.protocols import Client, ClientFactory, Context, Generator, Pending, TakesAhead
from harness.rng import Streams

GRACE_S: Final = 1.0  # for operations that are open when the run is stopped
CANCEL_S: Final = 5.0  # for cancelled ones to clean up; then their completion is written for them
TICK_S: Final = 0.1  # how often should_stop is asked

_UNRECORDABLE = (TypeError, ValueError, OverflowError, RecursionError)


class Outcome(msgspec.Struct):
    """What was carried out.

    Attributes:
        ok: client operations that happened.
        fail: that certainly did not.
        info: of which nobody knows.
        nemesis: operations of the nemesis.
        interrupted: ``should_stop`` ended it, not the generator.
        ended: nanoseconds since the start of the run.
    """

    ok: int = 0
    fail: int = 0
    info: int = 0
    nemesis: int = 0
    interrupted: bool = False
    ended: int = 0

    @property
    def operations(self) -> int:
        """Client operations in all."""
        return self.ok + self.fail + self.info


async def interpret(
    *,
    clock: Clock,
    generator: Generator,
    open_client: ClientFactory,
    nemesis: Client | None,
    concurrency: int,
    record: Callable[[Op], Op],
    streams: Streams,
    deadline_ns: int,
    should_stop: Callable[[], bool] = lambda: False,
    observe: Callable[[Op], None] | None = None,
    ahead: bool = False,
) -> Outcome:
    """Run the generator to its end.

    Args:
        clock: the time of the run; the running loop must live in the same.
        generator: what is done. It is asked only while a thread is free, but for what it gives ahead.
        open_client: makes the client of a process, when its first operation comes.
        nemesis: carries out the nemesis operations; it is not closed here.
        concurrency: how many client threads; processes are numbered from 0, successors by ``+ concurrency``.
        record: gives an operation its index and makes it safe; called before an operation is begun. It may refuse a
            completion by a ValueError or the like: that becomes ``info`` with error ``unrecordable``.
        streams: the run's randomness, for the generator.
        deadline_ns: a client operation that takes longer is cancelled and becomes ``info`` with error ``timeout``.
            The nemesis has none.
        should_stop: asked every tenth of a second; once true, no more operations are begun and those that are
            open get a second to finish.
        observe: told of each recorded operation.
        ahead: clients are ``TakesAhead``: they are given operations that the generator has ready for them
            (``harness.generator_base.ahead_of``) before they are free.

    Raises:
        Exception: whatever the generator, ``record`` or ``observe`` raised, after what was open got its completion.
    """
    run = _Run(
        clock=clock,
        generator=generator,
        record=record,
        observe=observe,
        streams=streams,
        calls=ClientCalls(clock, open_client, deadline_ns),
        ahead=ahead,
    )
    for thread in range(concurrency):
        run.add(thread, None)
    if nemesis is not None:
        run.add(NEMESIS, nemesis)
    return await run.until_done(concurrency, should_stop)


class _Run:
    """Hands operations to workers and records. All of it runs in one loop, so it needs neither locks nor queues."""

    def __init__(
        self,
        *,
        clock: Clock,
        generator: Generator,
        record: Callable[[Op], Op],
        observe: Callable[[Op], None] | None,
        streams: Streams,
        calls: ClientCalls,
        ahead: bool,
    ) -> None:
        self._clock = clock
        self._generator = generator
        self._record = record
        self._observe = observe
        self._streams = streams
        self._calls = calls
        self._ahead = ahead
        self._loop = asyncio.get_running_loop()
        self._concurrency = 0
        self._workers: dict[int | str, Worker] = {}
        self._processes: dict[int | str, int | str] = {}
        self._free: dict[int | str, None] = {}  # an ordered set: the longest idle first
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = 0
        self._last_steps: asyncio.TimerHandle | None = None
        self._ending = False
        self._over = False
        self._deaf = False  # recording has failed: there is nothing left to write to
        self._failure: BaseException | None = None
        self._finished: asyncio.Future[None] = self._loop.create_future()
        self._outcome = Outcome()

    def add(self, thread: int | str, client: Client | None) -> None:
        self._workers[thread] = Worker(thread, client, self._loop.create_future())
        self._processes[thread] = thread
        self._free[thread] = None

    async def until_done(self, concurrency: int, should_stop: Callable[[], bool]) -> Outcome:
        self._concurrency = concurrency
        for worker in self._workers.values():
            worker.task = self._loop.create_task(self._work(worker), name=f"worker {worker.thread}")
        ticker = self._loop.create_task(self._watch(should_stop), name="should_stop")
        self._pump()
        try:
            await self._finished
        except asyncio.CancelledError:
            self._finished = self._loop.create_future()  # the other one was cancelled with us
            self._stop(grace_s=0)
            await self._finished
            raise
        finally:
            ticker.cancel()
            await self._leave()
        if self._failure is not None:
            raise self._failure
        self._outcome.ended = self._clock.now()
        return self._outcome

    # Asking the generator.

    def _pump(self) -> None:
        """Hand out operations for as long as there are any for a free thread."""
        try:
            while self._free and not self._ending:
                now = self._clock.now()
                answer = self._generator.next(Context(now, tuple(self._free), self._processes, self._streams))
                if answer is None:
                    self._ending = True
                elif isinstance(answer, Pending):
                    self._must_not_be_stuck()
                    break
                elif answer.time > now:
                    self._ask_again_at(answer.time, now)
                    break
                else:
                    self._begin(answer, now)
        except Exception as error:  # noqa: BLE001 (raised by until_done)
            self._fail(error)
        self._finish_if_idle()

    def _must_not_be_stuck(self) -> None:
        if self._alarm is None and len(self._free) == len(self._workers):
            raise RuntimeError("the generator waits although nothing is open: nothing would ever happen")

    def _ask_again_at(self, when: int, now: int) -> None:
        if self._alarm is not None:
            if now < self._alarm_at <= when:
                return
            self._alarm.cancel()
        self._alarm_at = when
        self._alarm = self._loop.call_later((when - now) / SECOND, self._on_alarm)

    def _on_alarm(self) -> None:
        self._alarm = None
        self._pump()

    def _begin(self, op: Op, now: int) -> None:
        process = op.process
        thread = process % self._concurrency if isinstance(process, int) and self._concurrency else process
        if thread not in self._free or self._processes[thread] != process:
            raise RuntimeError(f"the generator gave {op.f!r} to process {process!r}, which is not free")
        worker = self._workers[thread]
        invocation = self._invocation(worker, op, now)
        del self._free[thread]
        self._hand_over(worker, invocation)

    def _invocation(self, worker: Worker, op: Op, now: int) -> Op:
        """Record that the worker begins ``op`` now."""
        kind = INFO if worker.thread == NEMESIS else INVOKE
        return self._write(Op(0, now, worker.process, kind, op.f, op.value, op.error, op.node, op.ext))

    def _hand_over(self, worker: Worker, op: Op) -> None:
        worker.open = op
        worker.inbox.set_result(op)
        self._tell(op)

    # Handing out ahead.

    def _look_ahead(self, worker: Worker) -> None:
        """Give the worker's client what it is to do next."""
        thread = worker.thread
        if self._ending or worker.open is None or worker.client is None or not isinstance(thread, int):
            return
        client = cast("TakesAhead", worker.client)
        try:
            for _ in range(client.room()):
                ctx = Context(self._clock.now(), (), self._processes, self._streams)
                op = ahead_of(self._generator, ctx, thread)
                if op is None:
                    break
                client.hand(op)
        except Exception as error:  # noqa: BLE001 (raised by until_done)
            self._fail(error)

    def _following(self, worker: Worker) -> Op | None:
        if not self._ahead or worker.client is None or worker.thread == NEMESIS:
            return None
        return cast("TakesAhead", worker.client).take()

    # Carrying out.

    async def _work(self, worker: Worker) -> None:
        calls = self._calls
        try:
            while not self._over:
                op = await worker.inbox
                worker.inbox = self._loop.create_future()
                if self._ahead:
                    self._loop.call_soon(self._look_ahead, worker)  # when this one is on its way
                completion = self._complete(worker, await calls.carry_out(worker, op))
                following = self._following(worker)
                if completion is not None and completion.type == INFO and isinstance(worker.process, int):
                    worker.process += self._concurrency
                    self._processes[worker.thread] = worker.process
                    if following is None:
                        await calls.close(worker)
                if following is not None and not self._deaf:  # the client has begun it by itself, or is about to
                    self._hand_over(worker, self._invocation(worker, following, self._clock.now()))
                else:
                    self._free[worker.thread] = None
                self._pump()
                if worker.inbox.done():
                    await asyncio.sleep(0)  # it takes its turn, behind those that were handed theirs before
        except Exception as error:  # noqa: BLE001 (raised by until_done)
            self._free[worker.thread] = None
            self._fail(error)
        finally:
            self._give_up(worker)

    def _complete(self, worker: Worker, completion: Op) -> Op | None:
        """Record the completion of what the worker had open; None if that was given up before."""
        op, worker.open = worker.open, None
        if op is None or self._deaf:
            return None
        completion.time = self._clock.now()
        try:
            completion = self._write(completion)
        except _UNRECORDABLE as error:
            completion = self._write(op.replace(time=completion.time, type=INFO, error=["unrecordable", *words(error)]))
        self._count(completion)
        self._tell(completion)
        return completion

    def _write(self, op: Op) -> Op:
        try:
            return self._record(op)
        except _UNRECORDABLE:
            raise
        except BaseException:
            self._deaf = True
            raise

    def _count(self, op: Op) -> None:
        outcome = self._outcome
        if op.process == NEMESIS:
            outcome.nemesis += 1
        elif op.type == OK:
            outcome.ok += 1
        elif op.type == FAIL:
            outcome.fail += 1
        else:
            outcome.info += 1

    def _tell(self, op: Op) -> None:
        if self._failure is not None:
            return
        self._generator.update(op)
        if self._observe is not None:
            self._observe(op)

    # Ending.

    async def _watch(self, should_stop: Callable[[], bool]) -> None:
        while not should_stop():  # noqa: ASYNC110 (asked of a flag that a signal handler sets)
            await asyncio.sleep(TICK_S)
        self._outcome.interrupted = True
        self._stop(GRACE_S)

    def _fail(self, error: BaseException) -> None:
        if self._failure is None:
            self._failure = error
        self._stop(grace_s=0)

    def _stop(self, grace_s: float) -> None:
        """Begin nothing more; what is open is cancelled after the grace, and given up later still."""
        self._ending = True
        if self._last_steps is not None:
            self._last_steps.cancel()
        self._last_steps = self._loop.call_later(grace_s, self._cancel_busy)
        self._finish_if_idle()

    def _busy(self) -> list[Worker]:
        return [worker for worker in self._workers.values() if worker.thread not in self._free]

    def _cancel_busy(self) -> None:
        for worker in self._busy():
            assert worker.task is not None
            worker.task.cancel()
        self._last_steps = self._loop.call_later(CANCEL_S, self._give_up_busy)

    def _give_up_busy(self) -> None:
        for worker in self._busy():
            self._give_up(worker)

    def _give_up(self, worker: Worker) -> None:
        """Write the completion that the worker will not bring any more."""
        try:
            if worker.open is not None:
                self._complete(worker, worker.open.replace(type=INFO, error="cancelled"))
        except Exception as error:  # noqa: BLE001 (raised by until_done)
            self._fail(error)
        self._free[worker.thread] = None
        self._finish_if_idle()

    def _finish_if_idle(self) -> None:
        if self._ending and len(self._free) == len(self._workers) and not self._finished.done():
            self._finished.set_result(None)

    async def _leave(self) -> None:
        self._over = True  # a worker whose client would not be cancelled leaves when it comes back
        for timer in (self._alarm, self._last_steps):
            if timer is not None:
                timer.cancel()
        for worker in self._workers.values():
            assert worker.task is not None
            worker.task.cancel()
        nemesis = self._workers.get(NEMESIS)
        if nemesis is not None and nemesis.task is not None:  # what it has begun must have ended before all is healed
            await asyncio.wait([nemesis.task], timeout=CANCEL_S)
        await asyncio.gather(*(self._calls.close(worker) for worker in self._workers.values()))
