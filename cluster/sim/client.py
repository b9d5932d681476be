"""A client of the simulated cluster, as workloads use it."""

from __future__ import annotations

from cluster.api import TxnMode
from cluster.sim.client_context import ClientContext
from cluster.sim.snapshot import SimSnapshot
from cluster.sim.txn import SimTxn


class SimStore:
    """Implements ``cluster.api.Store``."""

    def __init__(self, context: ClientContext) -> None:
        self._context = context

    async def begin(self, mode: TxnMode) -> SimTxn:
        """Start a transaction. Raises UnavailableBeforeCommit."""
        return SimTxn(self._context, mode, await self.current_timestamp())

    async def snapshot(self, ts: int) -> SimSnapshot:
        """Reads at ``ts``; asks nobody."""
        return SimSnapshot(self._context, ts)

    async def current_timestamp(self) -> int:
        """Ask the TSO. Raises UnavailableBeforeCommit."""
        return await self._context.pd.timestamp(self._context.budget())

    async def close(self) -> None:
        """Give up what runs in the background; the locks it leaves are resolved by others."""
        self._context.close()
