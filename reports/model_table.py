"""Which consistency models hold and which are broken: the table, and the frontier in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from checkers.models import GRID, LEVELS, OF_REGISTERS, strongest_surviving, weakest_broken
from harness.verdict import Validity
from reports.text import listed

ORDERS: Final = ("in any order", "by session", "in real time")  # the columns of ``checkers.models.GRID``
STATES: Final[Mapping[Validity, str]] = {True: "holds", False: "broken", "unknown": "unknown"}
UNDECIDED: Final = "not decided"


class Cell(NamedTuple):
    """A model and what is known of it, a word of ``STATES`` or ``UNDECIDED``."""

    model: str
    state: str


def grid(models: Mapping[str, Validity]) -> list[tuple[str, list[Cell]]]:
    """Of transactions, the levels with a cell for each of ``ORDERS``, strongest first; none if none was decided."""
    if not any(model in models for row in GRID for model in row):
        return []
    return [(LEVELS[at], [_cell(models, model) for model in GRID[at]]) for at in range(len(LEVELS))][::-1]


def ladder(models: Mapping[str, Validity]) -> list[Cell]:
    """Of registers, the models that were decided, strongest first."""
    return [_cell(models, model) for model in OF_REGISTERS if model in models][::-1]


def _cell(models: Mapping[str, Validity], model: str) -> Cell:
    return Cell(model, STATES[models[model]] if model in models else UNDECIDED)


def frontier(models: Mapping[str, Validity]) -> list[tuple[str, list[str]]]:
    """The strongest models that hold, the weakest that are broken, and those left open, each with its heading."""
    open_ones = [model for model, valid in models.items() if valid == "unknown"]
    found = (
        ("holds", strongest_surviving(models)),
        ("broken", weakest_broken(models)),
        ("unknown", open_ones),
    )
    return [(name, names) for name, names in found if names]


def frontier_sentence(models: Mapping[str, Validity]) -> str:
    """The same as one sentence."""
    found = dict(frontier(models))
    parts = []
    if holds := found.get("holds"):
        parts.append(f"the strongest {_that(holds, 'holds', 'hold')} {listed(holds)}")
    if broken := found.get("broken"):
        parts.append(f"the weakest {_that(broken, 'is broken', 'are broken')} {listed(broken)}")
    if left := found.get("unknown"):
        parts.append(f"nothing is known of {listed(left)}")
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _that(models: list[str], one: str, many: str) -> str:
    return f"model that {one} is" if len(models) == 1 else f"models that {many} are"


def table(models: Mapping[str, Validity]) -> list[str]:
    """The table as lines of text; none where no model was decided."""
    lines = [["model", *ORDERS], *([level, *(cell.state for cell in cells)] for level, cells in grid(models))]
    if len(lines) == 1:
        lines = [list(cell) for cell in ladder(models)]
    if not lines:
        return []
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
