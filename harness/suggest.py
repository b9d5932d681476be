"""Unknown names: one sentence that names the nearest known one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from harness.exit_codes import UsageError


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """The error for a ``name`` that is none of the ``known`` ones of its ``kind``."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}."
    return UsageError(f"unknown {kind} {name!r}; {hint}")
