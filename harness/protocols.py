"""The parts of a test and how they meet. Each is small enough to be implemented by a test of its own.

generator -> invoke Op -> client -> ok|fail|info Op -> recorder -> History -> checkers -> verdicts
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, ClassVar, Final, Literal, Protocol, runtime_checkable

import msgspec

from harness.op import Op
from harness.rng import Streams
from harness.verdict import Anomaly, Verdict

# Generators.


class Pending:
    """The generator has nothing to do now, but may have later."""

    def __repr__(self) -> str:
        return "PENDING"


PENDING: Final = Pending()


class Context(msgspec.Struct):
    """What a generator may know when it is asked.

    Attributes:
        time: nanoseconds since the start.
        free: the threads that are free, longest idle first (so that work goes round): worker numbers from 0, and
            ``"nemesis"``.
        processes: the process that each thread runs as now.
        streams: the run's randomness; a generator draws from streams named after itself.
    """

    time: int
    free: tuple[int | str, ...]
    processes: Mapping[int | str, int | str]
    streams: Streams


class Generator(Protocol):
    """Decides what is done next. It holds the state; combinators wrap it. It never waits and never looks at a clock."""

    def next(self, ctx: Context) -> Op | Pending | None:
        """The next operation (with a free process, and a time that is not past), or PENDING, or None: done for good.

        An operation whose time is in the future is not consumed until then: the generator may be asked again before.
        One whose time is not in the future is consumed: whoever asked must see it done.
        """
        ...

    def update(self, op: Op) -> None:
        """Learn of an operation that was invoked or completed."""
        ...


# Clients.


class Client(Protocol):
    """Carries out the operations of one process, or of the nemesis."""

    async def invoke(self, op: Op) -> Op:
        """Do it; return the completion, ``ok``, ``fail`` or ``info``.

        What is raised instead becomes ``info``. The interpreter sets the time and the index.
        """
        ...

    async def close(self) -> None:
        """Let go of what it holds."""
        ...


@runtime_checkable
class KeepsPartial(Protocol):
    """A client that can say what it has seen and tried of an operation that was cut off or raised."""

    def partial(self, op: Op) -> Any:
        """The value that the completion of ``op`` shall have."""
        ...


class TakesAhead(Protocol):
    """A client to which operations can be handed before it is free. It begins them by itself, in their order."""

    def room(self) -> int:
        """How many more operations it would take now; 0 while it has none open."""
        ...

    def hand(self, op: Op) -> None:
        """Take ``op``, to be begun when all before it have ended, none of them with ``info``; soon, or not at all."""
        ...

    def take(self) -> Op | None:
        """Asked when its operation has ended: the next one that it took, which may have begun; ``invoke`` comes."""
        ...


ClientFactory = Callable[[int], Awaitable[Client]]  # from a process number

# Histories.


class RowEncoder(Protocol):
    """Turns the operations of a workload into integers, kept in columns beside the JSON lines.

    Absent numbers are ``ABSENT``. A change of meaning needs a new ``version``: older columns are then rebuilt. Where
    an operation's integers depend on those before it, the encoder has ``cumulative = True``, and its columns are used
    for the whole history or not at all.
    """

    name: str
    version: int
    fields: tuple[str, ...]  # names of the integers of an operation
    row_fields: tuple[str, ...]  # names of the integers of each of its rows (accesses)

    def encode(self, op: Op) -> tuple[Sequence[int], Sequence[int]]:
        """Return the operation's integers, and those of all its rows, flat. Those of the nemesis come here too.

        Raises:
            ValueError: the value is not of this workload's shape, said in words.
        """
        ...


@runtime_checkable
class EncodesMany(Protocol):
    """A ``RowEncoder`` that can also do many operations at once, which is several times faster."""

    def encode_many(self, ops: Sequence[Op]) -> tuple[Sequence[Any], Any, Sequence[Any]]:
        """Return the same as ``encode`` of each, in columns.

        A column is a list of ints, an ``array("q")`` or a numpy array of integers. First those of ``fields``, each as
        long as ``ops``; then one that says how many rows each operation has; then those of ``row_fields``, each with
        all rows.

        Raises:
            ValueError: some value is not of this workload's shape (a TypeError, LookupError, AttributeError means the
                same): ``encode`` is then asked for one after the other, to find out which and why, and must be able to.
        """
        ...


ABSENT: Final = -1

# Checkers.


def _nobody(verdict: Verdict) -> None:
    del verdict


class CheckContext(msgspec.Struct):
    """What a checker may know beside the history.

    Attributes:
        options: the workload's options, with the defaults filled in.
        claim: the consistency model that the workload claims.
        models: those that a verdict's ``valid`` answers; empty: the claim alone.
        deadline: when a search shall give up, in seconds of ``time.monotonic()``.
        tell: takes what a checker has established so far, should it never come to its end.
        client_anomalies: what commits that the client carried out by half make of a verdict: ``unknown``, ``fail`` or
            ``ignore``.
    """

    options: dict[str, Any] = {}
    claim: str = "strict-serializable"
    models: tuple[str, ...] = ()
    deadline: float = math.inf
    tell: Callable[[Verdict], None] = _nobody
    client_anomalies: str = "unknown"

    @property
    def asked(self) -> tuple[str, ...]:
        """The models that ``valid`` answers."""
        return self.models or (self.claim,)


class Checker(Protocol):
    """Judges a history, from the history alone. Pure: the same history gets the same verdict."""

    name: str

    def check(self, history: Any, context: CheckContext) -> Verdict:
        """Judge a ``harness.history.History``. Whatever is raised makes the verdict unknown."""
        ...


# Workloads.


class WorkloadOption(msgspec.Struct, frozen=True):
    """An option of a workload, given as ``--workload-opt name=value``."""

    name: str
    default: int | str
    help: str
    choices: tuple[str, ...] = ()
    minimum: int = 0


Claim = Literal[
    "strict-serializable", "serializable", "strong-snapshot-isolation", "snapshot-isolation", "linearizable"
]


class Workload(Protocol):
    """What is done to a store, and what it must satisfy: a class of ``workloads/``, one object for each run.

    Attributes:
        name: what ``quorumquake run`` takes.
        summary: half a sentence for ``quorumquake list``.
        OPTIONS: the options of ``--workload-opt``.
        MINIMUMS: completions that are ok, ``main`` and ``final``, below which a valid verdict would mean nothing. The
            final phase begins with the healing of all faults, or is told by the encoder's field ``flags``, bit 1.
            Operations with bit 16 there, which read commits back, count as no work.
        claim: the consistency model that is promised and checked.
        encoder: makes the columns of a history; ``harness.columns.PlainEncoder`` where none are wanted.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    OPTIONS: ClassVar[tuple[WorkloadOption, ...]]
    MINIMUMS: ClassVar[Mapping[str, int]]
    claim: Claim
    encoder: RowEncoder

    def __init__(self, options: Mapping[str, Any], run_id: str) -> None:
        """``options`` has a value for each of ``OPTIONS``; ``run_id`` belongs in every key.

        Raises:
            UsageError: the options do not go together.
        """
        ...

    def keys(self) -> Sequence[bytes]:
        """The keys that faults can be aimed at (the leader of the region of a key, say)."""
        ...

    def split_keys(self) -> Sequence[bytes]:
        """Where the cluster's regions should be split before the run."""
        ...

    async def setup(self, store: Any) -> None:
        """Write the initial state through a ``cluster.api.Store``."""
        ...

    def client(self, store: Any) -> Client:
        """A client of one process over its ``cluster.api.Store``."""
        ...

    def generator(self) -> Generator:
        """The main phase: endless; the run limits it in time and rate."""
        ...

    def final_generator(self) -> Generator | None:
        """After all faults are healed: final reads, say."""
        ...

    def checkers(self) -> Sequence[Checker]:
        """What judges the history."""
        ...


