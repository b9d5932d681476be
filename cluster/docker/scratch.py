"""Folders for what has to be a file for a while. Those of a harness that was killed are found by their names."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from typing import Final

from cluster.docker.owner import is_alive, owner_of_this_process

_NAME: Final = re.compile(r"quorumquake-(\d+)-(\d+)-\w+")  # short: the path of a Unix socket may have 107 bytes


def scratch_folder() -> tempfile.TemporaryDirectory[str]:
    """A new one, which goes with the object."""
    _, pid, started = owner_of_this_process().split(":")
    return tempfile.TemporaryDirectory(prefix=f"quorumquake-{pid}-{started}-")


def remove_abandoned() -> list[str]:
    """Take away those whose process is gone, as far as we may; return their paths."""
    boot = owner_of_this_process().partition(":")[0]
    removed = []
    for folder in Path(tempfile.gettempdir()).iterdir():
        match = _NAME.fullmatch(folder.name)
        if match and not is_alive(f"{boot}:{match[1]}:{match[2]}"):
            shutil.rmtree(folder, ignore_errors=True)
            if not folder.exists():
                removed.append(str(folder))
    return removed
