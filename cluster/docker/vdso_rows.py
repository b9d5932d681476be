"""What the clocks of a process show: for each clock a row of four numbers, and how faults change them.

    reading = true + offset + gathered,    gathered = ppm * (true - since) / 1e6, held between -limit and limit

The division rounds towards zero, as the processor's does. A reading never falls while true time rises, for rates above
-1e6 ppm. Only integers, nanoseconds throughout. No reading, no process and no machine code here: `vdso_stubs.py` has
the same formula as code, and the tests compare the two.

How a drift ends: taking back what a clock has gathered would be a step. That is harmless for a wall clock. But a
monotonic clock must not go back, and a step forward may be more than the 2 % by which TiKV lets clocks err. So the wall
clock returns at once, and the monotonic ones run back to true time at ``RETURN_PPM``, where they stop by themselves:
that is what the limit is for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from harness.clock import MILLISECOND

REALTIME: Final = 0
MONOTONIC: Final = 1
WALL: Final = (REALTIME, 5, 11)  # CLOCK_REALTIME, _REALTIME_COARSE, _TAI: see clock_gettime(2)
STEADY: Final = (MONOTONIC, 4, 6, 7)  # CLOCK_MONOTONIC, _MONOTONIC_RAW, _MONOTONIC_COARSE, _BOOTTIME
SKEWED: Final = (*WALL, *STEADY)
ROWS: Final = 12  # rows by the number of the clock; those of CPU time are among them and stay as they are
FINE: Final = {5: REALTIME, 6: MONOTONIC}  # a coarse clock shows what its fine one showed at the last tick

LARGEST_PPM: Final = 500_000
RETURN_PPM: Final = 20_000
NO_LIMIT: Final = 2**63 - 1
LONGEST_TICK_NS: Final = 20 * MILLISECOND  # a coarse clock is never further behind
_MILLION = 1_000_000


class Row(msgspec.Struct, frozen=True):
    """What one clock shows; all 0: true time."""

    offset_ns: int = 0
    since_ns: int = 0
    ppm: int = 0
    limit_ns: int = 0

    def gathered(self, true_ns: int) -> int:
        """What its rate has made of it."""
        product = self.ppm * (true_ns - self.since_ns)
        rounded = abs(product) // _MILLION
        return max(-self.limit_ns, min(self.limit_ns, rounded if product >= 0 else -rounded))

    def reading(self, true_ns: int) -> int:
        """What it shows when true time is ``true_ns``."""
        return true_ns + self.offset_ns + self.gathered(true_ns)

    def settled(self, true_ns: int) -> Row:
        """The same row, without a rate where that has reached its limit, on the coarse clocks too."""
        end = self.limit_ns if self.ppm > 0 else -self.limit_ns
        if self.ppm and self.gathered(true_ns - LONGEST_TICK_NS) != end:
            return self
        return Row(self.offset_ns + self.gathered(true_ns))


class Clocks(msgspec.Struct, frozen=True):
    """What all clocks of a process show.

    Attributes:
        rows: by the number of the clock.
        wall_ns: the offset that was asked for, of the wall clocks.
        steady_ns: the sum of the steps that were asked for, of the monotonic clocks.
    """

    rows: tuple[Row, ...] = (Row(),) * ROWS
    wall_ns: int = 0
    steady_ns: int = 0

    def settled(self, true_ns: Mapping[int, int]) -> Clocks:
        """The same, without the rates that have come to their end. ``true_ns``: by clock, of those in ``SKEWED``."""
        return self._replaced({clock: self.rows[clock].settled(_at(true_ns, clock)) for clock in SKEWED})

    def with_wall(self, offset_ns: int) -> Clocks:
        """Set the wall clocks ``offset_ns`` off; what a drift has gathered stays."""
        moved = {clock: _moved(self.rows[clock], offset_ns - self.wall_ns) for clock in WALL}
        return msgspec.structs.replace(self._replaced(moved), wall_ns=offset_ns)

    def with_step(self, offset_ns: int) -> Clocks:
        """Step the monotonic clocks."""
        moved = {clock: _moved(self.rows[clock], offset_ns) for clock in STEADY}
        return msgspec.structs.replace(self._replaced(moved), steady_ns=self.steady_ns + offset_ns)

    def with_rate(self, ppm: int, true_ns: Mapping[int, int]) -> Clocks:
        """Let all of them run fast by ``ppm`` from now on, without a step; 0: see above how a drift ends."""
        changed: dict[int, Row] = {}
        for clock in SKEWED:
            now = _at(true_ns, clock)
            row = self.rows[clock]
            offset = row.offset_ns + row.gathered(now)
            if ppm:
                changed[clock] = Row(offset, now, ppm, NO_LIMIT)
            elif clock in WALL:
                changed[clock] = Row(self.wall_ns)
            else:
                changed[clock] = _returning(offset, offset - self.steady_ns, now)
        return self._replaced(changed)

    def _replaced(self, changed: Mapping[int, Row]) -> Clocks:
        rows = tuple(changed.get(clock, row) for clock, row in enumerate(self.rows))
        return msgspec.structs.replace(self, rows=rows)


TRUE: Final = Clocks()


def _at(true_ns: Mapping[int, int], clock: int) -> int:
    # One function of time for both, so that a coarse clock is never ahead of its fine one.
    return true_ns[FINE.get(clock, clock)]


def _moved(row: Row, by_ns: int) -> Row:
    return msgspec.structs.replace(row, offset_ns=row.offset_ns + by_ns)


def _returning(offset_ns: int, gathered_ns: int, now: int) -> Row:
    if gathered_ns == 0:
        return Row(offset_ns)
    return Row(offset_ns, now, RETURN_PPM if gathered_ns < 0 else -RETURN_PPM, abs(gathered_ns))
