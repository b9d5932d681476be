"""A process of a container as this machine sees it: that it has ended, or is frozen."""

from __future__ import annotations

from pathlib import Path

from harness.exit_codes import EnvironmentFailure

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
