"""Whether a cluster serves transactions: asked before a run begins, so that a wrong address is one clear sentence."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from cluster.api import Store
from cluster.errors import StoreError
from harness.exit_codes import EnvironmentFailure

KEY = b"quorumquake/probe"  # read, never written
SETTLE_S = 10.0  # a region whose leader is just moving gets this long


async def probe(store: Store, addresses: Sequence[str]) -> None:
    """Take a timestamp and read one key in a transaction; writes nothing.

    Args:
        store: a client of the cluster.
        addresses: of PD, for the sentences.

    Raises:
        EnvironmentFailure: PD does not answer (found within some 10 s), or no transaction works.
    """
    where = ", ".join(addresses)
    try:
        await store.current_timestamp()
    except StoreError as error:
        raise EnvironmentFailure(
            f"no PD of a cluster answers at {where} ({error}): is it running, and is this its client address?"
        ) from None
    deadline = asyncio.get_running_loop().time() + SETTLE_S
    while True:
        try:
            return await _read_one_key(store)
        except StoreError as error:
            if asyncio.get_running_loop().time() >= deadline:
                raise EnvironmentFailure(
                    f"PD answers at {where}, but reading one key failed ({error}): are its TiKV stores up?"
                ) from None
        await asyncio.sleep(0.5)


async def _read_one_key(store: Store) -> None:
    txn = await store.begin("optimistic")
    try:
        await txn.get(KEY)
    finally:
        await txn.rollback()
