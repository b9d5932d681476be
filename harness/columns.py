"""Columns beside the JSON lines: what a workload's encoder makes of each operation, as flat arrays of integers.

Reading JSON takes longer than checking, so the recorder writes both. The columns are a cache and never the truth: a
chunk says which bytes of the history it was made of, and with which encoder; where that does not fit, it is rebuilt.
A chunk is ``magic, size and CRC-32 of the header, header (JSON), payload``. The payload holds one array per column,
in the order of ``column_names``, little-endian, each in the narrowest integers that hold it.
"""

from __future__ import annotations

import struct
import zlib
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from harness.op import FAIL, INFO, INVOKE, OK, Op
from harness.protocols import RowEncoder

CHUNK_OPS: Final = 8192
CHUNK_BYTES: Final = 4 << 20  # of history in one chunk, so that long operations do not pile up in memory
TYPES: Final = (INVOKE, OK, FAIL, INFO)  # the code of a type is its place
INVOKE_CODE, OK_CODE, FAIL_CODE, INFO_CODE = range(4)
TYPE_CODES: Final = {kind: code for code, kind in enumerate(TYPES)}
NEMESIS_CODE: Final = -1  # in the column of processes

_MAGIC: Final = b"QQCOLS1\n"
_PREFIX: Final = struct.Struct("<8sII")
_WIDTHS: Final = ("<i1", "<i2", "<i4", "<i8")
_CORE: Final = ("time", "process", "type", "f", "length", "rows")

Ints = npt.NDArray[Any]


class PlainEncoder:
    """For histories of no known workload: no integers but those that every operation has."""

    name = "plain"
    version = 1
    fields: tuple[str, ...] = ()
    row_fields: tuple[str, ...] = ()

    def encode(self, op: Op) -> tuple[Sequence[int], Sequence[int]]:
        """Return nothing."""
        del op
        return (), ()


class ChunkHeader(msgspec.Struct):
    """What a chunk is made of.

    Attributes:
        encoder: name of the encoder.
        version: its version.
        columns: names of the columns, in order.
        widths: of each column, an index of the integer types of 1, 2, 4 and 8 bytes.
        f_names: the operations' kinds; the column ``f`` counts in this list.
        ops: how many operations.
        rows: how many rows they have in all.
        start: the first byte of the history that is covered.
        end: the first byte behind.
        history_crc: CRC-32 of those bytes.
        payload_crc: CRC-32 of the payload.
    """

    encoder: str
    version: int
    columns: list[str]
    widths: list[int]
    f_names: list[str]
    ops: int
    rows: int
    start: int
    end: int
    history_crc: int
    payload_crc: int


class Chunk(msgspec.Struct):
    """A run of operations in columns.

    Attributes:
        header: what it is made of.
        columns: name to array: ``time``, ``process``, ``type``, ``f``, ``length`` (bytes of the line), ``rows`` (how
            many), ``field.NAME`` and ``row.NAME``. Those of rows have ``header.rows`` entries, others ``header.ops``.
    """

    header: ChunkHeader
    columns: dict[str, Ints]


def column_names(encoder: RowEncoder) -> list[str]:
    """The columns of a chunk, in order."""
    return [
        *_CORE,
        *(f"field.{name}" for name in encoder.fields),
        *(f"row.{name}" for name in encoder.row_fields),
    ]


class ChunkBuilder:
    """Collects operations until there are enough for a chunk."""

    def __init__(self, encoder: RowEncoder, start: int = 0) -> None:
        self._encoder = encoder
        self._width = len(encoder.row_fields)
        self._fields_width = len(encoder.fields)
        self._start = start
        self._clear()

    def _clear(self) -> None:
        self._f_codes: dict[str, int] = {}
        self._core = array("q")  # per operation: time, process, type, f, length, rows
        self._fields = array("q")
        self._rows = array("q")
        self.text = bytearray()  # the lines
        self.ops = 0

    @property
    def is_full(self) -> bool:
        """Whether it is time to ``take`` the chunk."""
        return self.ops >= CHUNK_OPS or len(self.text) >= CHUNK_BYTES

    def encode(self, op: Op) -> tuple[array[int], array[int]]:
        """Return the integers of ``op`` and of its rows.

        Raises:
            ValueError: the value is not of the workload's shape, or an integer is beyond 64 bits.
        """
        fields, rows = self._encoder.encode(op)
        if len(fields) != self._fields_width or (len(rows) % self._width if self._width else rows):
            raise ValueError(f"the encoder {self._encoder.name} gave the wrong number of integers")
        try:
            return array("q", fields), array("q", rows)
        except (OverflowError, TypeError) as error:
            raise refused_number(error) from None

    def add(self, op: Op, line: bytes, encoded: tuple[array[int], array[int]]) -> None:
        """Add an operation, its line in the history and its integers.

        Raises:
            ValueError: the time or the process is beyond 64 bits; then nothing was added.
        """
        fields, rows = encoded
        process = op.process if isinstance(op.process, int) else NEMESIS_CODE
        f_code = self._f_codes.get(op.f, len(self._f_codes))
        count = len(rows) // self._width if self._width else 0
        core_at = len(self._core)
        try:
            self._core.extend((op.time, process, TYPE_CODES[op.type], f_code, len(line), count))
        except (OverflowError, TypeError) as error:
            del self._core[core_at:]
            raise refused_number(error) from None
        self._fields.extend(fields)
        self._rows.extend(rows)
        self._f_codes[op.f] = f_code
        self.text += line
        self.ops += 1

    def take(self) -> tuple[Chunk, bytes]:
        """Return what was collected, and the bytes of history it came from; begin anew."""
        core = np.frombuffer(self._core, np.int64).reshape(self.ops, len(_CORE))
        fields = np.frombuffer(self._fields, np.int64).reshape(self.ops, -1) if self._fields_width else None
        rows = np.frombuffer(self._rows, np.int64).reshape(-1, self._width) if self._width else None
        parts = [part for part in (core, fields, rows) if part is not None]
        arrays = [part[:, i] for part in parts for i in range(part.shape[1])]
        text = bytes(self.text)
        span = (self._start, self._start + len(text))
        chunk = make_chunk(self._encoder, arrays, list(self._f_codes), span, zlib.crc32(text))
        self._start = chunk.header.end
        self._clear()
        return chunk, text


