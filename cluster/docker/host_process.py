"""Processes as this machine sees them: that one has ended, or is frozen; what this one may do."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

from harness.exit_codes import EnvironmentFailure

CAP_NET_ADMIN: Final = 12  # numbers of capabilities(7)
CAP_SYS_PTRACE: Final = 19
CAP_SYS_ADMIN: Final = 21

_ROOT = Path("/sys/fs/cgroup")


class Gone(EnvironmentFailure):
    """The process has ended."""

    def __init__(self, pid: int) -> None:
        super().__init__(f"process {pid} has ended")


def is_frozen(pid: int) -> bool:
    """Whether the freezer of its control group, of version 1 or 2, holds it: then none of its threads can be stopped.

    False where nobody can tell. Never raises.
    """
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        return False
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if "freezer" in controllers.split(","):
            if _says(_ROOT / "freezer" / path.lstrip("/") / "freezer.state", {"FROZEN", "FREEZING"}):
                return True
        elif not controllers and any(
            _says(root / path.lstrip("/") / "cgroup.events", {"frozen 1"}) for root in (_ROOT, _ROOT / "unified")
        ):
            return True
    return False


def _says(file: Path, lines: set[str]) -> bool:
    try:
        return not lines.isdisjoint(file.read_text().splitlines())
    except OSError:
        return False


def holds(*capabilities: int) -> bool:
    """Whether this process holds all of these, which root may lack, too."""
    with contextlib.suppress(OSError, ValueError, IndexError, StopIteration):
        effective = next(line for line in Path("/proc/self/status").read_text().splitlines() if "CapEff" in line)
        held = int(effective.split()[1], 16)
        return all(held >> capability & 1 for capability in capabilities)
    return False