@runtime_checkable
class ReadsBack(Protocol):
    """A workload that can read back what commits have written, for a client that may carry them out by half."""

    def readback_generator(self, history: Any, share: float, anomalies: Sequence[Anomaly]) -> Generator:
        """The very last phase, when all else is done.

        Args:
            history: what was recorded until now, a ``harness.history.History``.
            share: how many of the acknowledged commits to read back, 0 to 1.
            anomalies: what contradicts it. If there are any, every commit is read back, those named here first.
        """
        ...


class Streaming(Protocol):
    """A checker that follows a history while it is recorded, in memory that does not grow with it.

    Attributes:
        violation: the first that was found, or None.
    """

    violation: Anomaly | None

    @property
    def figures(self) -> dict[str, int]:
        """Sizes of what is kept."""
        ...

    def observe(self, op: Op) -> None:
        """Take the next entry of the history.

        Raises:
            ValueError: it is not of the kind that is followed.
        """
        ...

    def finish(self) -> Verdict:
        """The verdict on all that was observed: that of the check afterwards, or "unknown"."""
        ...


@runtime_checkable
class StreamsChecks(Protocol):
    """A workload whose history can be judged while it is recorded (``--fail-fast``)."""

    def streaming(self) -> Streaming:
        """A new checker, to be told of every entry."""
        ...
