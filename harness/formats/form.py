"""What every file format is to those who read histories: blocks of operations, and where in the file each of them lies.

The spans of the operations follow each other without a gap: what stands before an operation (a comment, blank lines)
belongs to its span. So a length for each is all that must be kept to find it again.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from harness.columns import NEMESIS_CODE, TYPE_CODES, TYPES
from harness.exit_codes import UsageError
from harness.history_source import Source
from harness.op import INFO, NEMESIS, Op

Ints = npt.NDArray[Any]

_TYPE_OF = TYPE_CODES.__getitem__


class Block(NamedTuple):
    """Operations that follow each other, and their spans.

    Attributes:
        ops: the operations.
        time: of each, nanoseconds (int64).
        process: of each, ``NEMESIS_CODE`` for the nemesis (int64).
        type: of each, its code (int64).
        start: the byte of the file where the first one's span begins.
        lengths: bytes of each span (int64).
    """

    ops: Sequence[Op]
    time: Ints
    process: Ints
    type: Ints
    start: int
    lengths: Ints


class Format(Protocol):
    """A file format.

    Attributes:
        name: for people.
        foreign: it is not this harness's own: times may go back (the order of the file counts), nemeses may do as they
            like.
    """

    name: str
    foreign: bool

    def blocks(self, source: Source, start: int = 0, first: int = 0, time: int = 0) -> Iterator[Block]:
        """Read operations, from the byte ``start`` on, where operation ``first`` comes, not before ``time``.

        Raises:
            Malformed: it is not a history; what comes before was yielded.
        """
        ...

    def op(self, text: bytes, index: int) -> Op:
        """The operation whose span is ``text``, which was read before."""
        ...

    def lead(self, text: bytes) -> int:
        """How many bytes of a span come before the operation itself."""
        ...


class Malformed(Exception):
    """The file is not a history."""

    def __init__(self, at: int, reason: str) -> None:
        super().__init__(reason)
        self.at = at  # the byte where what is wrong begins
        self.reason = reason


def doubted(source: Source, blocks: Iterator[Block]) -> Iterator[Block]:
    """The same blocks.

    Raises:
        UsageError: it is not a history; one sentence, with the line.
    """
    try:
        yield from blocks
    except Malformed as error:
        raise refused(source, error.at, error.reason) from None


def block_of(ops: Sequence[Op], start: int, lengths: Ints) -> Block:
    """Put a block together.

    Raises:
        OverflowError: a time or a process is beyond 64 bits.
        TypeError: a process is a name, and not the nemesis.
    """
    process = [op.process for op in ops]
    if NEMESIS in process:
        process = [NEMESIS_CODE if one == NEMESIS else one for one in process]
    return Block(
        ops,
        ints([op.time for op in ops]),
        ints(process),
        ints([_TYPE_OF(op.type) for op in ops]),
        start,
        lengths,
    )


def is_in_order(block: Block, first: int) -> bool:
    """Whether nothing in it needs a closer look: it counts from ``first`` on, and times and processes can be."""
    nemesis = np.flatnonzero(block.process == NEMESIS_CODE).tolist()
    return (
        [op.index for op in block.ops] == list(range(first, first + len(block.ops)))
        and not (block.time < 0).any()
        and not (block.process < NEMESIS_CODE).any()
        and all(block.ops[at].process == NEMESIS and block.ops[at].type == INFO for at in nemesis)
    )


def ints(values: Any) -> Ints:
    """A column of integers (int64).

    Raises:
        OverflowError: one of them is beyond 64 bits.
        TypeError: they are no integers.
    """
    if isinstance(values, np.ndarray):
        if values.dtype.kind not in "iub":
            raise TypeError("a column is not one of integers")
        return values.astype(np.int64, copy=False)
    if isinstance(values, (bytes, bytearray)):
        raise TypeError("a column is not one of integers")
    # Numpy itself would make integers of fractions and of strings.
    return np.frombuffer(values if isinstance(values, array) else array("q", values), np.int64)


def refused(source: Source, at: int, reason: str, kind: str = "") -> UsageError:
    """The error for a file that is not a history (of that kind), because of what begins at the byte ``at``."""
    what = f"{kind} history".lstrip()
    return UsageError(f"{source.name} is not a {what}: line {source.line_of(at)}: {_short(reason)}")


_MISSING: Final = re.compile(r"Object missing required field `(\w+)`")
_OTHER: Final = re.compile(r"Expected `([^`]+)`, got `([^`]+)`(?: - at `\$\.?([^`]*)`)?")
_CHOICE: Final = re.compile(r"Invalid enum value (.+) - at `\$\.?([^`]*)`")
_JSON_TYPES: Final = {
    "int": "an integer",
    "float": "a fraction",
    "str": "a string",
    "bool": "a boolean",
    "array": "a list",
    "object": "a map",
    "null": "nil",
}


def no_operation(error: msgspec.ValidationError) -> str:
    """Why a value is not an operation, in words: ``not an operation: its time is a string, not an integer``."""
    text = str(error)
    if match := _MISSING.fullmatch(text):
        text = f"it has no {match[1]}"
    elif match := _CHOICE.fullmatch(text):
        text = f"its {match[2]} is {match[1]}, none of {', '.join(TYPES)}"
    elif match := _OTHER.fullmatch(text):
        expected, got = ([_JSON_TYPES.get(name, name) for name in names.split(" | ")] for names in (match[1], match[2]))
        text = f"{f'its {match[3]}' if match[3] else 'it'} is {' or '.join(got)}, not {' or '.join(expected)}"
    return f"not an operation: {text}"


def _short(text: str) -> str:
    """What a terminal may be shown of what a stranger wrote."""
    text = "".join(letter if letter.isprintable() else "?" for letter in text[:201])
    return text if len(text) <= 200 else text[:200] + "…"
