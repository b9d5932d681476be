"""Reads a history: from the columns as far as they belong to it, and strictly from the JSON lines after that.

Anything may be handed in as a history, so everything is doubted: each problem is one sentence with the number of the
line. Only what a killed harness leaves behind is forgiven, a torn last line.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from harness.columns import Chunk, ChunkBuilder, ChunkHeader, read_chunks
from harness.exit_codes import UsageError
from harness.history_source import Source
from harness.op import INFO, NEMESIS, Op
from harness.protocols import RowEncoder

_MAX: Final = 2**63 - 1


def read(source: Source, columns: Path | None, encoder: RowEncoder) -> list[Chunk]:
    """Return all operations in chunks; what was odd goes to ``source.warnings``.

    Raises:
        UsageError: it is not a history.
    """
    chunks = [] if columns is None else _chunks_that_fit(source, columns, encoder)
    start = chunks[-1].header.end if chunks else 0
    time = int(chunks[-1].columns["time"][-1]) if chunks else 0
    chunks.extend(_Lines(source, encoder, _ops(chunks), time).chunks(start))
    if not chunks:
        raise UsageError(f"{source.name} has no operations")
    return chunks


def _chunks_that_fit(source: Source, columns: Path, encoder: RowEncoder) -> list[Chunk]:
    """The chunks up to the first that was not made of this history with this encoder."""
    chunks: list[Chunk] = []
    start = 0
    try:
        for chunk in read_chunks(columns, encoder):
            header = chunk.header
            if header.start != start or header.end > source.size or _crc(source, header) != header.history_crc:
                source.warnings.append(
                    f"{columns} does not belong to this history: it is not used from line {_ops(chunks) + 1} on"
                )
                return chunks
            chunks.append(chunk)
            start = header.end
    except OSError:
        return chunks
    return chunks


def _ops(chunks: list[Chunk]) -> int:
    return sum(chunk.header.ops for chunk in chunks)


def _crc(source: Source, header: ChunkHeader) -> int:
    crc = 0
    for block in source.blocks(header.start, header.end):
        crc = zlib.crc32(block, crc)
    return crc


class _Lines:
    """Reads and doubts the JSON lines."""

    def __init__(self, source: Source, encoder: RowEncoder, first: int, time: int) -> None:
        self._source = source
        self._encoder = encoder
        self._index = first
        self._time = time
        self._decode = msgspec.json.Decoder(Op).decode

    def chunks(self, start: int) -> Iterator[Chunk]:
        builder = ChunkBuilder(self._encoder, start)
        for line in self._source.lines(start):
            op = self._op(line)
            if op is None:
                self._source.warnings.append(f"the last line of {self._source.name} is torn and was left out")
                break
            try:
                builder.add(op, line, builder.encode(op))
            except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
                raise self._error(str(error) or type(error).__name__) from None
            self._index += 1
            if builder.is_full:
                yield builder.take()[0]
        if builder.ops:
            yield builder.take()[0]

    def _op(self, line: bytes) -> Op | None:
        """The operation of a line, None if the line is torn."""
        try:
            op = self._decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            # A killed recorder leaves a beginning of an operation, and without the end of its line.
            if not line.endswith(b"\n") and line.startswith(b"{"):
                return None
            raise self._error(_in_words(error)) from None
        if op.index != self._index:
            raise self._error(f"the index is {op.index} where {self._index} should be")
        if not 0 <= op.time <= _MAX:
            raise self._error(f"the time {op.time} is not within 0 and 2^63")
        if op.time < self._time:
            raise self._error(f"the time goes back, from {self._time} to {op.time}")
        self._time = op.time
        if op.process == NEMESIS:
            if op.type != INFO:
                raise self._error(f"an operation of the nemesis is always info, not {op.type}")
        elif not isinstance(op.process, int) or not 0 <= op.process <= _MAX:
            raise self._error("the process is neither a number from 0 nor the nemesis")
        return op

    def _error(self, reason: str) -> UsageError:
        return UsageError(f"{self._source.name} is not a history: line {self._index + 1}: {_short(reason)}")


def _in_words(error: Exception) -> str:
    if isinstance(error, msgspec.ValidationError):
        return f"not an operation: {error}"
    if isinstance(error, RecursionError):
        return "not an operation: it is nested too deeply"
    return f"not JSON: {error}"


def _short(text: str) -> str:
    """What a terminal may be shown of what a stranger wrote."""
    text = "".join(letter if letter.isprintable() else "?" for letter in text[:201])
    return text if len(text) <= 200 else text[:200] + "…"
