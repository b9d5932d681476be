"""A run's folder: everything that a run leaves behind, and all that ``check`` and ``report`` need, years later.

``runs/NAME/TIME-LABEL/``, with links ``runs/NAME/latest`` and ``runs/latest``. Of a simulated run the wall clock
appears in the folder's name and nowhere inside, since the same seed must leave the same bytes. The logs of real nodes
go by the wall clock, so beside them stands what it showed at time 0 of the history.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from pathlib import Path
from typing import Any

import msgspec

from harness.exit_codes import EnvironmentFailure, UsageError

SPEC = "spec.json"
HISTORY = "history.jsonl"
JEPSENS = "history.edn"
COLUMNS = "columns.bin"
JOURNAL = "journal.jsonl"
LEADERS = "leaders.jsonl"
CLIENTS = "clients.log"
LOGS = "logs"
ORIGIN = "origin.json"
RESULTS = "results.json"
REPORT = "report.html"
LATEST = "latest"


class RunFolder:
    """One run's folder; the attributes are where its files are or will be."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.spec = path / SPEC
        self.history = path / HISTORY
        self.columns = path / COLUMNS
        self.journal = path / JOURNAL
        self.leaders = path / LEADERS
        self.clients = path / CLIENTS
        self.logs = path / LOGS
        self.origin = self.logs / ORIGIN
        self.results = path / RESULTS
        self.report = path / REPORT

    @staticmethod
    def create(base: Path, name: str, label: str) -> RunFolder:
        """Make a new one, ``base/name/TIME-label``, never one that is there already.

        Raises:
            EnvironmentFailure: it cannot be written.
        """
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        parent = base / name
        try:
            parent.mkdir(parents=True, exist_ok=True)
            path = _make_new(parent, f"{stamp}-{label}")
            path.joinpath(".probe").touch()  # a folder may be there and yet refuse files
            path.joinpath(".probe").unlink()
        except OSError as error:
            raise EnvironmentFailure(f"cannot make a run folder in {parent}: {error.strerror}") from None
        _point(parent / LATEST, path.name)
        _point(base / LATEST, os.path.join(name, path.name))  # noqa: PTH118 (a relative link, not a path here)
        return RunFolder(path)

    @staticmethod
    def open(path: Path) -> RunFolder:
        """Find the run folder that ``path`` is, links to (``latest``), or lies in.

        Raises:
            UsageError: there is none.
        """
        if path.name == LATEST and not path.exists():
            return _newest(path.parent)
        try:
            start = path.resolve(strict=True)
        except (OSError, RuntimeError):
            raise UsageError(f"there is no run folder at {path}") from None
        for folder in (start, *start.parents):
            if folder.is_dir() and ((folder / SPEC).is_file() or (folder / HISTORY).is_file()):
                return RunFolder(folder)
        raise UsageError(f"{path} is not in a run folder: neither {SPEC} nor {HISTORY} is there")

    def write_origin(self, epoch_ns: int) -> None:
        """Note the wall clock (nanoseconds since 1970, UTC) at time 0 of the history: logs of nodes go by that.

        Raises:
            EnvironmentFailure: it cannot be written.
        """
        try:
            self.logs.mkdir(exist_ok=True)
        except OSError as error:
            raise EnvironmentFailure(f"cannot make {self.logs}: {error.strerror}") from None
        self.write_json(self.origin, {"epoch_ns": epoch_ns})

    def write_json(self, path: Path, content: Any) -> None:
        """Write a JSON file whole or not at all.

        Raises:
            EnvironmentFailure: it cannot be written.
        """
        self.write_bytes(path, msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")

    def write_bytes(self, path: Path, content: bytes) -> None:
        """Write a file whole or not at all: under another name, synced, then renamed.

        Raises:
            EnvironmentFailure: it cannot be written.
        """
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with draft.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except OSError as error:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)
            raise EnvironmentFailure(f"cannot write {path}: {error.strerror}") from None
        with contextlib.suppress(OSError):  # not every file system lets a folder be synced
            _sync_folder(path.parent)

    def remove(self) -> None:
        """Take the folder away: for a run that came to nothing before its first operation."""
        shutil.rmtree(self.path, ignore_errors=True)


def history_file(path: Path) -> Path:
    """The history in a run's folder, ours or Jepsen's; anything else is taken for the file itself."""
    found = (path / name for name in (HISTORY, JEPSENS) if (path / name).is_file())
    return next(found, path) if path.is_dir() else path


def _make_new(parent: Path, name: str) -> Path:
    number = 1
    while True:
        path = parent / (name if number == 1 else f"{name}-{number}")
        try:
            path.mkdir()
        except FileExistsError:
            number += 1
        else:
            return path


def _point(link: Path, target: str) -> None:
    """Let the link point there, replacing it in one step. Where links fail there is none, and ``open`` does without."""
    draft = link.with_name(f".{link.name}.{os.getpid()}")
    with contextlib.suppress(OSError, NotImplementedError):
        draft.unlink(missing_ok=True)
        draft.symlink_to(target)
        try:
            draft.replace(link)
        except OSError:
            draft.unlink()


def _newest(parent: Path) -> RunFolder:
    found = [file.parent for file in (*parent.glob(f"*/{HISTORY}"), *parent.glob(f"*/*/{HISTORY}"))]
    if not found:
        raise UsageError(f"there is no run in {parent}")
    return RunFolder(max(found, key=lambda folder: folder.name))  # names begin with the time


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
