"""The timestamp oracle of PD: a physical part that follows the wall clock, and a logical part that counts.

A leader may hand out physical times only below a window that was saved through Raft beforehand. The next leader begins
above all that was ever saved, so timestamps grow whatever the clocks of the members say: a clock that jumps ahead takes
them along for good, one that jumps back is ignored. After ``pkg/tso/tso.go`` of PD.

This is the arithmetic alone; ``pd.py`` asks Raft and the clock. Times are milliseconds since 1970.
"""

from __future__ import annotations

from typing import Final

from cluster.sim.wire import LOGICAL_BITS, compose_ts
from harness.clock import MILLISECOND

UPDATE_INTERVAL_NS: Final = 50 * MILLISECOND
SAVE_INTERVAL_MS: Final = 3000
MAX_LOGICAL: Final = 1 << LOGICAL_BITS

_GUARD_MS: Final = 1  # the least step, and the distance that is kept from the end of the window


def first_physical(wall_ms: int, saved_ms: int) -> int:
    """Where a new leader begins, above all that earlier ones may have handed out."""
    return max(wall_ms, saved_ms + _GUARD_MS)


class TimestampOracle:
    """One leader's timestamps in one term; those handed out are below ``saved_ms``, which is saved.

    Attributes:
        ready: the window has been opened, and the term has not ended.
    """

    __slots__ = ("_logical", "_physical", "_saved", "ready")

    def __init__(self) -> None:
        self.ready = False
        self._physical = 0
        self._logical = 0
        self._saved = 0

    def open(self, physical_ms: int, saved_ms: int) -> None:
        """Begin to serve: ``saved_ms`` is saved, and ``physical_ms`` is above what was saved before."""
        self._physical, self._logical, self._saved = physical_ms, 0, saved_ms
        self.ready = True

    def close(self) -> None:
        """The term is over."""
        self.ready = False

    def generate(self, count: int) -> int:
        """The last of ``count`` timestamps, 0 < count < 2**18; 0 if there are not as many before the next update."""
        logical = self._logical + count
        if logical >= MAX_LOGICAL:
            if not self._within(self._physical + 1):
                return 0
            self._advance(self._physical + 1)
            logical = count
        self._logical = logical
        return compose_ts(self._physical, logical)

    def update(self, wall_ms: int) -> int | None:
        """Follow the wall clock. Returns the physical time for which the window must be extended first, or None."""
        if wall_ms - self._physical > _GUARD_MS:
            physical = wall_ms
        elif self._logical > MAX_LOGICAL // 2:
            physical = self._physical + 1
        else:
            return None
        if not self._within(physical):
            return physical
        self._advance(physical)
        return None

    def extend(self, physical_ms: int, saved_ms: int) -> None:
        """The window that ``update`` asked for is saved."""
        self._saved = saved_ms
        self._advance(physical_ms)

    def _within(self, physical_ms: int) -> bool:
        return self._saved - physical_ms > _GUARD_MS

    def _advance(self, physical_ms: int) -> None:
        if physical_ms > self._physical:
            self._physical, self._logical = physical_ms, 0
