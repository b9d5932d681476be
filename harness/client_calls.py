"""Turns an invocation into a completion, whatever the client does.

Jepsen's rule, and the one this harness stands on: what raises, is cancelled or takes too long is ``info``, since nobody
knows whether it happened. Only an exception that says of itself that it is definite makes a ``fail``.
"""

from __future__ import annotations

import asyncio
from typing import Final

from harness.clock import MILLISECOND, SECOND, Clock
from harness.op import FAIL, INFO, INVOKE, NEMESIS, Op
from harness.protocols import Client, ClientFactory, KeepsPartial

# Without it a cluster that cannot be reached would be asked without end, in no time at all where time is virtual.
NO_CLIENT_PAUSE: Final = 100 * MILLISECOND

_END_OF_PROCESS = (KeyboardInterrupt, SystemExit)


class Worker:
    """One thread of the interpreter, the process that it runs as now, and that process's client."""

    __slots__ = ("client", "inbox", "open", "process", "task", "thread")

    def __init__(self, thread: int | str, client: Client | None, inbox: asyncio.Future[Op]) -> None:
        self.thread = thread
        self.process = thread
        self.client = client
        self.open: Op | None = None
        self.inbox = inbox
        self.task: asyncio.Task[None] | None = None


class ClientCalls:
    """Calls the clients of all workers."""

    def __init__(self, clock: Clock, open_client: ClientFactory, deadline_ns: int) -> None:
        self._clock = clock
        self._open_client = open_client
        self._deadline_s = deadline_ns / SECOND

    async def carry_out(self, worker: Worker, op: Op) -> Op:
        """Return the completion of ``op``. Only what ends the whole process is raised."""
        try:
            if worker.thread == NEMESIS:
                assert worker.client is not None
                return (await worker.client.invoke(op)).replace(type=INFO)
            client = worker.client
            if client is None:
                return await self._with_new_client(worker, op)
            async with asyncio.timeout(self._deadline_s):
                return _checked(op, await client.invoke(op))
        except _END_OF_PROCESS:
            raise
        except BaseException as error:  # noqa: BLE001 (a panic in a Rust client is a BaseException)
            completion = _completion_of(op, error)
            if isinstance(worker.client, KeepsPartial):
                completion.value = worker.client.partial(op)
            return completion

    async def _with_new_client(self, worker: Worker, op: Op) -> Op:
        assert isinstance(worker.process, int)
        try:
            async with asyncio.timeout(self._deadline_s):
                worker.client = await self._open_client(worker.process)
        except (*_END_OF_PROCESS, asyncio.CancelledError):
            raise
        except BaseException as error:  # noqa: BLE001
            await self._clock.sleep_until(self._clock.now() + NO_CLIENT_PAUSE)
            return op.replace(type=FAIL, error=["no-client", *words(error)])
        return await self.carry_out(worker, op)

    async def close(self, worker: Worker) -> None:
        """Close a worker's client, if it has one. A client that cannot be closed is nobody's problem any more."""
        client, worker.client = worker.client, None
        if client is None or worker.thread == NEMESIS:
            return
        try:
            async with asyncio.timeout(self._deadline_s):
                await client.close()
        except _END_OF_PROCESS:
            raise
        except BaseException:  # noqa: BLE001, S110
            pass


def words(error: BaseException) -> list[str]:
    """Say an exception as the history does: a short stable word, and the details if there are any."""
    text = str(error)
    word = getattr(error, "word", type(error).__name__)
    return [word, text] if text else [word]


def _checked(op: Op, completion: Op) -> Op:
    if completion.type == INVOKE or completion.process != op.process or completion.f != op.f:
        raise ValueError(f"the client completed another operation: {completion.type} {completion.f}")
    return completion


def _completion_of(op: Op, error: BaseException) -> Op:
    if isinstance(error, TimeoutError):
        return op.replace(type=INFO, error="timeout")
    if isinstance(error, asyncio.CancelledError):
        return op.replace(type=INFO, error="cancelled")
    definite = getattr(error, "definite", False) is True and op.process != NEMESIS
    return op.replace(type=FAIL if definite else INFO, error=words(error))
