"""What clients and stores say to PD, and its answers; any member may answer PdNotLeader. None changes once sent."""

from __future__ import annotations

from msgspec import Struct

from cluster.sim.wire import Region


class PdNotLeader(Struct, frozen=True):
    """This member does not lead; ``leader`` is who it thinks does."""

    leader: str | None


class GetTimestamps(Struct, frozen=True):
    """Ask the TSO for ``count`` timestamps. Answer: Timestamps | PdNotLeader."""

    count: int


class Timestamps(Struct, frozen=True):
    """The last of the timestamps; the others are the logical parts just below it."""

    last: int


class GetRegion(Struct, frozen=True):
    """Where is this key? Answer: RegionInfo | PdNotLeader; RegionInfo(None, None) where PD does not know yet."""

    key: bytes


class RegionInfo(Struct, frozen=True):
    """A region and the store that leads it, as far as PD knows."""

    region: Region | None
    leader: str | None


class RegionHeartbeat(Struct, frozen=True):
    """From the leader of a region to PD: I lead it in this term. Answer: Done | PdNotLeader."""

    region: Region
    leader: str
    term: int


class AskSplit(Struct, frozen=True):
    """From a store to PD: an id for a new region. Answer: SplitId | PdNotLeader."""

    region_id: int


class SplitId(Struct, frozen=True):
    """The id of the region to be made."""

    region_id: int


PdRequest = GetTimestamps | GetRegion | RegionHeartbeat | AskSplit
