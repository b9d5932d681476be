"""The faults journal: what must be undone if the harness itself dies.

Before a fault is put in place an entry is written and synced; another when the fault is undone. Whatever was begun and
not undone may still be in force on a real cluster, so a torn last line is harmless: its fault was never put in place.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec

from harness.exit_codes import EnvironmentFailure, UsageError


class JournalEntry(msgspec.Struct, omit_defaults=True):
    """A fault that was begun.

    Attributes:
        id: its number in this journal, from 1.
        fault: its kind.
        undo: what is needed to take it away. JSON values only.
    """

    id: int
    fault: str = ""
    undo: dict[str, Any] = {}
    undone: bool = False


class Journal:
    """Appends to a journal, a new one or that of a run that died."""

    def __init__(self, path: Path) -> None:
        """Open it.

        Raises:
            EnvironmentFailure: it cannot be written.
        """
        self._path = path
        self._next = 1
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        except OSError as error:
            raise self._unwritable(error) from None
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.ftruncate(self._fd, whole)  # a torn line, whose fault never came
        self._next += max((entry.id for entry in _entries(path, content[:whole])), default=0)

    def begin(self, fault: str, undo: dict[str, Any]) -> int:
        """Note a fault before it is put in place; return the number to undo it by.

        Raises:
            EnvironmentFailure: it cannot be written, so the fault must not be put in place.
        """
        entry = JournalEntry(self._next, fault, undo)
        self._next += 1
        self._append(entry)
        return entry.id

    def undone(self, entry: int) -> None:
        """Note that the fault is gone.

        Raises:
            EnvironmentFailure: it cannot be written.
        """
        self._append(JournalEntry(entry, undone=True))

    def close(self) -> None:
        """Let go of the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _append(self, entry: JournalEntry) -> None:
        line = msgspec.json.encode(entry) + b"\n"
        try:
            if os.write(self._fd, line) < len(line):
                raise OSError(0, "the disk is full")  # noqa: TRY301 (one place says it)
            os.fsync(self._fd)
        except OSError as error:
            raise self._unwritable(error) from None

    def _unwritable(self, error: OSError) -> EnvironmentFailure:
        return EnvironmentFailure(f"cannot write the faults journal {self._path}: {error.strerror}")


def open_entries(path: Path) -> list[JournalEntry]:
    """Those that were begun and not undone, the newest first: the order in which to undo them.

    Raises:
        UsageError: the file is not a journal.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UsageError(f"cannot read the faults journal {path}: {error.strerror}") from None
    found: dict[int, JournalEntry] = {}
    for entry in _entries(path, content[: content.rfind(b"\n") + 1]):
        if entry.undone:
            found.pop(entry.id, None)
        else:
            found[entry.id] = entry
    return list(reversed(found.values()))


def _entries(path: Path, content: bytes) -> list[JournalEntry]:
    decoder = msgspec.json.Decoder(JournalEntry)
    entries: list[JournalEntry] = []
    for number, line in enumerate(content.splitlines(), start=1):
        try:
            entries.append(decoder.decode(line))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise UsageError(f"{path} is not a faults journal: line {number}: {error}") from None
    return entries
