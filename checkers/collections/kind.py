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
    recognises,
)
from checkers.collections.counter import Counter
from checkers.collections.queue import Queue
from checkers.collections.set_elements import SetElements
from checkers.collections.timestamps import Timestamps
from checkers.kind import Kind

SET: Final = Kind(
    name="set",
    summary="elements are added, reads return all of them",
    recognises=recognises(SetEncoder, ("add",)),
    encoder=SetEncoder,
    checkers=lambda: [SetElements()],
)
COUNTER: Final = Kind(
    name="counter",
    summary="amounts are added, reads return the sum",
    recognises=recognises(CounterEncoder, ("add",)),
    encoder=CounterEncoder,
    checkers=lambda: [Counter()],
)
QUEUE: Final = Kind(
    name="queue",
    summary="elements are enqueued, dequeued and drained",
    recognises=recognises(QueueEncoder, ("enqueue", "dequeue", "drain")),
    encoder=QueueEncoder,
    checkers=lambda: [Queue()],
)
TIMESTAMPS: Final = Kind(
    name="timestamps",
    summary="timestamps of an oracle, or unique ids",
    recognises=recognises(TimestampEncoder, ORDERED + UNIQUE),
    encoder=TimestampEncoder,
    checkers=lambda: [Timestamps()],
)
