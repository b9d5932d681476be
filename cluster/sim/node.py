"""A simulated process: it can be killed, paused and started again, and has its own clocks.

Everything that happens on a node goes through ``run`` or ``after``, so that a dead node does nothing, a paused one does
it late, and what was meant for an earlier life of the process is dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cluster.sim.clocks import NodeClocks
from harness.virtual_time import Timer, VirtualLoop


class SimNode:
    """One process. Subclasses override ``on_start``, ``on_kill`` and ``handle``."""

    def __init__(self, name: str, loop: VirtualLoop) -> None:
        self.name = name
        self.loop = loop
        self.clocks = NodeClocks()
        self.alive = False
        self.paused = False
        self.incarnation = 0
        self._backlog: list[tuple[Callable[..., object], tuple[Any, ...]]] = []

    # Time on this node.

    def monotonic(self) -> int:
        """Its monotonic clock, in nanoseconds."""
        return self.clocks.monotonic(self.loop.now())

    def wall(self) -> int:
        """Its wall clock, in nanoseconds since 1970."""
        return self.clocks.wall(self.loop.now())

    # Execution.

    def run(self, fn: Callable[..., object], *args: Any) -> None:
        """Execute ``fn`` on this node now: dropped if it is dead, late if it is paused."""
        if not self.alive:
            return
        if self.paused:
            self._backlog.append((fn, args))
            return
        fn(*args)

    def after(self, local_ns: int, fn: Callable[..., object], *args: Any) -> Timer:
        """Execute ``fn`` when ``local_ns`` have passed on this node's monotonic clock, unless it was killed by then."""
        return self.loop.after(self.clocks.true_delay(local_ns), self.run_in, self.incarnation, fn, *args)

    def run_in(self, incarnation: int, fn: Callable[..., object], *args: Any) -> None:
        """Execute ``fn``, but only in the life of the process for which it was meant."""
        if incarnation == self.incarnation:
            self.run(fn, *args)

    # Life and death.

    def start(self) -> None:
        """Start the process from its disk; nothing if it runs."""
        if self.alive:
            return
        self.alive = True
        self.paused = False
        self.on_start()

    def kill(self) -> None:
        """End it at once: its memory is lost, and what it had not synced."""
        if not self.alive:
            return
        self.alive = False
        self.paused = False
        self.incarnation += 1
        self._backlog.clear()
        self.on_kill()

    def pause(self) -> None:
        """Freeze it."""
        self.paused = self.alive

    def resume(self) -> None:
        """Let it run: what had come in meanwhile happens now, in order."""
        if not self.paused:
            return
        self.paused = False
        backlog, self._backlog = self._backlog, []
        for fn, args in backlog:
            self.loop.after(0, self.run_in, self.incarnation, fn, *args)

    # For subclasses.

    def on_start(self) -> None:
        """Recover from disk."""

    def on_kill(self) -> None:
        """Forget what was in memory, and on disk what was not synced."""

    def handle(self, source: str, request: Any, reply: Callable[[Any], None]) -> None:
        """Serve a request; ``reply`` may be called later, once, or never."""
        raise NotImplementedError
