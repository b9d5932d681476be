"""Writes a history in another format, operation by operation: memory does not grow with it."""

from __future__ import annotations

import contextlib
import gzip
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from harness.exit_codes import UsageError
from harness.formats.edn_writer import edn_line
from harness.formats.form import doubted
from harness.formats.tell import format_of
from harness.history_source import Source
from harness.op import Op

STANDARD_OUTPUT: Final = "-"

_BUFFER: Final = 1 << 20  # bytes


def json_line(op: Op) -> bytes:
    """The operation as a line of this harness, with its end."""
    return msgspec.json.encode(op) + b"\n"


_WRITERS: Final[dict[str, Callable[[Op], bytes]]] = {".jsonl": json_line, ".edn": edn_line}


def convert(source: Source, target: str) -> None:
    """Write the history to a new file, in the format that the suffix of ``target`` names.

    Whole operations come out as they are; but times that go back are brought forward, since ours do not.

    Raises:
        UsageError: the source is not a history, or the target is there already, has no suffix that says its format, or
            cannot be written.
    """
    line_of = _writer(target)
    with _opened(target) as out:
        count = 0
        for op in _ops(source):
            try:
                out.write(line_of(op))
            except (ValueError, TypeError, OverflowError, RecursionError) as error:
                raise UsageError(f"cannot write operation {op.index} of {source.name}: {error}") from None
            count += 1
        if not count:
            raise UsageError(f"{source.name} has no operations")


def _ops(source: Source) -> Iterator[Op]:
    time = 0
    for block in doubted(source, format_of(source).blocks(source)):
        for op in block.ops:
            op.time = time = max(time, op.time)
            yield op


def _writer(target: str) -> Callable[[Op], bytes]:
    if target == STANDARD_OUTPUT:
        return json_line
    suffix = Path(target.removesuffix(".gz")).suffix
    if suffix not in _WRITERS:
        known = ", ".join(f"{each}, {each}.gz" for each in _WRITERS)
        raise UsageError(f"the name of {target} must say its format: {known}; or - for JSON lines on standard output")
    return _WRITERS[suffix]


@contextlib.contextmanager
def _opened(target: str) -> Iterator[BinaryIO]:
    """A new file, which is taken away again if it does not become a whole one."""
    if target == STANDARD_OUTPUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(target)
    try:
        file = path.open("xb", buffering=_BUFFER)
    except FileExistsError:
        raise UsageError(f"{target} is there already") from None
    except OSError as error:
        raise UsageError(f"cannot write {target}: {error.strerror}") from None
    try:
        with file:
            if target.endswith(".gz"):
                # Neither a name nor a time: the same history, the same bytes.
                with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:
                    yield packed  # pyright: ignore[reportReturnType]
            else:
                yield file
    except BaseException:
        path.unlink(missing_ok=True)
        raise
