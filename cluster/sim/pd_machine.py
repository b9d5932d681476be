"""What PD keeps through Raft, in etcd's place: the end of the timestamps' window, and the next free id."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from cluster.sim.raft_messages import Entry

_FLUSH_EVERY: Final = 20  # entries


class SaveWindow(Struct, frozen=True, gc=False):
    """Timestamps up to ``saved_ms`` (milliseconds since 1970) may be handed out."""

    saved_ms: int


class AllocateId(Struct, frozen=True, gc=False):
    """Take the next id: when this is applied, it is the one below ``next_id``."""


class PdState(Struct, frozen=True):
    """The state after the entry at ``index``."""

    index: int
    saved_ms: int
    next_id: int


class PdMachine:
    """One member's copy of the state: ``state``, as applied."""

    def __init__(self) -> None:
        self.state = self._on_disk = PdState(0, 0, 1)

    def bootstrap(self, next_id: int) -> None:
        """Set the first free id, before the first start."""
        self.state = self._on_disk = PdState(0, 0, next_id)

    def apply(self, entry: Entry) -> None:
        """See ``StateMachine``."""
        saved_ms, next_id, change = self.state.saved_ms, self.state.next_id, entry.data
        if isinstance(change, SaveWindow):
            saved_ms = max(saved_ms, change.saved_ms)
        elif isinstance(change, AllocateId):
            next_id += 1
        self.state = PdState(entry.index, saved_ms, next_id)
        if entry.index - self._on_disk.index >= _FLUSH_EVERY:
            self._on_disk = self.state

    def snapshot(self) -> PdState:
        """See ``StateMachine``."""
        return self.state

    def restore(self, snapshot: PdState) -> None:
        """See ``StateMachine``."""
        self.state = self._on_disk = snapshot

    def flushed(self) -> int:
        """See ``StateMachine``."""
        return self._on_disk.index

    def lose_unflushed(self) -> None:
        """The process was killed."""
        self.state = self._on_disk
