"""Waits until a cluster really serves: a PD leader, all stores up, every region whole; then until it is spread out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from cluster.pd_api import PdApi, PdError, Region, encode_key
from harness.exit_codes import EnvironmentFailure

READY_S: Final = 120.0
SPLIT_S: Final = 60.0
SPREAD_S: Final = 30.0
QUIET_S: Final = 1.0  # regions change no more for so long: a new cluster splits off PD's own ranges first
_PAUSE_S: Final = 0.2

Watch = Callable[[], Awaitable[None]]  # raises if waiting makes no sense any more


async def until_ready(api: PdApi, stores: int, watch: Watch) -> None:
    """Wait for a PD leader, ``stores`` stores that are up, and regions that are whole and change no more.

    Raises:
        EnvironmentFailure: that took too long; the sentence says what is missing. And what ``watch`` raises.
    """
    deadline = time.monotonic() + READY_S
    before: list[Region] = []
    quiet_since = time.monotonic()
    while True:
        await watch()
        missing, regions = await _missing(api, stores)
        if regions != before:
            before, quiet_since = regions, time.monotonic()
        if not missing and time.monotonic() - quiet_since >= QUIET_S:
            return
        if time.monotonic() > deadline:
            raise EnvironmentFailure(f"the cluster was not ready within {READY_S:g} s: {missing or 'regions change'}")
        await asyncio.sleep(_PAUSE_S)


async def _missing(api: PdApi, stores: int) -> tuple[str, list[Region]]:
    try:
        if await api.leader() is None:
            return "PD has no leader", []
        up = sum(store.state == "Up" for store in await api.stores())
        if up < stores:
            return f"{up} of {stores} stores are up", []
        replicas = await api.replicas()
        regions = await api.regions()
    except PdError as error:
        return f"PD does not answer ({error})", []
    if not regions:
        return "there is no region yet", []
    lacking = sum(not region.whole or len(region.stores) < min(replicas, stores) for region in regions)
    return (f"{lacking} of {len(regions)} regions lack replicas" if lacking else ""), regions


async def split_at(api: PdApi, keys: Sequence[bytes]) -> None:
    """Split regions at these client's keys, and wait until PD knows of all of them.

    Raises:
        EnvironmentFailure: it did not come about.
    """
    deadline = time.monotonic() + SPLIT_S
    while True:
        missing = list(keys)
        error = ""
        try:
            starts = {region.start for region in await api.regions() if region.leader}
            missing = [key for key in keys if encode_key(key) not in starts]
            if missing:
                await api.split(missing)
        except PdError as failure:
            error = f" ({failure})"
        if not missing:
            return
        if time.monotonic() > deadline:
            raise EnvironmentFailure(f"the cluster's regions could not be split at {len(missing)} keys{error}")
        await asyncio.sleep(_PAUSE_S)


async def spread_leaders(api: PdApi, keys: Sequence[bytes]) -> None:
    """Let the leaders of the regions of these keys lie on all stores in turn, as far as PD can do that in time."""
    deadline = time.monotonic() + SPREAD_S
    while time.monotonic() < deadline:
        try:
            if not await _move_leaders(api, keys):
                return
        except PdError:
            pass  # a region is just moving, or has an operator already
        await asyncio.sleep(_PAUSE_S)


async def _move_leaders(api: PdApi, keys: Sequence[bytes]) -> int:
    regions = await api.regions()
    mine = [region for region in regions if any(region.contains(encode_key(key)) for key in keys)]
    moves = 0
    for number, region in enumerate(mine):
        wanted = region.stores[number % len(region.stores)]
        if region.leader != wanted:
            moves += 1
            await api.transfer_leader(region.id, wanted)
    return moves
