"""On request: what the order of a process, or of time, tells of the versions of each register.

Some stores promise more of a single key than of transactions: that it is sequentially consistent, or linearizable. Then
of two transactions that met a version each, the versions came about in the transactions' order.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from checkers.graph.case import Case
from checkers.graph.dsg import Ints
from checkers.txn.facts import Facts

_END: Final = 1 << 62

Pairs = tuple[Ints, Ints]


def orders_of(facts: Facts, case: Case, *, linearizable: bool) -> tuple[Pairs, Pairs]:
    """Pairs of versions of a key, the earlier and the later; and those pairs whose later one is the initial version.

    Pairs that follow from others by way of a third version are left out.

    Args:
        facts: what was read and written.
        case: when transactions ran.
        linearizable: by time; else by the order of each process.
    """
    written = np.flatnonzero(facts.versions.writer >= 0)
    txn = np.concatenate((facts.read_txn, facts.versions.writer[written])).astype(np.int64)
    version = np.concatenate((facts.read_version, written)).astype(np.int64)
    # Where a transaction read a version and replaced it, both count, in this order.
    line = facts.version_key[version].astype(np.int64)
    if not linearizable:
        line = line * (int(case.process.max(initial=0)) + 1) + case.process[txn]
    order = np.lexsort((version, txn, line))
    txn, version, line = txn[order], version[order], line[order]
    ended = np.where(case.intervals.completed[txn] >= 0, case.intervals.completed[txn].astype(np.int64), _END)
    begun = case.intervals.invoked[txn].astype(np.int64)
    bounds = np.flatnonzero(np.diff(line)) + 1
    earlier: list[int] = []
    later: list[int] = []
    for part in np.split(np.arange(len(txn)), bounds):
        _pairs(version[part].tolist(), begun[part].tolist(), ended[part].tolist(), earlier, later)
    one, other = np.array(earlier, np.int32), np.array(later, np.int32)
    backwards = facts.versions.writer[other] < 0 if len(other) else np.zeros(0, bool)
    return (one[~backwards], other[~backwards]), (one[backwards], other[backwards])


def _pairs(version: list[int], begun: list[int], ended: list[int], earlier: list[int], later: list[int]) -> None:
    """Of one key (and process), in the order of invocations."""
    waiting: list[int] = []  # ended ones that nothing has followed yet which itself has ended before the next began
    for at, start in enumerate(begun):
        done = [one for one in waiting if ended[one] < start]
        latest = max((begun[one] for one in done), default=-1)
        for one in done:
            # Another one that lies wholly between stands for it.
            if ended[one] >= latest and version[one] != version[at]:
                earlier.append(version[one])
                later.append(version[at])
        waiting = [one for one in waiting if ended[one] >= latest]
        waiting.append(at)
