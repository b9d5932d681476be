"""The world under test, behind one interface: simulated or real, nothing above asks which.

``Store`` and its transactions are what clients use; ``Faults`` is what the nemesis uses. Keys and values are bytes.
Timestamps are the TSO's: milliseconds shifted left by 18 bits, plus a logical part.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, Protocol, TypeVar

import msgspec

from harness.clock import Clock

T = TypeVar("T")

TxnMode = Literal["optimistic", "pessimistic"]
Role = Literal["pd", "tikv"]


class Node(msgspec.Struct, frozen=True):
    """A server that faults can be aimed at."""

    name: str
    role: Role


class Capability(msgspec.Struct, frozen=True):
    """Whether a fault can be put in place here, and why not."""

    available: bool
    reason: str = ""


class Evidence(msgspec.Struct):
    """What was measured that shows that a fault (or its removal) is really there.

    Attributes:
        verified: the measurement shows it. What is not verified makes the coverage unknown.
        measured: the measurement itself, JSON values only, e.g. ``{"state": "dead"}`` or ``{"offset_ms": 59960}``.
    """

    verified: bool
    measured: dict[str, Any] = {}


class Degradation(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a node's network is worse than it should be; all 0: it is not.

    Attributes:
        loss_ppm: messages lost, parts in a million.
        delay_ns: every message is late by this.
        duplicate_ppm: messages that arrive twice, parts in a million.
        reorder_ppm: messages that overtake others, parts in a million; needs a delay.
        kbit: at most so many kilobits a second; 0: no limit.
    """

    loss_ppm: int = 0
    delay_ns: int = 0
    duplicate_ppm: int = 0
    reorder_ppm: int = 0
    kbit: int = 0


class Cut(msgspec.Struct, frozen=True):
    """A partition: the directed pairs (source, destination) of node names whose messages are dropped."""

    links: tuple[tuple[str, str], ...]

    @staticmethod
    def between(left: Iterable[str], right: Iterable[str]) -> Cut:
        """Cut both ways between two groups."""
        others = sorted(set(right))
        pairs = [(a, b) for a in sorted(set(left)) for b in others if a != b]
        return Cut(tuple(pairs + [(b, a) for a, b in pairs]))

    @staticmethod
    def one_way(sources: Iterable[str], destinations: Iterable[str]) -> Cut:
        """Cut only what flows from ``sources`` to ``destinations``."""
        others = sorted(set(destinations))
        return Cut(tuple((a, b) for a in sorted(set(sources)) for b in others if a != b))


