"""What a region's Raft log drives: its bounds and its data.

An entry carries the version of the region for which it was made: one that was proposed before a split and comes after
it in the log is discarded, on every member alike. A split is flushed at once, with both halves, so that it is never
applied twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Struct

from cluster.sim.mvcc import Batch, Mvcc, MvccSnapshot
from cluster.sim.raft_messages import Entry
from cluster.sim.wire import Epoch, Region

_FLUSH_EVERY: Final = 100  # entries


class WriteEntry(Struct, frozen=True, gc=False):
    """Changes of the data."""

    version: int
    batch: Batch


class SplitEntry(Struct, frozen=True, gc=False):
    """The keys from ``key`` on become the region ``new_id``."""

    version: int
    key: bytes
    new_id: int


class RegionSnapshot(Struct, frozen=True):
    """The state after the entry at ``index``."""

    index: int
    region: Region
    data: MvccSnapshot


class RegionMachine:
    """One member's copy of a region.

    Attributes:
        region: its bounds, None while only a message has told of it.
        data: its column families.
        discarded: the entry applied last had no effect, since the region had changed before.
    """

    def __init__(
        self,
        region: Region | None,
        index: int,
        data: Mvcc,
        *,
        on_split: Callable[[Region, Mvcc], object],
        on_restore: Callable[[Region], object],
    ) -> None:
        self.region = region
        self.data = data
        self.discarded = False
        self._index = index
        self._flushed_region = region
        self._flushed_index = index
        self._on_split = on_split
        self._on_restore = on_restore

    def apply(self, entry: Entry) -> None:
        """See ``StateMachine``."""
        self._index = entry.index
        change = entry.data
        if change is not None:
            assert self.region is not None
            self.discarded = change.version != self.region.epoch.version
            if self.discarded:
                pass
            elif isinstance(change, WriteEntry):
                self.data.apply(change.batch)
            else:
                self._split(self.region, change)
        if self._index - self._flushed_index >= _FLUSH_EVERY:
            self.flush()

    def _split(self, whole: Region, split: SplitEntry) -> None:
        if not whole.contains(split.key) or split.key == whole.start:
            self.discarded = True
            return
        epoch = Epoch(whole.epoch.conf_ver, whole.epoch.version + 1)
        right = Region(split.new_id, split.key, whole.end, epoch, whole.peers)
        data = self.data.split(split.key)
        data.flush()
        self.region = Region(whole.id, whole.start, split.key, epoch, whole.peers)
        self.flush()
        self._on_split(right, data)

    def flush(self) -> None:
        """Make what is applied durable; a restart replays the log from here."""
        self.data.flush()
        self._flushed_index = self._index
        self._flushed_region = self.region

    def flushed(self) -> int:
        """See ``StateMachine``."""
        return self._flushed_index

    def lose_unflushed(self) -> None:
        """The process was killed."""
        self.data.lose_unflushed()
        self._index = self._flushed_index
        self.region = self._flushed_region

    def snapshot(self) -> RegionSnapshot:
        """See ``StateMachine``."""
        assert self.region is not None
        return RegionSnapshot(self._index, self.region, self.data.snapshot())

    def restore(self, snapshot: RegionSnapshot) -> None:
        """See ``StateMachine``."""
        data = Mvcc()
        data.restore(snapshot.data)
        self.become(snapshot.region, snapshot.index, data)

    def become(self, region: Region, index: int, data: Mvcc) -> None:
        """Take over another state, durably."""
        self.region, self._index, self.data = region, index, data
        self.flush()
        self._on_restore(region)
