"""A history: what checkers and reports read. Columns over all operations, and any operation in full when asked for."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
import numpy.typing as npt

from harness import history_reader
from harness.columns import NEMESIS_CODE, TYPES, Chunk, PlainEncoder
from harness.formats.form import Format, refused
from harness.formats.json_lines import JsonLines
from harness.formats.tell import format_of
from harness.history_source import Source
from harness.op import Op
from harness.pairing import Unpaired, pair_up, pair_up_foreign
from harness.protocols import RowEncoder
from harness.run_folder import COLUMNS, HISTORY, history_file

if TYPE_CHECKING:
    import pandas as pd

Ints = npt.NDArray[np.int64]

_AT_ONCE: Final = 256  # operations that are read together


class History:
    """The operations of a run, in the order in which they were recorded.

    Attributes:
        n: how many there are; all arrays but those of rows have this length.
        time: nanoseconds since the start (int64), never falling.
        process: int64, ``NEMESIS_CODE`` for the nemesis.
        type: int8: 0 invoke, 1 ok, 2 fail, 3 info.
        f: int32, counts in ``f_names``.
        f_names: what is done, in the order of first appearance.
        pair: index of the other half (int64), -1 where the operation is open.
        fields: the encoder's integers of each operation (int64), by name.
        rows: the encoder's integers of each row (int64), by name.
        row_start: where the rows of an operation begin (int64, n + 1 entries): those of ``i`` are
            ``row_start[i]:row_start[i + 1]``.
        warnings: what was odd about the file, in sentences.
    """

    def __init__(self, source: Source, form: Format, chunks: list[Chunk], encoder: RowEncoder) -> None:
        """Join the chunks, which are used up.

        Raises:
            UsageError: invocations and completions do not fit.
        """
        self._source = source
        self._form = form
        self._start = chunks[0].header.start
        self.n = sum(chunk.header.ops for chunk in chunks)
        self.f_names, self.f = _join_f(chunks)
        self.type: npt.NDArray[np.int8] = np.concatenate([chunk.columns.pop("type") for chunk in chunks])
        self.time = _join(chunks, "time")
        if form.foreign:
            np.maximum.accumulate(self.time, out=self.time)
        self.process = _join(chunks, "process")
        self._span = _ends(_join(chunks, "length"))
        self.row_start = _ends(_join(chunks, "rows"))
        self.fields = {name: _join(chunks, f"field.{name}") for name in encoder.fields}
        self.rows = {name: _join(chunks, f"row.{name}") for name in encoder.row_fields}
        try:
            self.pair = (pair_up_foreign if form.foreign else pair_up)(self.process, self.type, self.f)
        except Unpaired as error:
            at = int(self._start + self._span[error.index])
            at += form.lead(self._text(error.index))
            raise refused(source, at, f"{self.f_names[self.f[error.index]]!a} {error.reason}") from None
        self.warnings = list(source.warnings)
        is_open = self.pair < 0
        if form.foreign:
            is_open &= self.process != NEMESIS_CODE  # whose entries need not pair
        still_open = int(np.count_nonzero(is_open))
        if still_open:
            was, whose = ("operation was", "its") if still_open == 1 else ("operations were", "their")
            self.warnings.append(f"{still_open} {was} still open at the end: nobody knows {whose} outcome")

    @staticmethod
    def load(path: Path | Source, encoder: RowEncoder | None = None) -> History:
        """Read a run folder or a file of any format; with the columns beside it where they fit.

        Args:
            path: where it is, or the file opened.
            encoder: makes the columns.

        Raises:
            UsageError: it is not a history; one sentence, with the line.
        """
        encoder = encoder or PlainEncoder()
        columns = None
        if isinstance(path, Source):
            source = path
        else:
            file = history_file(path)
            source = Source.open(file)
            columns = file.with_name(COLUMNS) if file.name == HISTORY else None
        form = format_of(source)
        use_columns = columns is not None and columns.is_file() and not form.foreign
        chunks = history_reader.read(source, form, encoder, columns if use_columns else None)
        return History(source, form, chunks, encoder)

    @staticmethod
    def from_ops(ops: Iterable[Op], encoder: RowEncoder | None = None) -> History:
        """Make a history of operations, numbered anew, through the same lines and the same doubts as a file.

        Raises:
            UsageError: they are not a history.
        """
        encoder = encoder or PlainEncoder()
        lines = [msgspec.json.encode(op.replace(index=index)) + b"\n" for index, op in enumerate(ops)]
        source = Source.of(b"".join(lines), "these operations")
        form = JsonLines()
        return History(source, form, history_reader.read(source, form, encoder), encoder)

    def __len__(self) -> int:
        return self.n

    def op(self, index: int) -> Op:
        """One operation in full, read from the file."""
        if not 0 <= index < self.n:
            raise IndexError(f"no operation {index} in a history of {self.n}")
        return self._form.op(self._text(index), index)

    def number(self, position: int) -> int:
        """The index that the operation at ``position`` has in its file: a foreign one may not count densely from 0."""
        if not self._form.foreign or not 0 <= position < self.n:
            return position
        given = (self.op(position).ext or {}).get("index")
        return given if type(given) is int else position

    def _text(self, index: int) -> bytes:
        """The bytes of an operation."""
        return self._source.read(*(self._start + self._span[index : index + 2]).tolist())

    def ops(self) -> Iterator[Op]:
        """All operations in full, one after the other."""
        for first in range(0, self.n, _AT_ONCE):
            span = self._span[first : first + _AT_ONCE + 1].tolist()
            text = self._source.read(self._start + span[0], self._start + span[-1])
            for index, (start, end) in enumerate(itertools.pairwise(span), start=first):
                yield self._form.op(text[start - span[0] : end - span[0]], index)

    def nemesis_ops(self) -> list[Op]:
        """The operations of the nemesis in full, invocations and completions."""
        return [self.op(int(index)) for index in np.flatnonzero(self.process == NEMESIS_CODE)]

    def sha256(self) -> str:
        """SHA-256 of the lines, in hex: the history hash, equal for equal runs."""
        return self._source.sha256()

    def to_frame(self) -> pd.DataFrame:
        """Index, time, process, type, f, pair and the encoder's fields as a table, one line an operation."""
        import pandas as pd  # noqa: PLC0415 (half a second that only this needs)

        return pd.DataFrame(
            {
                "time": self.time,
                "process": self.process,
                "type": pd.Categorical.from_codes(self.type.tolist(), list(TYPES)),
                "f": pd.Categorical.from_codes(self.f.tolist(), self.f_names),
                "pair": self.pair,
                **self.fields,
            },
            index=pd.RangeIndex(self.n, name="index"),
        )


def _join(chunks: list[Chunk], name: str) -> Ints:
    return np.concatenate([chunk.columns.pop(name) for chunk in chunks], dtype=np.int64)


def _join_f(chunks: list[Chunk]) -> tuple[list[str], npt.NDArray[np.int32]]:
    """Every chunk has its own list of names; make one of them."""
    codes: dict[str, int] = {}
    parts: list[npt.NDArray[np.int32]] = []
    for chunk in chunks:
        own = np.array([codes.setdefault(name, len(codes)) for name in chunk.header.f_names], np.int32)
        parts.append(own[chunk.columns.pop("f")])
    return list(codes), np.concatenate(parts)


def _ends(lengths: Ints) -> Ints:
    """Running totals, from 0."""
    totals = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=totals[1:])
    return totals