def make_chunk(
    encoder: RowEncoder, arrays: Sequence[Ints], f_names: list[str], span: tuple[int, int], crc: int = 0
) -> Chunk:
    """Put a chunk together.

    Args:
        encoder: whose columns they are.
        arrays: the columns (int64), in the order of ``column_names``.
        f_names: what the column ``f`` counts in.
        span: where their bytes begin in the history, and where they end.
        crc: CRC-32 of these; 0 where the chunk will not be written.
    """
    names = column_names(encoder)
    columns = {name: _narrow(column) for name, column in zip(names, arrays, strict=True)}
    header = ChunkHeader(
        encoder=encoder.name,
        version=encoder.version,
        columns=names,
        widths=[_WIDTHS.index(column.dtype.newbyteorder("<").str.replace("|", "<")) for column in columns.values()],
        f_names=f_names,
        ops=len(arrays[0]),
        rows=len(columns[names[-1]]) if encoder.row_fields else 0,
        start=span[0],
        end=span[1],
        history_crc=crc,
        payload_crc=0,
    )
    return Chunk(header, columns)


def refused_number(error: OverflowError | TypeError) -> ValueError:
    """What to say of a number that no column holds."""
    return ValueError("a number is beyond 64 bits" if isinstance(error, OverflowError) else str(error))


def _narrow(column: Ints) -> Ints:
    low, high = (int(column.min()), int(column.max())) if len(column) else (0, 0)
    for width in _WIDTHS:
        limits = np.iinfo(width)
        if limits.min <= low and high <= limits.max:
            return column.astype(width)
    raise AssertionError("an int64 fits into 64 bits")


def pack(chunk: Chunk) -> bytes:
    """The chunk as it stands in the file."""
    payload = b"".join(column.tobytes() for column in chunk.columns.values())
    header = msgspec.json.encode(msgspec.structs.replace(chunk.header, payload_crc=zlib.crc32(payload)))
    return _PREFIX.pack(_MAGIC, len(header), zlib.crc32(header)) + header + payload


def read_chunks(path: Path, encoder: RowEncoder) -> Iterator[Chunk]:
    """Read chunk after chunk, until the end of the file or the first that is torn, damaged or of another encoder.

    Raises:
        OSError: the file cannot be read.
    """
    names = column_names(encoder)
    with path.open("rb") as file:
        left = path.stat().st_size
        while left >= _PREFIX.size:
            magic, size, crc = _PREFIX.unpack(file.read(_PREFIX.size))
            left -= _PREFIX.size + size
            if magic != _MAGIC or left < 0:
                return
            raw = file.read(size)
            header = _header(raw) if zlib.crc32(raw) == crc else None
            if header is None or header.columns != names or len(header.widths) != len(names):
                return
            if (header.encoder, header.version) != (encoder.name, encoder.version):
                return
            length = _payload_length(header)
            left -= length
            if left < 0:
                return
            chunk = _unpack(header, file.read(length))
            if chunk is None:
                return
            yield chunk


def _header(raw: bytes) -> ChunkHeader | None:
    try:
        header = msgspec.json.decode(raw, type=ChunkHeader)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    sound = header.ops > 0 and header.rows >= 0 and all(0 <= width < len(_WIDTHS) for width in header.widths)
    return header if sound else None


def _count(header: ChunkHeader, name: str) -> int:
    return header.rows if name.startswith("row.") else header.ops


def _payload_length(header: ChunkHeader) -> int:
    columns = zip(header.columns, header.widths, strict=True)
    return sum(_count(header, name) << width for name, width in columns)


def _unpack(header: ChunkHeader, payload: bytes) -> Chunk | None:
    if zlib.crc32(payload) != header.payload_crc:
        return None
    columns: dict[str, Ints] = {}
    at = 0
    for name, width in zip(header.columns, header.widths, strict=True):
        count = _count(header, name)
        columns[name] = np.frombuffer(payload, _WIDTHS[width], count, at)
        at += count << width
    return Chunk(header, columns) if _is_sound(header, columns) else None


def _is_sound(header: ChunkHeader, columns: dict[str, Ints]) -> bool:
    """Whether the arrays fit each other, so that nobody who uses them can fall over them."""
    types, codes, lengths, rows = (columns[name] for name in ("type", "f", "length", "rows"))
    return (
        bool(((types >= 0) & (types < len(TYPES))).all())
        and bool(((codes >= 0) & (codes < len(header.f_names))).all())
        and bool((lengths > 0).all() and (rows >= 0).all())
        and int(lengths.sum(dtype=np.int64)) == header.end - header.start
        and int(rows.sum(dtype=np.int64)) == header.rows
    )
