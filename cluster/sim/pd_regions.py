"""What PD knows of regions: their bounds and leaders, from the heartbeats of whoever leads them.

Heartbeats arrive late and from leaders that are none any more, so each is weighed by the region's epoch and Raft term,
as in ``pkg/core/region.go`` of PD: nothing newer is ever replaced by something older.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence

from msgspec import Struct

from cluster.sim.wire import INFINITY, Region
from cluster.sim.wire_pd import RegionInfo

_UNKNOWN = RegionInfo(None, None)


class _Entry(Struct, frozen=True):
    info: RegionInfo
    region: Region
    term: int


class RegionTable:
    """Regions by id and by start key. No two of them overlap; there may be gaps."""

    def __init__(self, bootstrapped: Sequence[Region]) -> None:
        self._by_id: dict[int, _Entry] = {}
        self._by_start: dict[bytes, _Entry] = {}
        self._starts: list[bytes] = []
        for region in bootstrapped:
            self._insert(_Entry(RegionInfo(region, None), region, 0))

    def find(self, key: bytes) -> RegionInfo:
        """The region of a key; RegionInfo(None, None) in a gap."""
        place = bisect_right(self._starts, key)
        if not place:
            return _UNKNOWN
        entry = self._by_start[self._starts[place - 1]]
        return entry.info if entry.region.contains(key) else _UNKNOWN

    def heartbeat(self, region: Region, leader: str, term: int) -> bool:
        """Learn that ``leader`` leads the region; False: that is older than what is known, and changes nothing."""
        known = self._by_id.get(region.id)
        if known is not None and term < known.term:
            return False
        entry = _Entry(RegionInfo(region, leader), region, term)
        if known is not None and known.region == region:
            self._by_id[region.id] = self._by_start[region.start] = entry
            return True
        overlapping = self._overlapping(region)  # with itself as it was
        if any(other.region.epoch.version > region.epoch.version for other in overlapping):
            return False
        for other in overlapping:
            self._remove(other)
        self._insert(entry)
        return True

    def _overlapping(self, region: Region) -> list[_Entry]:
        first = max(bisect_right(self._starts, region.start) - 1, 0)
        last = len(self._starts) if region.end == INFINITY else bisect_left(self._starts, region.end)
        found = [self._by_start[start] for start in self._starts[first:last]]
        return [entry for entry in found if entry.region.end == INFINITY or entry.region.end > region.start]

    def _insert(self, entry: _Entry) -> None:
        self._by_id[entry.region.id] = entry
        self._by_start[entry.region.start] = entry
        insort(self._starts, entry.region.start)

    def _remove(self, entry: _Entry) -> None:
        del self._by_id[entry.region.id]
        del self._by_start[entry.region.start]
        del self._starts[bisect_left(self._starts, entry.region.start)]
