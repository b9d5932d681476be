"""Who led when: asked once a second while a test goes on, and written beside its history.

It only looks. In the simulation its timers change nothing that happens, and the same seed leaves the same lines.
Whatever goes wrong here costs the run nothing but these lines.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from cluster.api import Faults
from harness.clock import SECOND, Clock

EVERY_NS: Final = SECOND


class LeaderChange(msgspec.Struct, frozen=True):
    """A line of ``leaders.jsonl``: from this look on, another node led than at the look before.

    Attributes:
        time: when it was seen, on the history's clock, in nanoseconds.
        what: ``pd``, or ``region ID``.
        node: who led; None: nobody, as far as was to be seen.
    """

    time: int
    what: str
    node: str | None


def changes(before: Mapping[str, str], now: Mapping[str, str], time: int) -> list[LeaderChange]:
    """What differs between two looks, in a fixed order."""
    names = dict.fromkeys([*now, *before])
    return [LeaderChange(time, name, now.get(name)) for name in names if before.get(name) != now.get(name)]


@contextlib.asynccontextmanager
async def watching_leaders(faults: Faults, clock: Clock, path: Path) -> AsyncIterator[None]:
    """Append to ``path`` who leads at first, and then what changes, until the block is left."""
    task = asyncio.get_running_loop().create_task(_watch(faults, clock, path), name="leader watch")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _watch(faults: Faults, clock: Clock, path: Path) -> None:
    known: dict[str, str] = {}
    while True:
        with contextlib.suppress(Exception):  # nobody answers, or the disk is full: there will be another second
            await faults.look()
            now = dict(faults.leaders())
            if found := changes(known, now, clock.now()):
                _append(path, found)
            known = now
        await clock.sleep_until(clock.now() + EVERY_NS)


def _append(path: Path, found: list[LeaderChange]) -> None:
    with path.open("ab") as file:
        file.write(b"".join(msgspec.json.encode(change) + b"\n" for change in found))
