"""What the bank's processes do: transfers and reads, then final reads of everything.

The draws of each thread come from a stream of its own, so that what one thread does next does not depend on how fast
the others are.
"""

from __future__ import annotations

import itertools
from typing import Any

from harness.clock import MILLISECOND
from harness.generator import later
from harness.op import INVOKE, NEMESIS, OK, Op
from harness.protocols import PENDING, Context, Pending
from harness.rng import Stream

VIAS = ("batch_get", "scan", "snapshot", "old-snapshot")
FINAL_VIAS = ("batch_get", "scan", "snapshot")
FINAL_ATTEMPTS = 30
RETRY_NS = 500 * MILLISECOND
# Of so many threads the last one only reads. Transfers wait for a store that lost its peers until they look for the
# next leader. Who only reads stays with a deposed leader as long as that serves, and would be the one to see it.
READER_EVERY = 5


class BankGenerator:
    """Endless transfers and reads. ``ids`` numbers the operations of the run; two generators may share it."""

    def __init__(self, accounts: int, max_transfer: int, mode: str, read_share: int, ids: itertools.count[int]) -> None:
        self._accounts = accounts
        self._max_transfer = max_transfer
        self._modes = ("optimistic", "pessimistic") if mode == "mixed" else (mode,)
        self._read_share = read_share
        self._ids = ids
        self._streams: dict[int | str, Stream] = {}

    def next(self, ctx: Context) -> Op | Pending | None:
        """An operation for one of the free threads, drawn at random lest the first ones do all the work."""
        free = [thread for thread in ctx.free if thread != NEMESIS]
        if not free:
            return PENDING
        thread = free[0] if len(free) == 1 else self._stream(ctx, "thread").choice(free)
        return self.ahead(ctx, thread)

    def ahead(self, ctx: Context, thread: int | str) -> Op:
        """The next operation of a thread, free or not: nothing depends on when or whether it is begun."""
        stream = self._stream(ctx, thread)
        process = ctx.processes[thread]
        if self._reads(ctx, thread, stream):
            value = {"id": next(self._ids), "via": stream.choice(VIAS)}
            return Op(-1, ctx.time, process, INVOKE, "read", value)
        return Op(-1, ctx.time, process, INVOKE, "transfer", self._transfer(stream))

    def update(self, op: Op) -> None:
        """Nothing depends on what became of an operation."""

    def _reads(self, ctx: Context, thread: int | str, stream: Stream) -> bool:
        """Whether to read now. The threads that only read count towards the share; the others make up the rest."""
        threads = sum(thread != NEMESIS for thread in ctx.processes)
        readers = threads // READER_EVERY
        left = threads * self._read_share - 100 * readers
        if left < 0:  # so few reads are asked for that nobody can do nothing else
            return stream.below(100) < self._read_share
        return thread % READER_EVERY == READER_EVERY - 1 or stream.below(100 * (threads - readers)) < left

    def _transfer(self, stream: Stream) -> dict[str, Any]:
        source = stream.below(self._accounts)
        target = (source + 1 + stream.below(self._accounts - 1)) % self._accounts
        amount = stream.between(1, self._max_transfer)
        return {
            "id": next(self._ids),
            "from": source,
            "to": target,
            "amount": amount,
            "mode": stream.choice(self._modes),
        }

    def _stream(self, ctx: Context, name: int | str) -> Stream:
        stream = self._streams.get(name)
        if stream is None:
            stream = self._streams[name] = ctx.streams("bank", name)
        return stream


class FinalReads:
    """Every thread reads all accounts until one read is ok, with a pause between attempts; at last it gives up."""

    def __init__(self, ids: itertools.count[int]) -> None:
        self._ids = ids
        self._attempts: dict[int | str, int] = {}  # by thread
        self._not_before: dict[int | str, int] = {}  # by thread: when it may try again
        self._thread_of: dict[int | str, int | str] = {}  # by process, of what is under way
        self._finished: set[int | str] = set()

    def next(self, ctx: Context) -> Op | Pending | None:
        """A read for the first free thread that has none yet and whose pause is over."""
        if all(thread in self._finished or thread == NEMESIS for thread in ctx.processes):
            return None
        waiting = [thread for thread in ctx.free if thread != NEMESIS and thread not in self._finished]
        if not waiting:
            return PENDING
        thread = min(waiting, key=lambda waiting: self._not_before.get(waiting, 0))
        due = self._not_before.get(thread, 0)
        return self._read(ctx, thread) if due <= ctx.time else later(ctx, due)

    def _read(self, ctx: Context, thread: int | str) -> Op:
        attempt = self._attempts.get(thread, 0)
        self._attempts[thread] = attempt + 1
        self._thread_of[ctx.processes[thread]] = thread
        via = FINAL_VIAS[(int(thread) + attempt) % len(FINAL_VIAS)]
        value = {"id": next(self._ids), "via": via, "final": True}
        return Op(-1, ctx.time, ctx.processes[thread], INVOKE, "read", value)

    def update(self, op: Op) -> None:
        """Note who is done, and until when the others wait."""
        if op.type == INVOKE or op.process not in self._thread_of:
            return
        thread = self._thread_of.pop(op.process)
        self._not_before[thread] = op.time + RETRY_NS
        if op.type == OK or self._attempts[thread] >= FINAL_ATTEMPTS:
            self._finished.add(thread)
