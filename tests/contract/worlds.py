"""The worlds that the contract is tried in: the simulated cluster, the stand-in, a cluster that somebody runs.

Each runs ``work(world, cluster)`` with a cluster of the interface, and can do the few things to it that no client can.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import uuid
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from cluster.api import Cluster
from cluster.errors import StoreError
from cluster.external import ExternalCluster
from cluster.sim.cluster import SimCluster
from harness.clock import MILLISECOND, SECOND
from harness.rng import Streams
from tests.contract.pd import PdApi
from tests.standin.processes import StandIn, in_process

Work = Callable[["World", Any], Awaitable[Any]]
LEAVE = Path(__file__).with_name("leave.py")


class World:
    """A cluster to try the contract on.

    Attributes:
        kind: ``sim`` or ``client`` (through tikv-client), as in the table of differences.
        can_lose_commits: a client can be made to vanish between its prewrite and its commit.
    """

    kind: str
    can_lose_commits = True

    def __init__(self) -> None:
        self._used: list[bytes] = []

    def run(self, work: Work) -> Any:
        """Run ``work(world, cluster)`` on a cluster that serves; its assertions count."""
        raise NotImplementedError

    def keys(self) -> list[bytes]:
        """Four keys that nobody used, in ascending order and in at least two regions."""
        mark = uuid.uuid4().hex.encode()
        keys = [letter + b"/contract/" + mark for letter in (b"a", b"h", b"o", b"z")]
        self._used.extend(keys)
        return keys

    async def wait(self, cluster: Any, seconds: float) -> None:
        """Let time pass, the world's own."""
        await cluster.clock.sleep_until(cluster.clock.now() + round(seconds * SECOND))

    async def split(self, cluster: Any, key: bytes) -> None:
        """Split the region of ``key`` at ``key``."""
        raise NotImplementedError

    async def move_leader(self, cluster: Any, key: bytes) -> bool:
        """Let another store lead the region of ``key``; False where there is only one."""
        raise NotImplementedError

    async def leave(self, cluster: Any, pairs: Mapping[bytes, bytes], how: str) -> int | None:
        """A client writes these pairs and is gone: ``locked``, ``prewritten`` or ``committed``; its commit_ts."""
        raise NotImplementedError


class SimWorld(World):
    """The simulated cluster, on virtual time; a new one for each test."""

    kind = "sim"

    def run(self, work: Work) -> Any:
        """Run it in virtual time."""
        cluster = SimCluster(Streams(1), 5)

        async def main() -> Any:
            await cluster.start((b"g", b"n", b"t"))
            try:
                return await work(self, cluster)
            finally:
                await cluster.stop()

        return cluster.run(main())

    async def split(self, cluster: Cluster, key: bytes) -> None:
        """Ask the simulated PD."""
        assert (await cluster.faults.split_region(key)).verified

    async def move_leader(self, cluster: Cluster, key: bytes) -> bool:
        """Ask the simulated PD."""
        return (await cluster.faults.transfer_region_leader(key)).verified

    async def leave(self, cluster: Any, pairs: Mapping[bytes, bytes], how: str) -> int | None:
        """Cut the client off from where it would send next."""
        gone = cluster.store("gone")
        await (await gone.snapshot(await gone.current_timestamp())).batch_get(list(pairs))  # to know the regions
        txn = await gone.begin("pessimistic" if how == "locked" else "optimistic")
        for key, value in pairs.items():
            await txn.put(key, value)
        committed = None
        if how == "prewritten":
            committing = asyncio.ensure_future(txn.commit())
            await asyncio.sleep(0)
            for pd in ("pd1", "pd2", "pd3"):  # where the commit timestamp would come from
                cluster._network.cut("gone", pd)
            await cluster.clock.sleep_until(cluster.clock.now() + 100 * MILLISECOND)
            committing.cancel()
            await asyncio.gather(committing, return_exceptions=True)
        elif how == "committed":
            committed = await txn.commit()
        await gone.close()
        return committed


class ClientWorld(World):
    """A cluster reached through tikv-client; each piece of work runs in a process of its own."""

    kind = "client"
    can_lose_commits = False

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    def run(self, work: Work) -> Any:
        """Fork, run and report."""

        async def with_world(cluster: ExternalCluster) -> Any:
            try:
                return await work(self, cluster)
            finally:
                await self._tidy(cluster)

        return in_process(self._url, with_world)

    async def split(self, cluster: ExternalCluster, key: bytes) -> None:
        """Ask PD, and wait until it is so."""
        await PdApi(cluster.pd_addresses).split(key)

    async def move_leader(self, cluster: ExternalCluster, key: bytes) -> bool:
        """Ask PD, and wait until it is so."""
        return await PdApi(cluster.pd_addresses).move_leader(key)

    async def leave(self, cluster: ExternalCluster, pairs: Mapping[bytes, bytes], how: str) -> int | None:
        """Let a process do it, which ends without another word."""
        words = [word.hex() for pair in pairs.items() for word in pair]
        process = await asyncio.create_subprocess_exec(
            *[sys.executable, str(LEAVE), how, ",".join(cluster.pd_addresses), *words],
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        said = await process.stdout.readline()
        if how != "prewritten":
            await process.wait()
            return int(said)
        assert said == b"ready\n"  # it has a timestamp, knows the regions, and is about to stop itself
        self.pause_pd()
        try:
            await asyncio.sleep(0.5)
            process.send_signal(signal.SIGCONT)
            await asyncio.sleep(1.0)
            process.kill()
            await process.wait()
        finally:
            self.resume_pd()
        return None

    async def _tidy(self, cluster: ExternalCluster) -> None:
        """Leave nothing behind in somebody's cluster, as far as locks allow."""
        with contextlib.suppress(StoreError):
            txn = await cluster.store("tidy").begin("optimistic")
            for prefix in self._used:
                for key, _ in await txn.scan(prefix, prefix + b"\xff", 1000):
                    await txn.delete(key)
            await txn.commit()

    def pause_pd(self) -> None:
        """Let no client get a timestamp."""
        raise NotImplementedError

    def resume_pd(self) -> None:
        """Let them again."""


class StandInWorld(ClientWorld):
    """The stand-in. It says nothing about TiKV."""

    can_lose_commits = True

    def __init__(self, standin: StandIn) -> None:
        super().__init__(standin.url)
        self._pd = standin.pd

    def pause_pd(self) -> None:
        """Freeze the only one."""
        self._pd.signal(signal.SIGSTOP)

    def resume_pd(self) -> None:
        """Let it go on."""
        self._pd.signal(signal.SIGCONT)
