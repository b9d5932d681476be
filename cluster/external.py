"""A cluster that is already running: somebody else's, so it is used and left as it is, never broken."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from cluster.api import ASPECTS, INJECTIONS, KILL_CLIENT, Capability, Node
from cluster.pd_http import pd_facts
from cluster.pd_url import parse_pd_url
from cluster.refusal import Refusal
from cluster.tikv import TikvStore
from cluster.tikv_wheel import client_version
from harness.clock import RealClock

T = TypeVar("T")

REASON = "an external cluster is not ours to break"


class NoFaults(Refusal):
    """Refuses every fault: nemesis ``none`` is the only one that goes with an external cluster."""

    reason: ClassVar[str] = f"{REASON}: use --nemesis none"


class ExternalCluster:
    """The cluster behind ``--cluster pd://HOST:PORT[,HOST:PORT...]``, in real time.

    Raises:
        UsageError: not such a URL.
    """

    name = "external"
    deterministic = False
    nodes: tuple[Node, ...] = ()

    def __init__(self, url: str) -> None:
        self.addresses = parse_pd_url(url)
        self.clock = RealClock()
        self.faults = NoFaults()
        self._stores: list[TikvStore] = []
        self._facts: dict[str, Any] = {}

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run the coroutine on the standard library's event loop; an interrupt cancels it, as with ``asyncio.run``."""
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            return runner.run(main)

    def capabilities(self) -> Mapping[str, Capability]:
        """Nothing can be injected; but our own clients are ours to kill."""
        refused = {name: Capability(available=False, reason=REASON) for name in (*INJECTIONS, *ASPECTS)}
        return refused | {KILL_CLIENT: Capability(available=True)}

    @property
    def pd_addresses(self) -> tuple[str, ...]:
        """As given."""
        return tuple(self.addresses)

    async def start(self, split_keys: Sequence[bytes]) -> None:
        """Ask PD what it is, by HTTP; nothing depends on the answer. Whether it serves, clients find out (``probe``).

        ``split_keys`` are left alone: where the regions of somebody else's cluster lie is not ours to say.
        """
        del split_keys
        self._facts = await self._ask_http()

    async def stop(self) -> None:
        """Close the clients; the cluster goes on."""
        stores, self._stores = self._stores, []
        await asyncio.gather(*(store.close() for store in stores))

    def store(self, client: str) -> TikvStore:
        """A new client, which connects at its first use."""
        del client
        store = TikvStore(self.addresses)
        self._stores.append(store)
        return store

    async def save_logs(self, folder: Path) -> None:
        """They are not ours to read."""

    def describe(self) -> dict[str, Any]:
        """Addresses and versions, as far as ``start`` found them."""
        return {
            "kind": self.name,
            "pd": list(self.addresses),
            "client": f"tikv-client {client_version()}".strip(),
            **self._facts,
            "note": "regions were not split for the run, and no faults injected: " + REASON,
        }

    async def _ask_http(self) -> dict[str, Any]:
        for address in self.addresses:
            facts = await asyncio.to_thread(pd_facts, address)
            if facts:
                return facts
        return {}
