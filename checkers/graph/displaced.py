"""Transactions that took effect at another time than they ran at: what realtime order alone forbids.

Without realtime order a transaction may have to come before what was long over when it began: it read an old snapshot,
or else the other one read the future. The one that ran later is moved back if it can go alone, as a stale read can;
else the other one is moved on, with all that must follow it.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from checkers.arrays import ranges
from checkers.graph.dsg import Edges

Positions = NDArray[np.int64]

_STEPS: Final = 1_000  # along edges, from one that is moved


def displace(earliest: Positions, latest: Positions, edges: Edges, length: int) -> tuple[Positions, Positions]:
    """Windows of transactions after the move; where nothing contradicts time, the same.

    What was moved may be anywhere before, or after, what it was moved for.

    Args:
        earliest: of each transaction, the position from which on it may have taken effect.
        latest: until when.
        edges: who must precede whom.
        length: of the history.
    """
    contradicts = np.flatnonzero(earliest[edges.source] > latest[edges.target])
    if not len(contradicts):
        return earliest, latest
    # Turned round, back is on.
    turned = Edges(edges.target, edges.source)
    alone = _goes_alone(-latest, -earliest, turned, contradicts)
    low, high = _moved(-latest, -earliest, turned, contradicts[alone], 0)
    earliest, latest = -high, -low
    contradicts = np.flatnonzero(earliest[edges.source] > latest[edges.target])
    return _moved(earliest, latest, edges, contradicts, length) if len(contradicts) else (earliest, latest)


def _goes_alone(
    earliest: Positions, latest: Positions, edges: Edges, contradicts: NDArray[np.integer]
) -> NDArray[np.bool_]:
    """Of each contradiction, whether nothing that follows the target would have to go with it to the source."""
    others = np.ones(len(edges.source), bool)
    others[contradicts] = False
    after = np.full(len(earliest), np.iinfo(np.int64).max)
    np.minimum.at(after, edges.source[others], latest[edges.target[others]])
    return after[edges.target[contradicts]] >= earliest[edges.source[contradicts]]


def _moved(
    earliest: Positions, latest: Positions, edges: Edges, first: NDArray[np.integer], end: int
) -> tuple[Positions, Positions]:
    """Move the targets of the ``first`` edges behind their sources, with all that follows and cannot be earlier."""
    before = earliest
    earliest, latest = earliest.copy(), latest.copy()
    by_source = np.argsort(edges.source, kind="stable")
    source, target = edges.source[by_source], edges.target[by_source]
    goes = np.zeros(len(source), bool)
    goes[first] = True
    out = np.flatnonzero(goes[by_source])
    for _ in range(_STEPS):
        if not len(out):
            break
        np.maximum.at(earliest, target[out], earliest[source[out]])
        front = np.unique(target[out])
        latest[front] = np.maximum(latest[front], earliest[front])
        begin = np.searchsorted(source, front, "left")
        out = ranges(begin, np.searchsorted(source, front, "right") - begin)
        out = out[earliest[source[out]] > latest[target[out]]]
    latest[earliest > before] = end
    return earliest, latest
