"""Options from a TOML file: the same names as on the command line, which wins over it.

One file counts: the one of ``--config``, else ``quorumquake.toml`` in the current folder, else the table
``[tool.quorumquake]`` of a ``pyproject.toml`` there. A key that nobody knows is an error, never passed over.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from harness.exit_codes import UsageError
from harness.suggest import unknown_name

WORKLOAD_TABLE = "workload-opt"

# Key of the file (and of the command line, with two dashes in front) -> the TOML types it may have.
KEYS: dict[str, tuple[type, ...]] = {
    "cluster": (str,),
    "nemesis": (str, list),
    "nemesis-interval": (int, float, str),
    "time-limit": (int, float, str),
    "concurrency": (int,),
    "rate": (int, float),
    "seed": (int,),
    "nodes": (int,),
    "bug": (str,),
    "out": (str,),
    "format": (str,),
    "pd": (int,),
    "kv": (int,),
    "pd-image": (str,),
    "kv-image": (str,),
    "version": (str,),
    "subnet": (str,),
    "pd-config": (str,),
    "kv-config": (str,),
    "readback": (int, float),
    "client-anomalies": (str,),
    "fail-fast": (bool,),
    WORKLOAD_TABLE: (dict,),
}


def load_config(explicit: Path | None, folder: Path) -> dict[str, Any]:
    """Read the file that counts; return its keys (with dashes) and values, empty if there is none.

    Raises:
        UsageError: the file is missing or not TOML, or a key or its type is wrong.
    """
    if explicit is not None:
        return _checked(_read(explicit), explicit)
    own = folder / "quorumquake.toml"
    if own.is_file():
        return _checked(_read(own), own)
    project = folder / "pyproject.toml"
    if project.is_file():
        table = _read(project).get("tool", {}).get("quorumquake", {})
        return _checked(table, project)
    return {}


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}") from error


def _checked(table: Any, path: Path) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise UsageError(f"{path}: [tool.quorumquake] must be a table")
    result: dict[str, Any] = {}
    for raw, value in table.items():
        key = raw.replace("_", "-")
        if key not in KEYS:
            raise UsageError(f"{path}: {unknown_name('key', raw, KEYS)}")
        if not isinstance(value, KEYS[key]) or (isinstance(value, bool) and bool not in KEYS[key]):
            wanted = " or ".join(kind.__name__ for kind in KEYS[key])
            raise UsageError(f"{path}: {raw} must be {wanted}, not {value!r}")
        result[key] = value
    return result
