"""Which consistency models hold and which are broken: the frontier in words, and the table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from checkers.models import GRID, LEVELS, OF_REGISTERS, strongest_surviving, weakest_broken
from harness.verdict import Validity
from reports.text import listed

ORDERS: Final = ("in any order", "by session", "in real time")  # the columns of ``checkers.models.GRID``
STATES: Final[Mapping[Validity, str]] = {True: "holds", False: "broken", "unknown": "unknown"}
UNDECIDED: Final = "-"


def rows(models: Mapping[str, Validity]) -> tuple[list[str], list[list[str]]]:
    """The headings, and the lines of cells, strongest models first; none where no model was decided."""
    if any(model in models for row in GRID for model in row):
        lines = [[LEVELS[level], *(_state(models, model) for model in GRID[level])] for level in range(len(LEVELS))]
        return ["model", *ORDERS], lines[::-1]
    own = [model for model in OF_REGISTERS if model in models]
    return ["model", ""], [[model, _state(models, model)] for model in own[::-1]]


def _state(models: Mapping[str, Validity], model: str) -> str:
    return STATES[models[model]] if model in models else UNDECIDED


def frontier(models: Mapping[str, Validity]) -> list[tuple[str, str]]:
    """The strongest models that hold, the weakest that are broken, and those left open, each with its heading."""
    open_ones = [model for model, valid in models.items() if valid == "unknown"]
    found = (
        ("holds", strongest_surviving(models)),
        ("broken", weakest_broken(models)),
        ("unknown", open_ones),
    )
    return [(name, listed(names)) for name, names in found if names]


def table(models: Mapping[str, Validity]) -> list[str]:
    """The table as lines of text."""
    head, lines = rows(models)
    if not lines:
        return []
    widths = [max(len(line[column]) for line in [head, *lines]) for column in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in [head, *lines]
    ]
