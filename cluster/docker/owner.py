"""Whose something is: a process, told apart from later ones of the same number."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")


def owner_of_this_process() -> str:
    """This process, as a word without blanks."""
    return f"{_boot()}:{os.getpid()}:{_started(os.getpid())}"


def is_alive(owner: str) -> bool:
    """Whether that process still runs; of another machine's nobody knows, so it is taken to."""
    boot, _, rest = owner.partition(":")
    pid, _, started = rest.partition(":")
    if not pid.isdigit() or not boot or not started:
        return True
    return boot != _boot() or _started(int(pid)) == started


def _boot() -> str:
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return "unknown"


def _started(pid: int) -> str:
    """When a process began, in ticks since the machine did; empty if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
