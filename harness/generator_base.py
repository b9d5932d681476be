"""What all generators have in common, for those who write one.

One rule keeps them simple. What ``next`` returns with a time that is not in the future is taken: whoever got it must do
it. What it returns with a time in the future (``later``) only says when to ask again.
"""

from __future__ import annotations

from typing import Any, TypeGuard

from harness.op import INFO, INVOKE, NEMESIS, Op
from harness.protocols import PENDING, Context, Generator, Pending

Answer = Op | Pending | None


def fill(ctx: Context, f: str, value: Any = None) -> Op | Pending:
    """Make the invocation of ``f`` by the first free process, or PENDING if there is none.

    The nemesis is chosen only where the context holds nothing else (see ``on_nemesis``).
    """
    if len(ctx.processes) == 1 and NEMESIS in ctx.processes:
        return Op(0, ctx.time, NEMESIS, INFO, f, value) if ctx.free else PENDING
    for thread in ctx.free:
        if thread != NEMESIS:
            return Op(0, ctx.time, ctx.processes[thread], INVOKE, f, value)
    return PENDING


def later(ctx: Context, when: int) -> Op:
    """Answer that nothing is to be done before ``when`` (nanoseconds, in the future)."""
    return Op(0, max(when, ctx.time + 1), NEMESIS, INFO, "later")


def is_taken(answer: Answer, ctx: Context) -> TypeGuard[Op]:
    """Whether it is an operation to do now; else nothing was consumed."""
    return isinstance(answer, Op) and answer.time <= ctx.time


def ahead_of(generator: Generator, ctx: Context, thread: int) -> Op | None:
    """An operation that ``thread`` may begin as soon as it is free; None where ``generator`` cannot say it yet.

    Only generators with a method ``ahead(ctx, thread)`` can. What they give so may never be begun, and comes to
    ``update`` when its invocation is recorded, as ever.
    """
    give = getattr(generator, "ahead", None)
    return None if give is None else give(ctx, thread)


class Source:
    """One that does not care what becomes of its operations."""

    def update(self, op: Op) -> None:
        """Nothing to learn."""


class Wrapper:
    """Passes on what happens to the generator within."""

    def __init__(self, inner: Generator) -> None:
        self.inner = inner

    def update(self, op: Op) -> None:
        """Pass it on."""
        self.inner.update(op)