class Txn(Protocol):
    """A transaction. An error from any of its methods is its end: roll back, or if it came from commit, let it be."""

    @property
    def start_ts(self) -> int | None:
        """Its snapshot's timestamp, None where the client does not say."""
        ...

    async def get(self, key: bytes) -> bytes | None:
        """Read at start_ts, in a pessimistic transaction too."""
        ...

    async def batch_get(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Read several keys at start_ts; those that are absent are left out."""
        ...

    async def get_for_update(self, key: bytes) -> bytes | None:
        """Pessimistic only: lock the key, and read its newest committed value."""
        ...

    async def lock_keys(self, keys: Sequence[bytes]) -> None:
        """Lock without writing, so that commit proves that nobody wrote since."""
        ...

    async def scan(self, start: bytes, end: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """Read ``start <= key < end`` at start_ts, in the order of keys, at most ``limit``."""
        ...

    async def put(self, key: bytes, value: bytes) -> None:
        """Write. A pessimistic transaction locks the key now."""
        ...

    async def insert(self, key: bytes, value: bytes) -> None:
        """Write a key that must not exist. Raises KeyExists, at commit if optimistic."""
        ...

    async def delete(self, key: bytes) -> None:
        """Delete. A pessimistic transaction locks the key now."""
        ...

    async def commit(self) -> int | None:
        """Commit; return the commit_ts, or None where nothing was written.

        Raises:
            Aborted: it certainly did not happen.
            StoreError: any other is indefinite, and so is a cancellation.
        """
        ...

    async def rollback(self) -> None:
        """Give up and release the locks. Never after an indefinite error out of ``commit``."""
        ...


class Snapshot(Protocol):
    """Reads at one timestamp."""

    @property
    def ts(self) -> int:
        """The timestamp."""
        ...

    async def get(self, key: bytes) -> bytes | None:
        """Read one key."""
        ...

    async def batch_get(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Read several keys; those that are absent are left out."""
        ...

    async def scan(self, start: bytes, end: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """Read ``start <= key < end`` in the order of keys, at most ``limit``."""
        ...


class Store(Protocol):
    """A client of the cluster: one connection with its own region cache."""

    async def begin(self, mode: TxnMode) -> Txn:
        """Start a transaction; takes a timestamp."""
        ...

    async def snapshot(self, ts: int) -> Snapshot:
        """Reads at ``ts``, which may be old."""
        ...

    async def current_timestamp(self) -> int:
        """Ask the TSO."""
        ...

    async def close(self) -> None:
        """End the connection."""
        ...


class Faults(Protocol):
    """What the nemesis can do. Every call returns what was measured; undoing twice is harmless.

    Targets that move (a leader) are resolved by ``pd_leader`` and ``region_leader`` at the time of the fault.

    Attributes:
        restart_resets_clocks: the clocks belong to the process: one that starts again is back at true time, and only
            of one that runs can they be set. In the simulation they belong to the host.
    """

    restart_resets_clocks: bool

    async def look(self) -> None:
        """Learn who leads now: what ``pd_leader``, ``region_leader`` and ``leaders`` answer from. Never raises."""
        ...

    async def partition(self, cut: Cut) -> Evidence:
        """Drop the messages on these links, beside any other cut in force."""
        ...

    async def heal(self, cut: Cut) -> Evidence:
        """Take this cut away; links that another cut holds stay cut."""
        ...

    async def kill(self, node: str) -> Evidence:
        """End the process at once (SIGKILL): memory is lost, and what was not synced."""
        ...

    async def stop(self, node: str) -> Evidence:
        """Ask the process to end (SIGTERM) and wait until it has."""
        ...

    async def start(self, node: str) -> Evidence:
        """Start it again from its disk."""
        ...

    async def pause(self, node: str) -> Evidence:
        """Freeze the process; clocks go on."""
        ...

    async def resume(self, node: str) -> Evidence:
        """Let it run again."""
        ...

    async def skew(self, node: str, offset_ns: int) -> Evidence:
        """Set its wall clock to true time plus ``offset_ns``; 0 takes the skew away."""
        ...

    async def drift(self, node: str, ppm: int) -> Evidence:
        """Let both its clocks run fast by ``ppm`` parts in a million (slow if negative); 0 takes it away."""
        ...

    async def step_monotonic(self, node: str, offset_ns: int) -> Evidence:
        """Step its monotonic clock, which no sound system survives (``clock-beyond`` only)."""
        ...

    async def degrade(self, nodes: Sequence[str], how: Degradation) -> Evidence:
        """Make the network of these nodes worse; ``Degradation()`` takes it away."""
        ...

    async def transfer_pd_leader(self) -> Evidence:
        """Ask PD to elect another leader."""
        ...

    async def transfer_region_leader(self, key: bytes) -> Evidence:
        """Move the leadership of the region of ``key`` to another of its stores."""
        ...

    async def split_region(self, key: bytes) -> Evidence:
        """Split the region of ``key`` at ``key``."""
        ...

    async def transfer_region(self, key: bytes) -> Evidence:
        """Move a replica of the region of ``key`` to a store that has none."""
        ...

    async def merge_region(self, key: bytes) -> Evidence:
        """Merge the region of ``key`` with a neighbour."""
        ...

    async def shuffle(self, what: str, on: bool) -> Evidence:
        """Let PD shuffle ``leader``, ``region`` or ``hot-region`` all the time, or end that."""
        ...

    async def add_store(self, node: str) -> Evidence:
        """Let a new store of that name join; returns once it serves regions, or has had its time for that."""
        ...

    async def remove_store(self, node: str) -> Evidence:
        """Let PD drain a store that ``add_store`` added, and remove it."""
        ...

    def leaders(self) -> Mapping[str, str]:
        """Who leads now: ``pd``, and ``region ID`` for each region that has a leader, each with its node."""
        ...

    def pd_leader(self) -> str | None:
        """The PD member that leads now."""
        ...

    def region_leader(self, key: bytes) -> str | None:
        """The store that leads the region of ``key`` now."""
        ...


# The methods of ``Faults`` that put something in force; what undoes them works wherever they do.
INJECTIONS: Final = (
    "partition",
    "kill",
    "stop",
    "pause",
    "skew",
    "drift",
    "step_monotonic",
    "degrade",
    "transfer_pd_leader",
    "transfer_region_leader",
    "split_region",
    "transfer_region",
    "merge_region",
    "shuffle",
    "add_store",
)

# What ``degrade`` may be able to do, of which not everything works everywhere.
ASPECTS: Final = ("loss", "delay", "duplicate", "reorder", "rate")

# Clients are ours, in processes of their own, and can be killed.
KILL_CLIENT: Final = "kill_client"


class Cluster(Protocol):
    """A cluster and the time it lives in."""

    @property
    def name(self) -> str:
        """Its kind: ``sim``, ``external`` ..."""
        ...

    @property
    def deterministic(self) -> bool:
        """Whether the same seed gives the same history."""
        ...

    @property
    def clock(self) -> Clock:
        """The time it lives in."""
        ...

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The servers that faults can be aimed at."""
        ...

    @property
    def faults(self) -> Faults:
        """What the nemesis can do to it."""
        ...

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run the coroutine on this cluster's event loop, virtual or real."""
        ...

    def capabilities(self) -> Mapping[str, Capability]:
        """For each of ``INJECTIONS``, of ``ASPECTS``, and for ``KILL_CLIENT``: whether it works here."""
        ...

    @property
    def pd_addresses(self) -> tuple[str, ...]:
        """Where clients in processes of their own connect to; empty: clients can only live in this process."""
        ...

    async def start(self, split_keys: Sequence[bytes]) -> None:
        """Bring it up until it serves; then split its regions at these keys and wait for that.

        Raises:
            EnvironmentFailure: it cannot be reached or does not come up.
        """
        ...

    async def stop(self) -> None:
        """End it, or let go of it where it was running before."""
        ...

    def store(self, client: str) -> Store:
        """A new client; ``client`` names it (and its links and random streams in the simulation)."""
        ...

    async def save_logs(self, folder: Path) -> None:
        """Write what each node has logged since ``start`` to ``folder/NODE.log``; nothing where there are no logs.

        Each line begins with the true time at which it was logged, in RFC 3339. Never raises for what is missing.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """Versions, addresses, settings: what a report should say of it. JSON values only."""
        ...
