"""Writes the initial records, and does not return before they are surely there."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from cluster.api import Store
from cluster.errors import StoreError
from harness.exit_codes import EnvironmentFailure
from workloads.bank_layout import Layout
from workloads.bank_record import RecordCodec, initial_record

ATTEMPTS = 30
ATTEMPT_S = 10.0
PAUSE_S = 0.5
BATCH = 256  # accounts in one transaction


async def write_initial_records(store: Store, layout: Layout, codec: RecordCodec, balances: Sequence[int]) -> None:
    """Give account ``i`` its initial record with ``balances[i]``.

    Repeats reading at a fresh snapshot and writing what is missing until nothing is: it depends neither on a commit's
    outcome being known nor on a reported commit being whole.

    Raises:
        EnvironmentFailure: the store did not get there within the attempts, or something else is under the keys.
    """
    values = {key: codec.encode(initial_record(account, balances[account])) for account, key in enumerate(layout.keys)}
    last: BaseException | None = None
    for _ in range(ATTEMPTS):
        try:
            async with asyncio.timeout(ATTEMPT_S):
                missing = await _missing(store, layout, values)
                if not missing:
                    return
                await _write(store, missing)
            continue
        except (StoreError, TimeoutError) as failure:
            last = failure
        await asyncio.sleep(PAUSE_S)
    raise EnvironmentFailure(f"the accounts could not be set up in {ATTEMPTS} attempts: {last!r}")


async def _missing(store: Store, layout: Layout, values: dict[bytes, bytes]) -> dict[bytes, bytes]:
    snapshot = await store.snapshot(await store.current_timestamp())
    found: dict[bytes, bytes] = {}
    for start in range(0, len(layout.keys), BATCH):
        found.update(await snapshot.batch_get(layout.keys[start : start + BATCH]))
    for key, data in found.items():
        if data != values[key]:
            raise EnvironmentFailure(f"the key {key!r} is in use already; run identifiers must not be used twice")
    return {key: data for key, data in values.items() if key not in found}


async def _write(store: Store, values: dict[bytes, bytes]) -> None:
    items = list(values.items())
    for start in range(0, len(items), BATCH):
        txn = await store.begin("optimistic")
        settled = False
        try:
            for key, data in items[start : start + BATCH]:
                await txn.put(key, data)
            settled = True
            await txn.commit()
        finally:
            if not settled:
                with contextlib.suppress(StoreError):
                    await txn.rollback()
