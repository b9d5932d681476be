"""Generators: what is done next, in small pieces that are put together.

The idea is Jepsen's: a generator is asked for an operation, told of what happened, and never waits or reads a clock, so
that any of them can be simulated without a cluster (``harness.generator_simulation``). Ours hold their state.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from harness.generator_base import Answer, Source, Wrapper, ahead_of, fill, is_taken, later
from harness.op import INFO, INVOKE, NEMESIS, OK, Op
from harness.protocols import PENDING, Context, Generator, Pending
from harness.rng import Stream

__all__ = [
    "any_of",
    "at_times",
    "clients",
    "each",
    "each_process",
    "fill",
    "is_taken",
    "later",
    "limit",
    "mix",
    "on_nemesis",
    "phases",
    "repeat",
    "sequence",
    "stagger",
    "time_limit",
    "until_ok",
]

# Sources.


class _Each(Source):
    def __init__(self, make: Callable[[Context], Answer]) -> None:
        self._make = make

    def next(self, ctx: Context) -> Answer:
        return self._make(ctx)


def each(make: Callable[[Context], Answer]) -> Generator:
    """Ask a function each time."""
    return _Each(make)


def repeat(f: str, value: Any = None) -> Generator:
    """Give the same operation without end."""
    return _Each(lambda ctx: fill(ctx, f, value))


class _AtTimes(Source):
    def __init__(self, schedule: Sequence[tuple[int, Op]]) -> None:
        self._left = deque(sorted(schedule, key=lambda entry: entry[0]))
        self._start: int | None = None

    def next(self, ctx: Context) -> Answer:
        if self._start is None:
            self._start = ctx.time
        if not self._left:
            return None
        due, op = self._left[0]
        if self._start + due > ctx.time:
            return later(ctx, self._start + due)
        for thread in ctx.free:
            process = ctx.processes[thread]
            if (process == NEMESIS) == (op.process == NEMESIS):
                self._left.popleft()
                return op.replace(time=ctx.time, process=process, type=INFO if process == NEMESIS else INVOKE)
        return PENDING


def at_times(schedule: Sequence[tuple[int, Op]]) -> Generator:
    """Give operations at fixed times, in nanoseconds since this generator was first asked.

    Those of the nemesis wait for the nemesis, others go to the first free process. One that is overdue is done as
    soon as there is a thread for it.
    """
    return _AtTimes(schedule)


# Combinators over one generator.


class _Limit(Wrapper):
    def __init__(self, inner: Generator, count: int) -> None:
        super().__init__(inner)
        self._left = count

    def next(self, ctx: Context) -> Answer:
        if self._left <= 0:
            return None
        answer = self.inner.next(ctx)
        if is_taken(answer, ctx):
            self._left -= 1
        return answer


def limit(generator: Generator, count: int) -> Generator:
    """Stop after ``count`` operations."""
    return _Limit(generator, count)


class _TimeLimit(Wrapper):
    def __init__(self, inner: Generator, duration: int) -> None:
        super().__init__(inner)
        self._duration = duration
        self._end: int | None = None

    def next(self, ctx: Context) -> Answer:
        if self._end is None:
            self._end = ctx.time + self._duration
        if ctx.time >= self._end:
            return None
        answer = self.inner.next(ctx)
        if isinstance(answer, Op) and answer.time > self._end:
            # Not None: something may yet come up before the end, when a thread becomes free.
            return later(ctx, self._end)
        return answer

    def ahead(self, ctx: Context, thread: int) -> Op | None:
        return None if self._end is None or ctx.time >= self._end else ahead_of(self.inner, ctx, thread)


def time_limit(generator: Generator, duration: int) -> Generator:
    """Give nothing from ``duration`` nanoseconds after the first question on; what is open then may finish."""
    return _TimeLimit(generator, duration)


class _Stagger(Wrapper):
    def __init__(self, inner: Generator, interval: int, name: str) -> None:
        super().__init__(inner)
        self._interval = interval
        self._name = name
        self._stream: Stream | None = None
        self._at = 0

    def next(self, ctx: Context) -> Answer:
        if self._stream is None:
            self._stream = ctx.streams("generator", self._name)
            self._at = ctx.time
        if ctx.time < self._at:
            return later(ctx, self._at)
        answer = self.inner.next(ctx)
        if is_taken(answer, ctx):
            # A timer that fires a little late must not lower the rate; an outage must not be made up for by a burst.
            base = max(self._at, ctx.time - self._interval)
            self._at = base + self._stream.between(0, 2 * self._interval)
        return answer


def stagger(generator: Generator, interval: int, name: str = "stagger") -> Generator:
    """Give one operation in ``interval`` nanoseconds on average, over all threads; the gaps are drawn uniformly.

    Several in one test need different names, since the name is that of the stream of draws.
    """
    return _Stagger(generator, interval, name)


class _UntilOk(Wrapper):
    def __init__(self, inner: Generator) -> None:
        super().__init__(inner)
        self._open: set[int | str] = set()
        self._done = False

    def next(self, ctx: Context) -> Answer:
        if self._done:
            return None
        answer = self.inner.next(ctx)
        if is_taken(answer, ctx):
            self._open.add(answer.process)
        return answer

    def update(self, op: Op) -> None:
        if op.type != INVOKE and op.process in self._open:
            self._open.discard(op.process)
            self._done = self._done or op.type == OK
        super().update(op)


def until_ok(generator: Generator) -> Generator:
    """Go on until one of its operations was ``ok``."""
    return _UntilOk(generator)


class _OnThreads(Wrapper):
    def __init__(self, inner: Generator, *, nemesis: bool) -> None:
        super().__init__(inner)
        self._nemesis = nemesis

    def next(self, ctx: Context) -> Answer:
        return self.inner.next(self._narrow(ctx))

    def ahead(self, ctx: Context, thread: int) -> Op | None:
        return None if self._nemesis else ahead_of(self.inner, self._narrow(ctx), thread)

    def _narrow(self, ctx: Context) -> Context:
        nemesis = self._nemesis
        return Context(
            time=ctx.time,
            free=tuple([thread for thread in ctx.free if (thread == NEMESIS) == nemesis]),
            processes={t: process for t, process in ctx.processes.items() if (t == NEMESIS) == nemesis},
            streams=ctx.streams,
        )

    def update(self, op: Op) -> None:
        if (op.process == NEMESIS) == self._nemesis:
            super().update(op)


def on_nemesis(generator: Generator) -> Generator:
    """Let only the nemesis do it."""
    return _OnThreads(generator, nemesis=True)


def clients(generator: Generator) -> Generator:
    """Let only client processes do it."""
    return _OnThreads(generator, nemesis=False)


class _EachProcess:
    def __init__(self, make: Callable[[], Generator]) -> None:
        self._make = make
        self._of: dict[int | str, Generator] = {}
        self._done: set[int | str] = set()

    def next(self, ctx: Context) -> Answer:
        soonest: Op | None = None
        for thread in ctx.free:
            answer = self._ask(ctx, thread)
            if is_taken(answer, ctx):
                return answer
            if isinstance(answer, Op) and (soonest is None or answer.time < soonest.time):
                soonest = answer
        if soonest is not None:
            return soonest
        return None if all(process in self._done for process in ctx.processes.values()) else PENDING

    def _ask(self, ctx: Context, thread: int | str) -> Answer:
        process = ctx.processes[thread]
        if process in self._done:
            return None
        generator = self._of.get(process)
        if generator is None:
            generator = self._of[process] = self._make()
        answer = generator.next(Context(ctx.time, (thread,), {thread: process}, ctx.streams))
        if answer is None:
            self._done.add(process)
            del self._of[process]
        return answer

    def update(self, op: Op) -> None:
        generator = self._of.get(op.process)
        if generator is not None:
            generator.update(op)
        if op.type == INFO and op.process != NEMESIS:  # the process is retired
            self._of.pop(op.process, None)
            self._done.discard(op.process)


def each_process(make: Callable[[], Generator]) -> Generator:
    """Let every process have a generator of its own, made by ``make``; done when those of all present ones are.

    A process that takes the place of a retired one begins anew.
    """
    return _EachProcess(make)


# Combinators over several.


class _Several:
    def __init__(self, generators: Sequence[Generator]) -> None:
        self._generators = list(generators)

    def update(self, op: Op) -> None:
        for generator in self._generators:
            generator.update(op)


class _Sequence(_Several):
    def next(self, ctx: Context) -> Answer:
        while self._generators:
            answer = self._generators[0].next(ctx)
            if answer is not None:
                return answer
            self._generators.pop(0)
        return None

    def ahead(self, ctx: Context, thread: int) -> Op | None:
        return ahead_of(self._generators[0], ctx, thread) if self._generators else None

    def update(self, op: Op) -> None:
        if self._generators:
            self._generators[0].update(op)


def sequence(*generators: Generator) -> Generator:
    """Give all of the first, then all of the next; the last operations of one may overlap the first of the next."""
    return _Sequence(generators)


class _Synchronize(Source):
    def next(self, ctx: Context) -> Answer:
        return None if len(ctx.free) == len(ctx.processes) else PENDING


def phases(*generators: Generator) -> Generator:
    """Like ``sequence``, but wait before each until all operations are complete, the nemesis's included."""
    parts: list[Generator] = []
    for generator in generators:
        parts += [_Synchronize(), generator]
    return _Sequence(parts)


