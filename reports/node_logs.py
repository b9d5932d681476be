"""The lines of the nodes' logs around a moment of the run.

A log may be hundreds of megabytes, and a stranger wrote it: a moment is found by bisection over the bytes, and no more
than a bounded piece on either side of it is read. Each line begins with the true time at which it was logged (RFC
3339); one that does not is part of the line before it. Where times fall, lines may be missed.
"""

from __future__ import annotations

import calendar
import datetime as dt
import re
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from harness.clock import SECOND
from harness.run_folder import RunFolder
from reports.text import shown

AROUND_NS: Final = SECOND
LINES: Final = 20  # of a node, around a moment
_TEXT = 320  # characters of a line
_NODES = 40
_SIDE = 256 << 10  # bytes that are read before and after a moment
_JUNK = 256 << 10  # bytes without any time, after which a file passes for no log

_TIME = re.compile(
    rb"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9})\d*)?(?:[Zz]|([+-])(\d\d):(\d\d))(?: |\r?\n|\Z)"
)


class LogLine(msgspec.Struct, frozen=True):
    """A line: when it was logged, in ns of the history's clock, and what it says, safe to show."""

    time: int
    text: str


class NodeLines(msgspec.Struct, frozen=True):
    """The lines of one node around a moment; ``more``: there are others, in the log."""

    node: str
    lines: list[LogLine]
    more: bool


class _Origin(msgspec.Struct):
    epoch_ns: int


class NodeLogs:
    """The logs of a run's folder."""

    def __init__(self, files: dict[str, Path], epoch_ns: int) -> None:
        self._files = files
        self._epoch_ns = epoch_ns

    @staticmethod
    def open(folder: RunFolder) -> NodeLogs | None:
        """Find them; None where there are none, or where nobody knows how their times are those of the history."""
        try:
            origin = msgspec.json.decode(folder.origin.read_bytes(), type=_Origin)
            paths = sorted(folder.logs.glob("*.log"))
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return None
        # Whoever made the folder does not say which other files of this machine to show.
        files = {path.stem: path for path in paths if path.is_file() and not path.is_symlink()}
        return NodeLogs(dict(list(files.items())[:_NODES]), origin.epoch_ns) if files else None

    def around(self, begin: int, moment: int, end: int, limit: int = LINES) -> list[NodeLines]:
        """The lines from ``begin`` to ``end`` (ns of the history's clock), of each node that has any.

        Of more than ``limit`` those next to ``moment`` are taken, more of those after it than of those before.
        """
        found: list[NodeLines] = []
        begin, moment, end = (time + self._epoch_ns for time in (begin, moment, end))
        for node, path in list(self._files.items()):
            try:
                with path.open("rb") as file:
                    lines, more = _around(file, begin, moment, end, limit)
            except (OSError, _NoLogError):
                del self._files[node]
                continue
            if lines:
                told = [LogLine(time - self._epoch_ns, shown(text.rstrip(), _TEXT)) for time, text in lines]
                found.append(NodeLines(node, told, more))
        return found


class _NoLogError(Exception):
    """Too much of the file has no times."""


def _around(file: BinaryIO, begin: int, moment: int, end: int, limit: int) -> tuple[list[tuple[int, str]], bool]:
    """The lines with their times since 1970, and whether there are more than these."""
    start, middle = _first_at(file, begin), _first_at(file, moment)
    cut = middle - start > _SIDE
    if cut:
        start, *_ = _next(file, middle - _SIDE) or (middle,)
    before = _lines(file, start, middle, moment)
    after = _lines(file, middle, middle + _SIDE, end)
    early = min(len(before), max(limit * 2 // 5, limit - len(after)))
    chosen = [*before[len(before) - early :], *after[: limit - early]]
    return chosen, cut or len(chosen) < len(before) + len(after)


def _first_at(file: BinaryIO, time: int) -> int:
    """Where the first line begins that was logged at ``time`` or later; the end of the file if there is none.

    Of the lines with a time those that begin before ``low`` are earlier, those that begin at ``high`` or later are not.
    """
    low, high = 0, file.seek(0, 2)
    size = high
    while low < high:
        middle = (low + high) // 2
        found = _next(file, middle)
        if found is not None and found[1] < time:
            low = found[2]
        else:
            high = middle
    found = _next(file, low)
    return size if found is None else found[0]


def _next(file: BinaryIO, place: int) -> tuple[int, int, int] | None:
    """Of the first line with a time that begins at ``place`` or later: where it begins, its time, where it ends."""
    file.seek(max(place - 1, 0))
    if place:
        file.readline(_JUNK)  # what is left of a line, or just its end
    begin = file.tell()
    while line := file.readline(_JUNK):
        time, _ = _split(line)
        if time is not None:
            return begin, time, begin + len(line)
        if (begin := begin + len(line)) > place + _JUNK:
            raise _NoLogError
    return None


def _lines(file: BinaryIO, start: int, stop: int, until: int) -> list[tuple[int, str]]:
    """Time and text of the lines that begin from ``start`` on and before ``stop``, none logged after ``until``."""
    file.seek(start)
    found: list[tuple[int, str]] = []
    logged: int | None = None
    while start < stop and (line := file.readline(_JUNK)):
        time, text = _split(line)
        logged = logged if time is None else time
        if logged is not None and logged > until:
            break
        if logged is not None:
            found.append((logged, text))
        start += len(line)
    return found


def _split(line: bytes) -> tuple[int | None, str]:
    """When a line was logged, in ns since 1970 (None: it does not say), and the rest of it."""
    match = _TIME.match(line)
    if match is None:
        return None, line.decode(errors="replace")
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    try:
        date = dt.datetime(year, month, day, hour, minute, min(second, 59), tzinfo=dt.UTC)
    except ValueError:
        return None, line.decode(errors="replace")
    fraction, sign, hours, minutes = match.groups()[6:]
    ahead = (int(hours) * 60 + int(minutes)) * (-60 if sign == b"-" else 60) if sign else 0
    seconds = calendar.timegm(date.timetuple()) - ahead
    return seconds * SECOND + int((fraction or b"").ljust(9, b"0")), line[match.end() :].decode(errors="replace")
