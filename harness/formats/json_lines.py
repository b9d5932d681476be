"""The history of this harness, a JSON object a line, read as strictly as it was written.

Whole blocks are decoded at once. A block in which anything is not as it should be is read again line by line, which
finds out what it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec
import numpy as np

from harness.formats.form import Block, Malformed, block_of, ints, is_in_order, no_operation
from harness.history_source import Source
from harness.op import INFO, NEMESIS, Op

_MAX: Final = 2**63 - 1
_DECODER: Final = msgspec.json.Decoder(Op)


class JsonLines:
    """``index``, ``time`` and so on, as ``Op`` says; indices from 0 without gaps, times that never fall."""

    name = "JSON lines"
    foreign = False

    def blocks(self, source: Source, start: int = 0, first: int = 0, time: int = 0) -> Iterator[Block]:
        """Read operations, see ``Format``; a torn last line becomes a warning."""
        for text in source.line_blocks(start):
            block = _at_once(text, start, first, time)
            if block is None:
                reader = _LineByLine(start, first, time)
                block = reader.block(text)
                if len(block.ops):
                    yield block
                if reader.error is not None:
                    raise reader.error
                if reader.torn:
                    source.warn_of_torn_line()
                    return
            else:
                yield block
            start += len(text)
            first += len(block.ops)
            time = int(block.time[-1])

    def op(self, text: bytes, index: int) -> Op:
        """The operation of a line that was read before."""
        del index
        return _DECODER.decode(text)

    def lead(self, text: bytes) -> int:
        """Nothing comes before it."""
        del text
        return 0


def _at_once(text: bytes, start: int, first: int, time: int) -> Block | None:
    """The block of these lines, None if they need a closer look."""
    ends = np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n"))
    # Objects cannot hold such a line break, so every line begins and ends between two objects; as many objects as
    # lines means one on each.
    if not (text.startswith(b"{") and text.endswith(b"}\n") and text.count(b"}\n{") == len(ends) - 1):
        return None
    try:
        ops = _DECODER.decode_lines(text)
        if len(ops) != len(ends):
            return None
        block = block_of(ops, start, np.diff(ends, prepend=-1))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError, TypeError):
        return None
    in_time = block.time[0] >= time and not (np.diff(block.time) < 0).any()
    return block if in_time and is_in_order(block, first) else None


class _LineByLine:
    """Reads lines one by one, until one that is torn or wrong."""

    def __init__(self, start: int, first: int, time: int) -> None:
        self._start = start
        self._index = first
        self._time = time
        self.error: Malformed | None = None
        self.torn = False

    def block(self, text: bytes) -> Block:
        ops: list[Op] = []
        lengths: list[int] = []
        at = self._start
        for line in _lines(text):
            try:
                op = self._op(line)
            except ValueError as error:
                self.error = Malformed(at, str(error))
                break
            if op is None:
                self.torn = True
                break
            ops.append(op)
            lengths.append(len(line))
            at += len(line)
        return block_of(ops, self._start, ints(lengths))

    def _op(self, line: bytes) -> Op | None:
        """The operation of a line, None if the line is torn."""
        try:
            op = _DECODER.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            # A killed recorder leaves a beginning of an operation, and without the end of its line.
            if not line.endswith(b"\n") and line.startswith(b"{"):
                return None
            raise ValueError(_in_words(error)) from None
        if op.index != self._index:
            raise ValueError(f"the index is {op.index} where {self._index} should be")
        if not 0 <= op.time <= _MAX:
            raise ValueError(f"the time {op.time} is not within 0 and 2^63")
        if op.time < self._time:
            raise ValueError(f"the time goes back, from {self._time} to {op.time}")
        if op.process == NEMESIS:
            if op.type != INFO:
                raise ValueError(f"an operation of the nemesis is always info, not {op.type}")
        elif not isinstance(op.process, int) or not 0 <= op.process <= _MAX:
            raise ValueError("the process is neither a number from 0 nor the nemesis")
        self._index += 1
        self._time = op.time
        return op


def _lines(text: bytes) -> list[bytes]:
    """With their ends; ``splitlines`` would also end them elsewhere."""
    parts = text.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


def _in_words(error: Exception) -> str:
    if isinstance(error, msgspec.ValidationError):
        return no_operation(error)
    if isinstance(error, RecursionError):
        return "not an operation: it is nested too deeply"
    return f"not JSON: {error}"