class _AnyOf(_Several):
    def next(self, ctx: Context) -> Answer:
        soonest: Op | None = None
        pending = False
        for generator in list(self._generators):
            answer = generator.next(ctx)
            if answer is None:
                self._generators.remove(generator)
            elif isinstance(answer, Pending):
                pending = True
            elif answer.time <= ctx.time:
                # It goes to the back, so that none that is always ready keeps the others from their turn.
                self._generators.remove(generator)
                self._generators.append(generator)
                return answer
            elif soonest is None or answer.time < soonest.time:
                soonest = answer
        return soonest if soonest is not None else (PENDING if pending else None)

    def ahead(self, ctx: Context, thread: int) -> Op | None:
        given = (ahead_of(generator, ctx, thread) for generator in self._generators)
        return next((op for op in given if op is not None), None)


def any_of(*generators: Generator) -> Generator:
    """Run them beside each other: whichever has something to do first. Done when all are."""
    return _AnyOf(generators)


class _Mix(_Several):
    def __init__(self, generators: Sequence[Generator], name: str) -> None:
        super().__init__(generators)
        self._name = name
        self._streams: dict[int | str, Stream] = {}
        self._chosen: dict[int | str, Generator] = {}

    def next(self, ctx: Context) -> Answer:
        threads = [thread for thread in ctx.free if thread != NEMESIS] or ctx.free
        if not threads:
            return PENDING
        process = ctx.processes[threads[0]]
        while self._generators:
            generator = self._chosen.get(process) or self._draw(ctx, process)
            answer = generator.next(ctx)
            if answer is not None:
                if is_taken(answer, ctx):
                    del self._chosen[process]
                return answer
            self._generators = [other for other in self._generators if other is not generator]
            self._chosen = {of: chosen for of, chosen in self._chosen.items() if chosen is not generator}
        return None

    def _draw(self, ctx: Context, process: int | str) -> Generator:
        stream = self._streams.get(process)
        if stream is None:
            stream = self._streams[process] = ctx.streams("generator", self._name, process)
        generator = self._chosen[process] = stream.choice(self._generators)
        return generator

    def update(self, op: Op) -> None:
        if op.type == INFO and op.process != NEMESIS:
            self._streams.pop(op.process, None)  # the process is retired
            self._chosen.pop(op.process, None)
        super().update(op)


def mix(*generators: Generator, name: str = "mix") -> Generator:
    """Draw for every operation which of them gives it, each equally likely, until all are done.

    The draws are those of the process it is for, so that one process's luck does not depend on what others do.
    """
    return _Mix(generators, name)
