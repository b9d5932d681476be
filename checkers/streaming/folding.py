"""Which transactions of the bank a running check may forget, and why no later verdict needs them.

Of what is folded there stays the newest version of each account that one of them wrote, the floor, which from then on
is the window's initial state. Let L be the smallest invocation among open operations, or the present. Some c <= L is
chosen so that every account was read or written by an ok operation that was invoked at c or later and completed before
L (it stays a while). F, what is folded, is the largest set with:

- an ok operation in F completed before c; one of unknown outcome was seen and has an edge to an ok one in F;
- no edge, of dependency or of time, leads into F from what is not in F.

A later verdict needs nothing of F but the floors:

- A cycle through F would need an edge into F, and that only an operation can have that is not known yet: what is known
  was looked at. What is to come is invoked at L or later, or has been open since L or later, so all ok operations of F
  are before it in time, and so are those of unknown outcome, each of which is before an ok one.
- Such an edge is rw, from one that reads a version that F replaced (ww and wr into F would be known: the versions that
  F replaced or read have writers that F's own records name). So reading below a floor is a cycle at once, and writing
  at or below one is a second writer of a version: a violation both times. What reads or writes above a floor meets F
  by edges out of F only. Those close no cycle, and the window may take the floor for its initial state.
- An operation of unknown outcome that nobody has seen is kept beside. It may have been invoked before L. Let it show up
  later, by a version of account y. If it had noted a read below a floor, it comes before some V in F, which had
  completed before c. Some Q, invoked at c or later, accessed y; had Q met the late one or what came after, the late one
  had been seen. So Q is before the late one, that before V, and V before Q in time: a violation. If it had
  noted a write at or below a floor, that is a second writer. So both are forgotten, and whoever sees them later sees
  what nobody wrote. In the same way one of F that shows up on another account later, which its records did not name,
  comes after such a Q, and before an ok one of F, which Q follows in time.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from checkers.bank.columns import OLD_SNAPSHOT
from checkers.bank.installed import Flags
from checkers.bank.versions import BankFacts
from checkers.graph.dsg import Dependencies
from checkers.graph.realtime import NEVER, Intervals
from checkers.streaming.window import ACCOUNT, COMPLETED, FLAGS, INVOKED, OWNER, STATUS, Window
from harness.columns import OK_CODE


def foldable(window: Window, facts: BankFacts, graph: Dependencies, intervals: Intervals, cut: int) -> Flags:
    """F: which transactions are forgotten; ``cut`` is c."""
    table = window.table
    ok = table[:, STATUS] == OK_CODE
    fit = ok & (table[:, COMPLETED] < cut)
    info = facts.committed & ~ok & (table[:, COMPLETED] >= 0)
    source = np.concatenate([edges.source for edges in graph.values()])
    target = np.concatenate([edges.target for edges in graph.values()])
    positions = window.position
    invoked = np.where(intervals.invoked == NEVER, -1, positions[intervals.invoked])
    before = -1
    while True:
        certain = np.zeros(len(table), bool)
        certain[source[fit[target] & ok[target]]] = True
        fit &= ok | certain
        if before < 0:
            fit |= info & certain
        outside = facts.committed & ~fit
        fit[target[outside[source]]] = False
        done = table[outside & ok, COMPLETED]
        if len(done):
            fit[(invoked > done.min()) & fit] = False
        left = int(fit.sum())
        if left == before:
            return fit
        before = left


def latest_cut(window: Window, floors: Collection[int], low: int) -> int:
    """The greatest c that there is; ``low`` is L. Below 0 if an account with a floor was not accessed."""
    table, rows = window.table, window.raw
    closed = (table[:, STATUS] == OK_CODE) & (table[:, COMPLETED] < low) & (table[:, FLAGS] & OLD_SNAPSHOT == 0)
    own = np.flatnonzero(closed[np.searchsorted(table[:, INVOKED], rows[:, OWNER])])
    accounts, at = np.unique(rows[:, ACCOUNT], return_inverse=True)
    latest = np.full(len(accounts), -1)
    np.maximum.at(latest, at[own], rows[own, OWNER])
    if not set(floors) <= set(accounts.tolist()):
        return -1
    return int(latest.min(initial=low))
