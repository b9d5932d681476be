"""A node's disk: what was written is safe only once it is synced.

An fsync covers all that was written before it was asked for. It completes in the kernel, so it makes things durable
even while the process is paused (the callback then comes late), but not once the process was killed: a kill here
stands for the loss of power, as far as unsynced data goes. One fsync is under way at a time; those asked for meanwhile
share the next one (group commit).
"""

from __future__ import annotations

from collections.abc import Callable

from cluster.sim.latency import FSYNC_NS
from cluster.sim.node import SimNode
from harness.rng import Stream

Action = Callable[[], object]


class Disk:
    """Batches fsyncs. ``persist`` marks as durable, ``then`` is the process's reaction."""

    def __init__(self, node: SimNode, stream: Stream) -> None:
        self._node = node
        self._bits = stream.bits
        self._waiting: list[tuple[Action, Action]] = []
        self._busy = False

    def sync(self, persist: Action, then: Action) -> None:
        """Ask for an fsync of what has been written until now.

        ``persist`` must capture what was written (the end of the log, say) and is called when the fsync completes.
        """
        self._waiting.append((persist, then))
        if not self._busy:
            self._start()

    def lose_unsynced(self) -> None:
        """The process was killed: what is not synced yet never will be."""
        self._waiting.clear()
        self._busy = False

    def _start(self) -> None:
        batch, self._waiting = self._waiting, []
        self._busy = True
        self._node.loop.after(FSYNC_NS[self._bits(6)], self._complete, self._node.incarnation, batch)

    def _complete(self, incarnation: int, batch: list[tuple[Action, Action]]) -> None:
        if incarnation != self._node.incarnation:
            return
        for persist, _ in batch:
            persist()
        for _, then in batch:
            self._node.run_in(incarnation, then)
        if self._waiting:
            self._start()
        else:
            self._busy = False
