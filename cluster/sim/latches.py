"""Latches: of the commands that write the same keys of a region, one at a time, in the order in which they came.

A command holds its latches from before it reads what it decides on until what it writes is applied (or lost). They live
in the leader's memory; what keeps transactions apart are the locks in the data.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable


class Ticket:
    """A command's place in the queues of its keys."""

    __slots__ = ("keys", "missing", "run")

    def __init__(self, keys: tuple[bytes, ...], run: Callable[[Ticket], object]) -> None:
        self.keys = keys
        self.missing = 0  # queues in which others are before it
        self.run = run


class Latches:
    """The queues of one region's keys."""

    __slots__ = ("_queues", "_ready", "_releasing")

    def __init__(self) -> None:
        self._queues: dict[bytes, deque[Ticket]] = {}
        self._ready: deque[Ticket] = deque()
        self._releasing = False

    def acquire(self, keys: tuple[bytes, ...], run: Callable[[Ticket], object]) -> None:
        """Call ``run(ticket)`` once the ticket is the first in the queues of all its keys: now, or upon a release."""
        ticket = Ticket(keys, run)
        for key in keys:
            queue = self._queues.get(key)
            if queue is None:
                queue = self._queues[key] = deque()
            elif queue:
                ticket.missing += 1
            queue.append(ticket)
        if not ticket.missing:
            run(ticket)

    def release(self, ticket: Ticket) -> None:
        """Let the next ones run. A ticket is released once, after it has run."""
        for key in ticket.keys:
            queue = self._queues[key]
            first = queue.popleft()
            assert first is ticket
            if queue:
                queue[0].missing -= 1
                if not queue[0].missing:
                    self._ready.append(queue[0])
            else:
                del self._queues[key]
        self._run_ready()

    def _run_ready(self) -> None:
        # One that runs may release at once (it met an error): a loop instead of a recursion as deep as the queue.
        if self._releasing:
            return
        self._releasing = True
        while self._ready:
            ticket = self._ready.popleft()
            ticket.run(ticket)
        self._releasing = False
