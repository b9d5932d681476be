"""A node's own clocks: wall and monotonic, each with an offset and a rate, as functions of true time.

Integer arithmetic only. Pausing a process does not stop its clocks. Timers wait on true time divided by the rate, as a
kernel's do; stepping a clock does not move them.
"""

from __future__ import annotations

# True wall time at the start of a run (2026-01-01T00:00:00Z), so that timestamps look like real ones.
EPOCH_NS = 1_767_225_600 * 1_000_000_000

_MILLION = 1_000_000


class NodeClocks:
    """The two clocks of one node."""

    __slots__ = ("_base_true", "_mono_base", "_ppm", "_wall_base")

    def __init__(self) -> None:
        self._base_true = 0
        self._mono_base = 0
        self._wall_base = EPOCH_NS
        self._ppm = 0

    def monotonic(self, true: int) -> int:
        """Nanoseconds on CLOCK_MONOTONIC_RAW at true time ``true``."""
        return self._mono_base + self._local(true - self._base_true)

    def wall(self, true: int) -> int:
        """Nanoseconds since 1970 on CLOCK_REALTIME at true time ``true``."""
        return self._wall_base + self._local(true - self._base_true)

    def true_delay(self, local: int) -> int:
        """How long, in true time, ``local`` nanoseconds take on this node."""
        return -(-local * _MILLION // (_MILLION + self._ppm))

    def set_wall_offset(self, true: int, offset: int) -> None:
        """Set the wall clock to true time plus ``offset``."""
        self._rebase(true)
        self._wall_base = EPOCH_NS + true + offset

    def step_monotonic(self, true: int, offset: int) -> None:
        """Move the monotonic clock by ``offset`` at once."""
        self._rebase(true)
        self._mono_base += offset

    def set_rate(self, true: int, ppm: int) -> None:
        """Let both clocks run fast by ``ppm`` from now on."""
        self._rebase(true)
        self._ppm = ppm

    def wall_offset(self, true: int) -> int:
        """How far the wall clock is ahead of true time."""
        return self.wall(true) - EPOCH_NS - true

    @property
    def ppm(self) -> int:
        """How fast both clocks run, in parts per million above the true rate."""
        return self._ppm

    def _local(self, elapsed: int) -> int:
        return elapsed + elapsed * self._ppm // _MILLION

    def _rebase(self, true: int) -> None:
        mono, wall = self.monotonic(true), self.wall(true)
        self._base_true, self._mono_base, self._wall_base = true, mono, wall
