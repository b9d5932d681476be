"""A history: what checkers and reports read. Columns over all operations, and any operation in full when asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import numpy.typing as npt

from harness import history_reader
from harness.columns import NEMESIS_CODE, TYPES, Chunk, PlainEncoder
from harness.exit_codes import UsageError
from harness.history_source import Source
from harness.op import Op
from harness.pairing import Unpaired, pair_up
from harness.protocols import RowEncoder
from harness.run_folder import COLUMNS, HISTORY

if TYPE_CHECKING:
    import pandas as pd

Ints = npt.NDArray[np.int64]


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

    def __init__(self, source: Source, chunks: list[Chunk], encoder: RowEncoder) -> None:
        """Join the chunks, which are used up.

        Raises:
            UsageError: invocations and completions do not fit.
        """
        self._source = source
        self._decode = msgspec.json.Decoder(Op).decode
        self.n = sum(chunk.header.ops for chunk in chunks)
        self.f_names, self.f = _join_f(chunks)
        self.type: npt.NDArray[np.int8] = np.concatenate([chunk.columns.pop("type") for chunk in chunks])
        self.time = _join(chunks, "time")
        self.process = _join(chunks, "process")
        self._line_start = _ends(_join(chunks, "length"))
        self.row_start = _ends(_join(chunks, "rows"))
        self.fields = {name: _join(chunks, f"field.{name}") for name in encoder.fields}
        self.rows = {name: _join(chunks, f"row.{name}") for name in encoder.row_fields}
        try:
            self.pair = pair_up(self.process, self.type, self.f)
        except Unpaired as error:
            what = f"line {error.index + 1}: {self.f_names[self.f[error.index]]!a} {error.reason}"
            raise UsageError(f"{source.name} is not a history: {what}") from None
        self.warnings = list(source.warnings)
        still_open = int(np.count_nonzero(self.pair < 0))
        if still_open:
            was = "operation was" if still_open == 1 else "operations were"
            self.warnings.append(f"{still_open} {was} still open at the end: nobody knows their outcome")

    @staticmethod
    def load(path: Path, encoder: RowEncoder | None = None) -> History:
        """Read a run folder, a ``.jsonl`` file, or one compressed by gzip; with the columns beside it where they fit.

        Raises:
            UsageError: it is not a history; one sentence, with the line.
        """
        encoder = encoder or PlainEncoder()
        file = path / HISTORY if path.is_dir() and (path / HISTORY).exists() else path
        source = Source.open(file)
        columns = file.with_name(COLUMNS)
        has_columns = file.name == HISTORY and columns.is_file()
        return History(source, history_reader.read(source, columns if has_columns else None, encoder), encoder)

    @staticmethod
    def from_ops(ops: Iterable[Op], encoder: RowEncoder | None = None) -> History:
        """Make a history of operations, numbered anew, through the same lines and the same doubts as a file.

        Raises:
            UsageError: they are not a history.
        """
        encoder = encoder or PlainEncoder()
        lines = [msgspec.json.encode(op.replace(index=index)) + b"\n" for index, op in enumerate(ops)]
        source = Source.of(b"".join(lines), "these operations")
        return History(source, history_reader.read(source, None, encoder), encoder)

    def __len__(self) -> int:
        return self.n

    def op(self, index: int) -> Op:
        """One operation in full, read from the file."""
        if not 0 <= index < self.n:
            raise IndexError(f"no operation {index} in a history of {self.n}")
        return self._decode(self._source.read(int(self._line_start[index]), int(self._line_start[index + 1])))

    def ops(self) -> Iterator[Op]:
        """All operations in full, one after the other."""
        for _, line in zip(range(self.n), self._source.lines(0), strict=False):
            yield self._decode(line)

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
