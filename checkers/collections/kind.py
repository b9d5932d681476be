"""The kinds of histories that are about sets, counters, queues and timestamps."""

from __future__ import annotations

from typing import Final

from checkers.collections.columns import (
    ORDERED,
    UNIQUE,
    CounterEncoder,
    QueueEncoder,
    SetEncoder,
    TimestampEncoder,
)
from checkers.collections.counter import Counter
from checkers.collections.queue import Queue
from checkers.collections.set_elements import SetElements
from checkers.collections.timestamps import Timestamps
from checkers.kind import Kind, recognised_by

SET: Final = Kind(
    name="set",
    summary="elements are added, reads return all of them",
    recognises=recognised_by(SetEncoder, ("add",)),
    encoder=SetEncoder,
    checkers=lambda: [SetElements()],
)
COUNTER: Final = Kind(
    name="counter",
    summary="amounts are added, reads return the sum",
    recognises=recognised_by(CounterEncoder, ("add",)),
    encoder=CounterEncoder,
    checkers=lambda: [Counter()],
)
QUEUE: Final = Kind(
    name="queue",
    summary="elements are enqueued, dequeued and drained",
    recognises=recognised_by(QueueEncoder, ("enqueue", "dequeue", "drain")),
    encoder=QueueEncoder,
    checkers=lambda: [Queue()],
)
TIMESTAMPS: Final = Kind(
    name="timestamps",
    summary="timestamps of an oracle, or unique ids",
    recognises=recognised_by(TimestampEncoder, ORDERED + UNIQUE),
    encoder=TimestampEncoder,
    checkers=lambda: [Timestamps()],
)
