"""The time of a run: nanoseconds since its start, virtual or real, behind one interface."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

SECOND = 1_000_000_000
MILLISECOND = 1_000_000
MICROSECOND = 1_000


class Clock(Protocol):
    """What the generator, the interpreter and the recorder ask for the time."""

    def now(self) -> int:
        """Nanoseconds since the start of the run; never goes back."""
        ...

    async def sleep_until(self, when: int) -> None:
        """Return at ``when`` (in nanoseconds since the start), at once if that is past."""
        ...


class RealClock:
    """The machine's monotonic clock, counted from the moment this object was made."""

    def __init__(self) -> None:
        self._origin = time.monotonic_ns()

    def now(self) -> int:
        """Nanoseconds since the start of the run."""
        return time.monotonic_ns() - self._origin

    def of_monotonic(self, reading: int) -> int:
        """The time of the run at which any process of this machine read that from CLOCK_MONOTONIC, in nanoseconds."""
        return reading - self._origin

    async def sleep_until(self, when: int) -> None:
        """Return at ``when``."""
        left = when - self.now()
        if left > 0:
            await asyncio.sleep(left / SECOND)
