"""The bytes of a history, wherever they lie: read line by line once, and any line again later.

What is compressed or comes through a pipe is laid out in a nameless temporary file first. A line has a limit, which is
found out without reading the whole of it: a file that is no history may be one line of many gigabytes.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import math
import os
import stat
import tempfile
import weakref
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from harness.exit_codes import UsageError
from harness.recorder import LINE_LIMIT

_BLOCK: Final = 1 << 20
_NEWLINE: Final = 10
_GZIP: Final = b"\x1f\x8b"


class Source:
    """An open history. The file is let go when the object is."""

    def __init__(self, fd: int, name: str, warnings: list[str]) -> None:
        self._fd = fd
        self._close = weakref.finalize(self, os.close, fd)
        self.name = name
        self.warnings = warnings
        self.size = os.fstat(fd).st_size

    @staticmethod
    def open(path: Path) -> Source:
        """Open a history, plain or compressed by gzip.

        Raises:
            UsageError: it is not there, cannot be read, or has a line beyond all measure.
        """
        try:
            if path.is_dir():
                raise UsageError(f"{path} is a directory without a history")
            with path.open("rb", buffering=0) as file:
                head = os.pread(file.fileno(), 2, 0) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else None
                if head is not None and head != _GZIP:
                    return Source(os.dup(file.fileno()), str(path), [])
                with open(file.fileno(), "rb", closefd=False) as stream:
                    return _lay_out(stream, str(path))
        except (OSError, zlib.error, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else error
            raise UsageError(f"cannot read a history from {path}: {reason}") from None

    @staticmethod
    def of(content: bytes, name: str) -> Source:
        """Make one of bytes."""
        with tempfile.TemporaryFile() as file:
            file.write(content)
            file.flush()
            return Source(os.dup(file.fileno()), name, [])

    def read(self, start: int, end: int) -> bytes:
        """The bytes from ``start`` to before ``end``."""
        return os.pread(self._fd, end - start, start)

    def blocks(self, start: int, end: int) -> Iterator[memoryview]:
        """The same, in blocks; each is valid until the next is asked for."""
        buffer = memoryview(bytearray(min(_BLOCK, max(end - start, 1))))
        while start < end:
            count = os.preadv(self._fd, [buffer[: end - start]], start)
            if count == 0:
                return
            yield buffer[:count]
            start += count

    def line_blocks(self, start: int) -> Iterator[bytes]:
        """All lines from ``start`` on, with their ends, many at a time; the last may lack its end.

        Raises:
            UsageError: a line is too long.
        """
        rest = b""  # the beginning of a line
        while block := self.read(start, start + _BLOCK):
            start += len(block)
            end = block.rfind(b"\n") + 1
            if len(rest) + (block.find(b"\n") + 1 or len(block)) > LINE_LIMIT:
                raise too_long(self.name, self.line_of(start - len(block)))
            if end:
                yield rest + block[:end]
                rest = block[end:]
            else:
                rest += block
        if rest:
            yield rest

    def warn_of_torn_line(self) -> None:
        """Note that the last line is torn, and was left out."""
        self.warnings.append(f"the last line of {self.name} is torn and was left out")

    def line_of(self, at: int) -> int:
        """The number of the line, from 1, in which the byte ``at`` is."""
        newlines = 0
        for block in self.blocks(0, at):
            newlines += int(np.count_nonzero(np.frombuffer(block, np.uint8) == _NEWLINE))
        return newlines + 1

    def sha256(self) -> str:
        """SHA-256 of it all, in hex."""
        digest = hashlib.sha256()
        for block in self.blocks(0, self.size):
            digest.update(block)
        return digest.hexdigest()


def too_long(name: str, line: int) -> UsageError:
    """The error of a line that no operation can be."""
    return UsageError(f"{name} is not a history: line {line}: it is longer than {LINE_LIMIT >> 20} MiB")


def _lay_out(stream: io.BufferedReader, name: str) -> Source:
    """Copy what cannot be read at any place to where it can."""
    warnings: list[str] = []
    compressed = stream.peek(2)[:2] == _GZIP
    reader = gzip.GzipFile(fileobj=stream) if compressed else stream
    with tempfile.TemporaryFile() as file:
        run = 0  # bytes since the last end of a line
        line = 1
        limit = None
        try:
            while block := reader.read1(_BLOCK):
                if limit is None:  # a list of all operations may be one line
                    limit = math.inf if block.lstrip()[:1] in (b"[", b"(") else LINE_LIMIT
                file.write(block)
                end = block.rfind(b"\n")
                run = run + len(block) if end < 0 else len(block) - end - 1
                line += block.count(b"\n")
                if run > limit:
                    raise too_long(name, line)
        except EOFError:
            warnings.append(f"{name} ends in the middle of its compression; what comes before was read")
        file.flush()
        return Source(os.dup(file.fileno()), name, warnings)
