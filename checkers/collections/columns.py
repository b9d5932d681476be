"""The operations of sets, counters, queues and timestamp oracles as integers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from harness.names import NIL, Names
from harness.op import INVOKE, OK, Op

_INT64 = 2**63


class SetEncoder:
    """The ``RowEncoder`` of sets: ``add`` of an element, and ``read`` of all, each of them a row of the completion."""

    name = "set"
    version = 1
    fields: tuple[str, ...] = ("element",)
    row_fields: tuple[str, ...] = ("element",)

    def __init__(self) -> None:
        self._code = Names().code

    def encode(self, op: Op) -> tuple[Sequence[int], Sequence[int]]:
        """Return the element of an add, and those that a read found.

        Raises:
            ValueError: it is no operation of a set.
        """
        if not op.is_client:
            return (NIL,), ()
        if op.f == "add":
            return (self._code(op.value) if op.type == INVOKE else NIL,), ()
        if op.f != "read":
            raise ValueError(f"a set knows add and read, not {op.f!r}")
        return (NIL,), _elements(self._code, op.value) if op.type == OK else ()


class CounterEncoder:
    """The ``RowEncoder`` of counters: ``add`` of an amount, and ``read``."""

    name = "counter"
    version = 1
    fields: tuple[str, ...] = ("amount",)
    row_fields: tuple[str, ...] = ()

    def encode(self, op: Op) -> tuple[Sequence[int], Sequence[int]]:
        """Return the amount that an add was to add, or that a read saw; else 0.

        Raises:
            ValueError: it is no operation of a counter.
        """
        if not op.is_client:
            return (0,), ()
        if op.f not in {"add", "read"}:
            raise ValueError(f"a counter knows add and read, not {op.f!r}")
        if op.type != (INVOKE if op.f == "add" else OK):
            return (0,), ()
        return (_integer(op.value),), ()


class QueueEncoder:
    """The ``RowEncoder`` of queues: ``enqueue``, ``dequeue``, and ``drain``, which dequeues all that is left.

    What was dequeued are the rows of the completion.
    """

    name = "queue"
    version = 1
    fields: tuple[str, ...] = ("element",)
    row_fields: tuple[str, ...] = ("element",)

    def __init__(self) -> None:
        self._code = Names().code

    def encode(self, op: Op) -> tuple[Sequence[int], Sequence[int]]:
        """Return the element of an enqueue, and those that were dequeued.

        Raises:
            ValueError: it is no operation of a queue.
        """
        if not op.is_client:
            return (NIL,), ()
        if op.f == "enqueue":
            return (self._code(op.value) if op.type == INVOKE else NIL,), ()
        if op.f not in {"dequeue", "drain"}:
            raise ValueError(f"a queue knows enqueue, dequeue and drain, not {op.f!r}")
        if op.type != OK:
            return (NIL,), ()
        return (NIL,), _elements(self._code, op.value) if op.f == "drain" else (self._code(op.value),)


ORDERED = ("timestamp", "ts")
UNIQUE = ("generate",)


class TimestampEncoder:
    """The ``RowEncoder`` of timestamps: ``timestamp`` or ``ts``, and ``generate`` of ids that need be unique only.

    A timestamp is an integer, or a physical and a logical part. An id may also be a name.
    """

    name = "timestamps"
    version = 1
    fields: tuple[str, ...] = ("physical", "logical")
    row_fields: tuple[str, ...] = ()

    def __init__(self) -> None:
        self._code = Names().code

    def encode(self, op: Op) -> tuple[Sequence[int], Sequence[int]]:
        """Return both parts of the timestamp that was given; else zeros.

        Raises:
            ValueError: it is no timestamp.
        """
        if not op.is_client:
            return (0, 0), ()
        if op.f not in ORDERED + UNIQUE:
            raise ValueError(f"timestamps are asked for by timestamp, ts or generate, not {op.f!r}")
        if op.type != OK:
            return (0, 0), ()
        if isinstance(op.value, list) and len(op.value) == 2:
            return (_integer(op.value[0]), _integer(op.value[1])), ()
        return (_integer(op.value) if op.f in ORDERED else self._code(op.value), 0), ()


def _elements(code: Callable[[Any], int], value: Any) -> list[int]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise ValueError(f"{value!r:.80} is no list of elements")  # noqa: TRY004 (encoders raise nothing else)
    return [code(each) for each in value]


def _integer(value: Any) -> int:
    if type(value) is not int:
        raise ValueError(f"{value!r:.80} is not an integer")
    if not -_INT64 <= value < _INT64:
        raise ValueError("a number is beyond 64 bits")
    return value
