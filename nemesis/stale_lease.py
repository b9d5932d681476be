"""The scenario ``stale-lease``: a leader whose monotonic clock was set back goes on serving reads after it was deposed.

A leader reads without asking its peers until its lease has run out on its own monotonic clock. Set back by a minute and
then cut off from its peers and PD, it takes its lease for good long after they have elected another leader, and clients
that still reach it read what was true then. TiKV assumes that monotonic clocks do not go back, so this is not a defect
of TiKV: it shows that the harness finds a stale read where there is one. docs/stale-lease.md has more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

from harness.clock import MILLISECOND, SECOND
from harness.rng import Stream
from nemesis.clocks import ClockStep
from nemesis.fault import Plan, World
from nemesis.targets import REGION_LEADER, draw_targets

BACK_MS: Final = 60_000  # a lease is 9 s and an election 10 to 20 s, so some 12 s back show something now and then
FIRST_NS: Final = 10 * SECOND
LASTS_NS: Final = 25 * SECOND  # an election, and then time to read
EVERY_NS: Final = 45 * SECOND
_MARGIN_NS: Final = MILLISECOND


class StaleLease(ClockStep):
    """At fixed times: the monotonic clock of a region's leader goes back by a minute, and the leader is cut off."""

    kind: ClassVar[str] = "stale-lease"

    def draw(self, stream: Stream, world: World) -> Plan:
        """Draw whose region it is."""
        return {**draw_targets(stream, world, ((REGION_LEADER, 1),)), "back_ms": BACK_MS}

    def script(self, limit_ns: int) -> Sequence[tuple[int, int]]:
        """Once, and again as long as it goes on for its full time before the limit."""
        first = min(FIRST_NS, limit_ns // 4)
        times = [(first, min(LASTS_NS, limit_ns - _MARGIN_NS - first))]
        again = range(first + EVERY_NS, limit_ns - LASTS_NS, EVERY_NS)
        return times + [(start, LASTS_NS) for start in again]
