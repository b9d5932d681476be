"""How a person is told of an operation on a set, counter, queue or oracle."""

from __future__ import annotations

from typing import Any


def told(history: Any, invoked: int) -> str:
    """``the add of 5 by process 3 (index 40)``."""
    op = history.op(invoked)
    what = f" of {shown(op.value)}" if op.value is not None else ""
    return f"the {op.f}{what} by process {op.process} (index {history.number(invoked)})"


def shown(value: Any) -> str:
    """A value, cut if it is long."""
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
