"""What a kind of fault is: how it is drawn, what it needs, and what it does when its time comes.

A plan is drawn before the run and is plain JSON. It may name its targets by their role ("the leader of the region of
key 3"); who that is is found out at the moment of injection. How a lasting fault is undone is not said here: that
follows from its effects (``nemesis.effect``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Protocol

import msgspec

from cluster.api import Evidence, Faults, Node
from harness.clock import MILLISECOND
from harness.rng import Stream
from nemesis.effect import Effect

Plan = dict[str, Any]

# Two times of TiKV divide what can happen: a lock lives for 3 s, and a Raft group elects a new leader after 10 to 20 s.
SHORT_MS = (1_000, 1_500, 2_000, 3_000)
MIDDLE_MS = (4_000, 5_000, 6_000, 7_000)  # transactions outlive their locks, leaders stay
LONG_MS = (18_000, 21_000, 25_000)  # others are elected

PLAIN_ASPECTS: Final = ("loss", "delay")  # of ``cluster.api.ASPECTS``, those that are modelled
STRIKE_S: Final = 4.0  # for an instant fault to come about; others are waiting for their turn


class World(msgspec.Struct, frozen=True):
    """What a plan may refer to.

    Attributes:
        pds: names of the PD members.
        stores: names of the TiKV stores.
        keys: how many keys of the workload faults may be aimed at; a plan names them by number.
        boundaries: the numbers of those keys at which regions start already.
        aspects: of ``cluster.api.ASPECTS``, how the network can be made worse.
    """

    pds: tuple[str, ...]
    stores: tuple[str, ...]
    keys: int = 0
    boundaries: tuple[int, ...] = ()
    aspects: tuple[str, ...] = PLAIN_ASPECTS

    @property
    def servers(self) -> tuple[str, ...]:
        """All nodes."""
        return (*self.pds, *self.stores)

    @staticmethod
    def of(
        nodes: Sequence[Node],
        keys: Sequence[bytes],
        split_keys: Sequence[bytes],
        aspects: Sequence[str] = PLAIN_ASPECTS,
    ) -> World:
        """The world of a cluster's nodes and a workload's keys."""
        starts = frozenset(split_keys)
        return World(
            pds=tuple(node.name for node in nodes if node.role == "pd"),
            stores=tuple(node.name for node in nodes if node.role == "tikv"),
            keys=len(keys),
            boundaries=tuple(number for number, key in enumerate(keys) if key in starts),
            aspects=tuple(aspects),
        )


class ClientProcesses(Protocol):
    """The processes that clients live in, where they are not in the harness's own."""

    async def kill(self) -> Evidence:
        """Kill one of them in the middle of what it does (SIGKILL), and see to it that another takes its place."""
        ...


class Scene(msgspec.Struct):
    """The moment of injection.

    Attributes:
        faults: the cluster's.
        world: its nodes.
        keys: the workload's keys, by number.
        down: nodes whose process a fault holds, each with ``paused`` or ``dead``.
        isolated: stores that a partition in force was aimed at, the newest first.
        boundaries: the numbers of keys at which regions begin; a split that succeeded adds one.
        clients: the processes of clients; None where there are none.
        patience: so many times longer than in the simulation everything may take.
    """

    faults: Faults
    world: World
    keys: Sequence[bytes]
    down: Mapping[str, str] = {}
    isolated: Sequence[str] = ()
    boundaries: set[int] = set()
    clients: ClientProcesses | None = None
    patience: float = 1.0


class NotApplicable(Exception):
    """There is nothing that the fault could be done to at this moment."""


class Injection(msgspec.Struct):
    """A plan whose targets have been found: the nodes it is aimed at, and what is to be put in force."""

    targets: list[str]
    effects: list[Effect]


class Fault(ABC):
    """A kind of fault.

    Attributes:
        kind: its name in histories.
        needs: of ``Cluster.capabilities()`` those it cannot do without.
        needs_one_of: further ones, of which any will do; those that are missing it does without.
        beyond_assumptions: a sound TiKV need not survive it.
        recovery_ms: how long afterwards the next disruptive fault begins at the earliest, as it is drawn: a cluster
            that never gets up again tests nothing. Empty: this fault is not disruptive, most operations go on.
    """

    kind: ClassVar[str]
    needs: ClassVar[tuple[str, ...]]
    needs_one_of: ClassVar[tuple[str, ...]] = ()
    beyond_assumptions: ClassVar[bool] = False
    recovery_ms: ClassVar[tuple[int, ...]] = ()

    @abstractmethod
    def draw(self, stream: Stream, world: World) -> Plan:
        """Draw a plan."""

    def most(self, world: World) -> int | None:  # noqa: ARG002
        """How often it can be done in one run; None: as often as one likes."""
        return None

    def script(self, limit_ns: int) -> Sequence[tuple[int, int]]:  # noqa: ARG002
        """Starts and durations in a main phase of that length, in nanoseconds; empty: they are drawn."""
        return ()


class LastingFault(Fault):
    """A fault with a start and a stop."""

    def draw_duration_ns(self, stream: Stream, plan: Plan) -> int:
        """Draw how long it lasts; called after ``draw``, with the same stream."""
        short, middle, _ = self.durations(plan)
        at = stream.below(100)
        of = SHORT_MS if at < short else MIDDLE_MS if at < short + middle else LONG_MS
        return stream.choice(of) * MILLISECOND

    def durations(self, plan: Plan) -> tuple[int, int, int]:  # noqa: ARG002
        """How many of 100 such plans are to last short, middle and long."""
        return (40, 40, 20)

    @abstractmethod
    def inject(self, plan: Plan, scene: Scene) -> Injection:
        """Find the targets and say what is to be put in force.

        Raises:
            NotApplicable: there is nothing to do it to.
        """


class InstantFault(Fault):
    """A fault that is over as soon as it is done."""

    def takes_ms(self, world: World) -> int:  # noqa: ARG002
        """How long the schedule leaves it to itself."""
        return 0

    def budget_s(self, world: World) -> float:  # noqa: ARG002
        """How long it may take until it counts as failed; ``Scene.patience`` stretches it."""
        return STRIKE_S

    def may_leave(self, plan: Plan, scene: Scene) -> list[Effect]:  # noqa: ARG002
        """What must be undone if it is cut short. It is in the journal as long as the fault is under way."""
        return []

    @abstractmethod
    async def strike(self, plan: Plan, scene: Scene) -> tuple[list[str], Evidence]:
        """Do it; return the targets and what shows it.

        Raises:
            NotApplicable: there is nothing to do it to.
        """
