"""Reads a history: from the columns as far as they belong to it, and strictly from the file itself after that.

Anything may be handed in as a history, so everything is doubted: each problem is one sentence with the number of the
line. Only what a killed harness leaves behind is forgiven, a torn last line.
"""

from __future__ import annotations

import gc
import itertools
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.columns import Chunk, ChunkHeader, read_chunks
from harness.exit_codes import UsageError
from harness.formats.bulk import Refused, chunk_of
from harness.formats.form import Block, Format, doubted, refused
from harness.formats.tell import format_of
from harness.history_source import Source
from harness.op import Op
from harness.protocols import RowEncoder


def read(source: Source, form: Format, encoder: RowEncoder, columns: Path | None = None) -> list[Chunk]:
    """Return all operations in chunks; what was odd goes to ``source.warnings``.

    Args:
        source: the file.
        form: its format.
        encoder: makes the columns.
        columns: those made before, if there are any.

    Raises:
        UsageError: it is not a history.
    """
    chunks = [] if columns is None else _chunks_that_fit(source, columns, encoder)
    if chunks and chunks[-1].header.end < source.size and getattr(encoder, "cumulative", False):
        chunks = []  # this encoder does not know what the one before it had seen
    start = chunks[-1].header.end if chunks else 0
    time = int(chunks[-1].columns["time"][-1]) if chunks else 0
    blocks = form.blocks(source, start, _ops(chunks), time)
    with _no_collection():
        chunks.extend(_chunks(source, form, encoder, blocks))
    if not chunks:
        raise UsageError(f"{source.name} has no operations")
    return chunks


def first_ops(source: Source, count: int) -> list[Op]:
    """The first operations, at most ``count``: what the kind of a history is told from, before it is read.

    Raises:
        UsageError: already these are not a history, or there are none.
    """
    warnings = len(source.warnings)
    blocks = doubted(source, format_of(source).blocks(source))
    found = list(itertools.islice((op for block in blocks for op in block.ops), count))
    if not found:
        raise UsageError(f"{source.name} has no operations")
    del source.warnings[warnings:]  # who reads it all will say it again
    return found


@contextmanager
def _no_collection() -> Iterator[None]:
    """Operations hold no cycles, and looking for some takes as long as reading them."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _chunks(source: Source, form: Format, encoder: RowEncoder, blocks: Iterator[Block]) -> Iterator[Chunk]:
    for block in doubted(source, blocks):
        try:
            yield chunk_of(block, encoder)
        except Refused as error:
            at = block.start + int(block.lengths[: error.position].sum())
            length = int(block.lengths[error.position])
            at += form.lead(source.read(at, at + length))
            raise refused(source, at, error.reason, encoder.name) from None


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
