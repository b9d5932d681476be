"""A cluster that is already running: somebody else's, so it is used and left as it is, never broken."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NoReturn, TypeVar

from cluster.api import ASPECTS, INJECTIONS, KILL_CLIENT, Capability, Node
from cluster.errors import StoreError
from cluster.pd_http import pd_facts
from cluster.pd_url import parse_pd_url
from cluster.refusal import Refusal
from cluster.tikv import TikvStore
from cluster.tikv_wheel import client_version, load_extension
from harness.clock import RealClock
from harness.exit_codes import EnvironmentFailure

T = TypeVar("T")

REASON = "an external cluster is not ours to break"
PROBE = b"quorumquake/probe"  # read, never written
SETTLE_S = 10.0  # a region whose leader is just moving gets this long


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
        """Nothing can be injected."""
        return {name: Capability(available=False, reason=REASON) for name in (*INJECTIONS, *ASPECTS, KILL_CLIENT)}

    @property
    def pd_addresses(self) -> tuple[str, ...]:
        """As given."""
        return tuple(self.addresses)

    async def start(self, split_keys: Sequence[bytes]) -> None:
        """Connect, and check that a timestamp and a transaction work; reads one key, writes nothing.

        ``split_keys`` are left alone: where the regions of somebody else's cluster lie is not ours to say.

        Raises:
            EnvironmentFailure: tikv-client is missing, PD does not answer (found within some 10 s), or no transaction
                works.
        """
        del split_keys
        load_extension()
        probe = self.store("probe")
        try:
            await self._reach_pd(probe)
            await self._try_transaction(probe)
            self._facts = await self._ask_http()
        finally:
            await probe.close()
            self._stores.remove(probe)

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

    async def _reach_pd(self, probe: TikvStore) -> None:
        where = ", ".join(self.addresses)
        try:
            await probe.current_timestamp()
        except StoreError as error:
            self._fail(
                f"no PD of a cluster answers at {where} ({error}): is it running, and is this its client address?"
            )

    async def _try_transaction(self, probe: TikvStore) -> None:
        where = ", ".join(self.addresses)
        deadline = asyncio.get_running_loop().time() + SETTLE_S
        while True:
            try:
                return await _read_one_key(probe)
            except StoreError as error:
                if asyncio.get_running_loop().time() >= deadline:
                    self._fail(f"PD answers at {where}, but reading one key failed ({error}): are its TiKV stores up?")
            await asyncio.sleep(0.5)

    async def _ask_http(self) -> dict[str, Any]:
        for address in self.addresses:
            facts = await asyncio.to_thread(pd_facts, address)
            if facts:
                return facts
        return {}

    @staticmethod
    def _fail(sentence: str) -> NoReturn:
        raise EnvironmentFailure(sentence) from None


async def _read_one_key(store: TikvStore) -> None:
    txn = await store.begin("optimistic")
    try:
        await txn.get(PROBE)
    finally:
        await txn.rollback()
