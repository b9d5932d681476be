"""An asyncio loop whose clock jumps to the next event: the time of the simulated cluster.

Client code runs here unchanged, as tasks. Servers are plain callbacks on the same heap (``at``), because a hop through
asyncio costs some ten times a callback. Time is in integer nanoseconds; events of the same instant run in the order in
which they were asked for. Nothing here reads a real clock or touches a file descriptor, so a run depends on its seed
alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import weakref
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, TypeVar

from harness.clock import SECOND

T = TypeVar("T")


class Timer:
    """An event on the heap; ``cancel`` makes it do nothing."""

    __slots__ = ("args", "fn", "when")

    def __init__(self, when: int, fn: Callable[..., object], args: tuple[Any, ...]) -> None:
        self.when = when
        self.fn: Callable[..., object] | None = fn
        self.args = args

    def cancel(self) -> None:
        """Make the event do nothing."""
        self.fn = None
        self.args = ()


class _TimerHandle(asyncio.TimerHandle):
    """What asyncio gets for ``call_at``: cancelled by its own flag, so the loop need not be told."""

    def cancel(self) -> None:
        asyncio.Handle.cancel(self)


class VirtualLoop(asyncio.AbstractEventLoop):
    """Runs tasks and callbacks in virtual time. It is also the run's ``Clock``."""

    def __init__(self) -> None:
        self._now = 0
        self._sequence = 0
        self._heap: list[tuple[int, int, Timer]] = []
        self._ready: deque[asyncio.Handle] = deque()
        # In the order in which they began, unlike asyncio's own set of them, whose order is that of addresses.
        self._tasks: weakref.WeakValueDictionary[int, asyncio.Task[Any]] = weakref.WeakValueDictionary()
        self._tasks_begun = 0
        self._failure: BaseException | None = None
        self._running = False
        self._closed = False

    # The clock.

    def now(self) -> int:
        """Virtual nanoseconds since the start."""
        return self._now

    async def sleep_until(self, when: int) -> None:
        """Return at ``when``, at once if that is past."""
        if when <= self._now:
            return
        future = self.create_future()
        timer = self.at(when, _wake, future)
        try:
            await future
        finally:
            timer.cancel()

    # Events of the servers.

    def at(self, when: int, fn: Callable[..., object], *args: Any) -> Timer:
        """Call ``fn(*args)`` at ``when`` (not before now); events of one instant keep their order."""
        timer = Timer(when if when > self._now else self._now, fn, args)  # noqa: FURB136 (hot: no call)
        self._sequence += 1
        heapq.heappush(self._heap, (timer.when, self._sequence, timer))
        return timer

    def after(self, delay: int, fn: Callable[..., object], *args: Any) -> Timer:
        """Call ``fn(*args)`` in ``delay`` nanoseconds."""
        return self.at(self._now + delay, fn, *args)

    # Running.

    def run_until_complete(self, future: Coroutine[Any, Any, T] | asyncio.Future[T]) -> T:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Run until ``future`` is done; then cancel what is left and let it finish, after an error too.

        Raises:
            RuntimeError: nothing is left that could ever happen, yet the future is not done.
        """
        main = self.create_task(future) if asyncio.iscoroutine(future) else future
        assert isinstance(main, asyncio.Future)
        previous = asyncio._get_running_loop()
        asyncio._set_running_loop(self)
        self._running = True
        try:
            try:
                self._run_until(main)
            except BaseException:
                with contextlib.suppress(Exception):  # the first error is the one to tell
                    self._cancel_the_rest()
                raise
            self._cancel_the_rest()
            return main.result()
        finally:
            self._running = False
            asyncio._set_running_loop(previous)

    def _run_until(self, main: asyncio.Future[Any]) -> None:
        ready, heap = self._ready, self._heap
        pop = heapq.heappop
        while not main.done():
            while ready:
                handle = ready.popleft()
                if not handle.cancelled():
                    handle._run()
            if self._failure is not None:
                failure, self._failure = self._failure, None
                raise failure
            if main.done():
                return
            if not heap:
                raise RuntimeError("nothing is left to happen, yet the run is not done")
            self._now, _, timer = pop(heap)
            fn = timer.fn
            if fn is not None:
                fn(*timer.args)

    def _cancel_the_rest(self) -> None:
        tasks = [task for task in list(self._tasks.values()) if not task.done()]
        for task in tasks:
            task.cancel()
        if tasks:
            self._run_until(asyncio.gather(*tasks, return_exceptions=True))

    # What asyncio asks of a loop.

    def time(self) -> float:
        """Virtual seconds, for asyncio's own time-outs only."""
        return self._now / SECOND

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> asyncio.Handle:
        """See asyncio."""
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """See asyncio."""
        return self._call_at_ns(self._now + round(delay * SECOND), callback, args, context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """See asyncio."""
        return self._call_at_ns(round(when * SECOND), callback, args, context)

    def _call_at_ns(
        self, when: int, callback: Callable[..., object], args: tuple[Any, ...], context: Context | None
    ) -> asyncio.TimerHandle:
        handle = _TimerHandle(when / SECOND, callback, args, self, context)
        self.at(when, self._run_handle, handle)
        return handle

    def _run_handle(self, handle: asyncio.Handle) -> None:
        if not handle.cancelled():
            handle._run()

    def create_future(self) -> asyncio.Future[Any]:
        """See asyncio."""
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Context | None = None) -> asyncio.Task[Any]:
        """See asyncio."""
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        self._tasks_begun += 1
        self._tasks[self._tasks_begun] = task
        return task

    def is_running(self) -> bool:
        """See asyncio."""
        return self._running

    def is_closed(self) -> bool:
        """See asyncio."""
        return self._closed

    def close(self) -> None:
        """Forget all that was still to happen."""
        self._closed = True
        self._heap.clear()
        self._ready.clear()

    def get_debug(self) -> bool:
        """Never in debug mode: it would read the real clock."""
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Let no exception of a callback or of a forgotten task pass: it ends the run."""
        if self._failure is None:
            self._failure = context.get("exception") or RuntimeError(context["message"])

    async def shutdown_asyncgens(self) -> None:
        """Nothing to do: none are tracked."""


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
