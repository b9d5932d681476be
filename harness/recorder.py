"""Writes the history while it happens, so that whatever kills the harness, what was done until then is known.

Every operation is one line, handed to the operating system before the operation is begun: a kill at any byte loses at
most the line it tears. The columns follow in chunks; those that a kill takes are read from the lines again. Where the
order is known only later (``harness.sequencer``), what can be refused is refused at once (``prepare``), and the line
gets its place and its time when it is written (``append``).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from array import array
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from harness.columns import ChunkBuilder, PlainEncoder, pack
from harness.exit_codes import EnvironmentFailure
from harness.op import Op
from harness.protocols import RowEncoder

LINE_LIMIT: Final = 16 << 20  # bytes; no operation is longer, here and in what reads histories

_UNPLACED: Final = b'{"index":0,"time":0'  # how the line of an operation without a place begins
_PLACE_BYTES: Final = 64  # at most, of an index and a time of 64 bits with their names


class Prepared(msgspec.Struct):
    """An operation that can be written: all of it but its index and its time.

    Attributes:
        op: the operation.
        rest: its line from behind the time.
        encoded: its integers and those of its rows, for the columns.
    """

    op: Op
    rest: bytes
    encoded: tuple[array[int], array[int]]


class Recorder:
    """Appends operations to a new history, and columns beside it.

    Its memory does not grow with the history, and nothing of the wall clock gets in: the same operations leave the same
    bytes.
    """

    def __init__(
        self,
        history: Path,
        columns: Path | None = None,
        encoder: RowEncoder | None = None,
        observe: Callable[[Op], None] | None = None,
    ) -> None:
        """Open new files. ``observe`` is told of each entry when it was written, in the order of the history.

        Raises:
            EnvironmentFailure: they cannot be made, or are there already.
        """
        self._encode = msgspec.json.Encoder().encode
        self._observe = observe
        self._builder = ChunkBuilder(encoder or PlainEncoder())
        self._hash = hashlib.sha256()
        self._failure: EnvironmentFailure | None = None
        self._whole = 0  # bytes of the history up to the last whole line
        self.ops = 0
        self._history = _File(history)
        self._columns = None if columns is None else _File(columns)

    def record(self, op: Op) -> Op:
        """Give ``op`` the next index and write it; return it once the operating system has it.

        Raises:
            ValueError: it cannot be recorded (an integer beyond 64 bits in a column, a line beyond 16 MiB, no
                JSON); nothing was written. A TypeError, OverflowError or RecursionError means the same.
            EnvironmentFailure: it cannot be written, for want of space, say; what was written stays readable.
        """
        return self.append(self.prepare(op), op.time)

    def prepare(self, op: Op) -> Prepared:
        """Make ready what ``append`` will write.

        Raises:
            ValueError: it cannot be recorded, see ``record``.
            EnvironmentFailure: writing has failed before.
        """
        if self._failure is not None:
            raise self._failure
        time, op.index, op.time = op.time, 0, 0
        try:
            line = self._encode(op)
        finally:
            op.time = time
        assert line.startswith(_UNPLACED)
        if len(line) > LINE_LIMIT - _PLACE_BYTES:
            raise ValueError(f"an operation of {len(line)} bytes is longer than {LINE_LIMIT}")
        return Prepared(op, line[len(_UNPLACED) :], self._builder.encode(op))

    def append(self, prepared: Prepared, time: int) -> Op:
        """Write it as the next operation, which was at ``time``; return it once the operating system has it.

        Raises:
            EnvironmentFailure: it cannot be written.
        """
        if self._failure is not None:
            raise self._failure
        op = prepared.op
        op.index, op.time = self.ops, time
        line = b'{"index":%d,"time":%d%b\n' % (self.ops, time, prepared.rest)
        self._builder.add(op, line, prepared.encoded)
        self._write(line)
        self.ops += 1
        if self._builder.is_full:
            self._flush()
        if self._observe is not None:
            self._observe(op)
        return op

    def _write(self, line: bytes) -> None:
        try:
            self._history.append(line)
        except EnvironmentFailure as failure:
            self._failure = failure
            self._history.cut(self._whole)
            raise
        self._whole += len(line)

    def _flush(self) -> None:
        chunk, text = self._builder.take()
        self._hash.update(text)
        if self._columns is None:
            return
        try:
            self._columns.append(pack(chunk))
        except EnvironmentFailure as failure:
            self._failure = failure
            raise

    def sha256(self) -> str:
        """The SHA-256 of the history so far, in hex."""
        digest = self._hash.copy()
        digest.update(self._builder.text)
        return digest.hexdigest()

    def close(self) -> None:
        """Write the rest of the columns, sync and close. After a failure there is only the closing left to do."""
        try:
            if self._failure is None and self._builder.ops:
                self._flush()
            if self._failure is None:
                self._history.sync()
        finally:
            self._history.close()
            if self._columns is not None:
                self._columns.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _File:
    """A new file that is only appended to, without any buffer of our own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o644)
        except OSError as error:
            raise EnvironmentFailure(f"cannot record to {path}: {error.strerror}") from None

    def append(self, data: bytes) -> None:
        left = memoryview(data)
        try:
            while left:
                left = left[os.write(self._fd, left) :]
        except OSError as error:
            raise EnvironmentFailure(f"cannot record to {self._path}: {error.strerror}") from None

    def cut(self, size: int) -> None:
        """Take a torn line away, as far as that is possible."""
        with contextlib.suppress(OSError):
            os.ftruncate(self._fd, size)

    def sync(self) -> None:
        with contextlib.suppress(OSError):  # not every file can be synced, and a kill does not need it
            os.fsync(self._fd)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
