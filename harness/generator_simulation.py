"""Runs a generator without any cluster, to see what it would do: for the tests of generators, and for a dry run.

Keeps the rules of ``harness.interpreter``: the longest idle thread comes first, a process that ends by ``info`` is
retired, and what lies in the future is asked for again when its time has come.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

from harness.clock import MILLISECOND
from harness.op import INFO, INVOKE, NEMESIS, OK, Op
from harness.protocols import Context, Generator, Pending
from harness.rng import Streams

Completer = Callable[[Op], tuple[int, Op]]


def perfect(op: Op) -> tuple[int, Op]:
    """Let every operation be ok after a millisecond."""
    return MILLISECOND, op.replace(type=OK)


def simulate(
    generator: Generator,
    *,
    concurrency: int = 3,
    nemesis: bool = True,
    complete: Completer = perfect,
    seed: int = 1,
    max_ops: int = 10_000,
) -> list[Op]:
    """Return the history that the generator makes, invocations and completions, by index.

    Args:
        generator: what is done; used up.
        concurrency: client threads.
        nemesis: whether there is a nemesis thread.
        complete: from an invocation to how many nanoseconds it takes and its completion.
        seed: of the draws.
        max_ops: an endless generator is asked no more after that many entries.

    Raises:
        RuntimeError: the generator waits although nothing is open, or asks for a process that is not free.
    """
    return _Simulation(generator, concurrency, nemesis, complete, Streams(seed)).run(max_ops)


class _Simulation:
    def __init__(
        self, generator: Generator, concurrency: int, nemesis: bool, complete: Completer, streams: Streams, /
    ) -> None:
        self._generator = generator
        self._concurrency = concurrency
        self._complete = complete
        self._streams = streams
        threads: list[int | str] = [*range(concurrency), *([NEMESIS] if nemesis else [])]
        self._processes: dict[int | str, int | str] = {thread: thread for thread in threads}
        self._free = threads
        self._open: list[tuple[int, int, int | str, Op]] = []  # when, tie-break, thread, completion
        self._now = 0
        self._history: list[Op] = []

    def run(self, max_ops: int) -> list[Op]:
        done = False
        while not done and len(self._history) < max_ops:
            wake = None
            if self._free:
                answer = self._generator.next(Context(self._now, tuple(self._free), self._processes, self._streams))
                if answer is None:
                    done = True
                elif isinstance(answer, Pending):
                    if not self._open:
                        raise RuntimeError("the generator waits although nothing is open: nothing would ever happen")
                elif answer.time <= self._now:
                    self._begin(answer)
                    continue
                else:
                    wake = answer.time
            self._advance(wake)
        while self._open:
            self._advance(None)
        return self._history

    def _advance(self, wake: int | None) -> None:
        """Go to the next thing that happens: a completion, or the time to ask again."""
        if self._open and (wake is None or self._open[0][0] <= wake):
            self._now, _, thread, completion = heapq.heappop(self._open)
            if completion.type == INFO and isinstance(completion.process, int):
                self._processes[thread] = completion.process + self._concurrency
            self._note(completion)
            self._free.append(thread)
        elif wake is not None:
            self._now = wake

    def _begin(self, op: Op) -> None:
        thread = next((thread for thread in self._free if self._processes[thread] == op.process), None)
        if thread is None:
            raise RuntimeError(f"the generator gave {op.f!r} to process {op.process!r}, which is not free")
        self._free.remove(thread)
        op = op.replace(type=INFO if thread == NEMESIS else INVOKE)
        self._note(op)
        took, completion = self._complete(op)
        if thread == NEMESIS:
            completion = completion.replace(type=INFO)
        heapq.heappush(self._open, (self._now + took, len(self._history), thread, completion))

    def _note(self, op: Op) -> None:
        op = op.replace(index=len(self._history), time=self._now)
        self._history.append(op)
        self._generator.update(op)
