"""Realtime order as few edges, by a chain of time nodes.

A precedes B in real time when A's completion stands before B's invocation in the history. Written out, that is up to
n² edges. Instead there is a chain of time nodes t₀ -> t₁ -> …, one for each run of completions that no invocation
interrupts. Each transaction gets at most two edges, from itself to the node of the run in which it completes, and to
itself from the node of the last run that ended before its invocation; with the chain's own edges (at most one for each
completion) that is at most three edges a transaction.

Why that is exact. A path from A to B through time nodes alone is A -> tᵢ -> … -> tⱼ -> B with i ≤ j. A completes in run
i, and run j had ended when B was invoked; runs follow each other, so A's completion stands before B's invocation.
Conversely, let A's completion stand before B's invocation. Run i of A's completion has then ended at B's invocation
at the latest, since an invocation ends a run; so the last run j that ended before it has i ≤ j, and the path is there.
Time nodes add no cycle of their own: the chain only rises, and no transaction completes before its invocation. So the
strongly connected components of the graph with the chain, seen on the transactions alone, are those of the graph with
all realtime edges.

A transaction without a completion that counts (nobody knows whether or when it took effect) has no edge into the chain.
One that may take effect in the past (a read at an old timestamp) has none out of it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from checkers.graph.dsg import Edges, Ints

NEVER: Final = -1


class Intervals(NamedTuple):
    """When each transaction ran, as positions in the history.

    Attributes:
        invoked: position of the invocation, or ``NEVER`` where realtime order asks nothing of its beginning.
        completed: position of the completion, or ``NEVER`` where its effect may come at any later time.
        length: number of positions in the history.
    """

    invoked: Ints
    completed: Ints
    length: int

    def of(self, members: NDArray[np.integer]) -> Intervals:
        """Those of some transactions alone, in as few positions as they need; the order in time is the same."""
        invoked, completed = self.invoked[members], self.completed[members]
        both = np.concatenate((invoked, completed))
        known = both >= 0
        positions, places = np.unique(both[known], return_inverse=True)
        both = np.full(len(both), NEVER, np.int32)
        both[known] = places
        return Intervals(both[: len(invoked)], both[len(invoked) :], len(positions))


def realtime_edges(intervals: Intervals) -> tuple[Edges, int]:
    """The chain, beside transactions 0..n-1: time nodes are numbered from n.

    Returns:
        The edges, and the number of time nodes.
    """
    invoked, completed, length = intervals
    n = len(invoked)
    begins = np.flatnonzero(invoked >= 0).astype(np.int32)
    ends = np.flatnonzero(completed >= 0).astype(np.int32)
    runs = _runs_until(invoked[begins], completed[ends], length)

    into = Edges(ends, n + runs[completed[ends]] - 1)
    waiting = runs[invoked[begins]] > 0
    out_of = Edges(n + runs[invoked[begins[waiting]]] - 1, begins[waiting])
    nodes = int(runs[-1]) if length else 0
    link = np.arange(n, n + max(nodes - 1, 0), dtype=np.int32)
    chain = Edges(link, link + 1)
    parts = (into, out_of, chain)
    return Edges(
        np.concatenate([part.source for part in parts]), np.concatenate([part.target for part in parts])
    ), nodes


def _runs_until(invoked: Ints, completed: Ints, length: int) -> NDArray[np.int32]:
    """At each position, how many runs of completions have begun, the position itself included."""
    event = np.zeros(length, np.int8)
    event[invoked] = 1
    event[completed] = 2
    at = np.flatnonzero(event)
    is_completion = event[at] == 2
    starts = is_completion.copy()
    starts[1:] &= ~is_completion[:-1]
    event[:] = 0
    event[at[starts]] = 1
    return np.cumsum(event, dtype=np.int32)
