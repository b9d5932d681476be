"""Decides all models of transactions for a case: by the graph of what is known, and by search where orders are open."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from checkers.graph.case import Case, with_orders
from checkers.graph.dsg import RW, Dependencies
from checkers.graph.levels import HIGHEST, NONADJACENT, REALTIME, broken, groups_at, ordered
from checkers.graph.open_orders import chains_of, prefix_pairs
from checkers.graph.orders_search import Orders, Refutation
from checkers.graph.search import OutOfTime
from checkers.models import GRID, ORDERS, stronger
from harness.verdict import Validity

_BEYOND: Final = 20.0  # seconds of search for models that are not asked for, once those asked for are done

Cell = tuple[int, int]  # a level and an order of ``checkers.models.GRID``


class Decision(NamedTuple):
    """What was decided.

    Attributes:
        known: the dependencies that are certain under every model; each cycle among them is a fact.
        isolated: those that are certain from snapshot isolation on, where they break more than ``known`` does.
        groups: the transactions of each component of either, with the order of time.
        models: of each model of ``GRID``, whether some order of the versions satisfies it.
        refuted: models that no order satisfies although what is certain would allow them, and why.
        note: what was left open, and why; one sentence, or nothing.
    """

    known: Dependencies
    isolated: Dependencies | None
    groups: list[NDArray[np.int64]]
    models: dict[str, Validity]
    refuted: list[Refutation]
    note: str = ""


def decide(
    case: Case,
    asked: Collection[str] = (),
    deadline: float = math.inf,
    tell: Callable[[dict[str, Validity]], None] = lambda _: None,
    ruled_out: Collection[str] = (),
) -> Decision:
    """Decide the models of the grid: every one that the graph tells, and by search those asked for and weaker ones.

    Levels below snapshot isolation need no search: a graph of ww and wr edges without a cycle has a topological order,
    and the versions can follow that. From there on a version that replaced the one that its writer had read did so
    immediately, so that the versions that begin with the initial one come first, and all others after them.

    Args:
        case: the transactions.
        asked: names of models; empty: all. Once they are done, weaker ones have 20 s at most.
        deadline: when the search gives up, in seconds of ``time.monotonic()``.
        tell: takes the models, as far as they are decided, whenever there is news.
        ruled_out: models that are broken for other reasons; no search is made for these.
    """
    known = isolated = case.dependencies()
    chains = chains_of(case)
    if chains is not None:
        pairs = prefix_pairs(case, chains)
        isolated = with_orders(known, case, *pairs)
        known = isolated if case.prefix else with_orders(known, case, *pairs, label=RW)
    # These are the same edges, only that some have another label.
    groups = groups_at(ordered(isolated, case.intervals, case.process, REALTIME), HIGHEST)
    lowest = broken(known, case.intervals, case.process, groups)
    from_isolation = lowest if known is isolated else broken(isolated, case.intervals, case.process, groups)
    cells = _cells(lowest, from_isolation)
    telling = None if lowest == from_isolation else isolated
    if chains is None or not chains.are_open:
        return Decision(known, telling, groups, _named(cells), [])
    cells |= {cell: False for cell in cells if _name(cell) in ruled_out}
    refuted = _search(Orders(case, chains, isolated), cells, asked, deadline, tell)
    decided: dict[Cell, Validity] = {
        cell: valid for cell, valid in cells.items() if valid != "unknown" or _is_below(cell, asked)
    }
    return Decision(known, telling, groups, _named(decided), refuted, _note(decided))


def _search(
    orders: Orders,
    cells: dict[Cell, Validity],
    asked: Collection[str],
    deadline: float,
    tell: Callable[[dict[str, Validity]], None],
) -> list[Refutation]:
    """Decide by search the cells that are asked for or below, of those that the graph leaves; what is refuted."""
    left = [cell for cell, valid in cells.items() if valid and cell[0] >= NONADJACENT]
    cells |= dict.fromkeys(left, "unknown")
    refuted: list[Refutation] = []
    wanted = [cell for cell in left if _is_below(cell, asked)]
    wanted.sort(key=lambda cell: (_name(cell) in asked, sum(cell), cell))
    while wanted:
        tell(_named(cells))
        cell = wanted.pop()
        if cells[cell] != "unknown":
            continue
        now = time.monotonic()
        if asked and _name(cell) not in asked:
            deadline = min(deadline, now + _BEYOND)
        try:
            found = orders.settle(*cell, now + (deadline - now) / (2 if wanted else 1))
        except OutOfTime:
            continue
        if found is not None:
            refuted.append(found)
        for other in cells:
            if all(a >= b for a, b in (zip(other, cell, strict=True) if found else zip(cell, other, strict=True))):
                cells[other] = found is None
    return refuted


def _name(cell: Cell) -> str:
    return GRID[cell[0]][cell[1]]


def _is_below(cell: Cell, asked: Collection[str]) -> bool:
    """Whether the cell is one of the models asked for, or weaker than one."""
    return not asked or any(model in asked for model in stronger(_name(cell)))


def _cells(lowest: list[int], from_isolation: list[int]) -> dict[Cell, Validity]:
    """What the graph says: by all that is known, and from snapshot isolation on by more."""
    return {
        (level, order): level < (lowest if level < NONADJACENT else from_isolation)[order]
        for level in range(HIGHEST + 1)
        for order in range(len(ORDERS))
    }


def _named(cells: dict[Cell, Validity]) -> dict[str, Validity]:
    return {_name(cell): valid for cell, valid in cells.items()}


def _note(cells: dict[Cell, Validity]) -> str:
    left = [model for model, valid in _named(cells).items() if valid == "unknown"]
    if not left:
        return ""
    return f"whether some order of the writes satisfies {', '.join(left)} was not found out in the time there was"
