"""Counters: amounts are added, and each read must lie within what the adds allow. After Jepsen's ``counter``.

For a read every add that was acknowledged before it began counts. Those that had begun before it completed and were
not acknowledged by then, those of unknown outcome among them, may count or not. So a read lies between the sum of the
former with all negative amounts of the latter, and that with all positive ones. Which sums between are possible is not
asked. Failed adds never count. The counter begins at 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from checkers.arrays import running_total
from checkers.calls import Ints, calls_of
from checkers.collections.words import told
from checkers.evidence import Evidence, Told
from harness.columns import FAIL_CODE, OK_CODE
from harness.protocols import CheckContext
from harness.verdict import Verdict


class Counter:
    """The checker of counters; linear."""

    name = "counter"

    def check(self, history: Any, context: CheckContext) -> Verdict:
        """Judge a ``harness.history.History`` with the columns of ``CounterEncoder``."""
        del context
        adds, reads = calls_of(history, "add"), calls_of(history, "read")
        adds = adds.where(adds.outcome != FAIL_CODE)
        reads = reads.where(reads.outcome == OK_CODE)
        details = {"adds": len(adds.invoked), "reads": len(reads.invoked)}
        if not len(reads.invoked):
            return Verdict(self.name, "unknown", details=details, note="the counter was never read")
        amount: NDArray[Any] = history.fields["amount"][adds.invoked]
        if np.abs(amount.astype(float)).sum() > 2.0**62:
            amount = amount.astype(object)  # sums beyond 64 bits
        ok = adds.outcome == OK_CODE
        order = np.argsort(adds.completed[ok])
        bounds = []
        sure = _running(adds.completed[ok][order], amount[ok][order], reads.invoked)
        for part in (np.minimum(amount, 0), np.maximum(amount, 0)):
            begun = _running(adds.invoked, part, reads.completed)
            bounds.append(sure + begun - _running(adds.completed[ok][order], part[ok][order], reads.invoked))
        low, high = bounds
        value = history.fields["amount"][reads.completed]
        evidence = Evidence()

        def out(at: int) -> Told:
            text = f"{told(history, int(reads.invoked[at]))} saw {value[at]}, but what was added by then allows "
            return [int(reads.invoked[at])], f"{text}{_interval(low[at], high[at])}."

        evidence.add_all("out-of-bounds", np.flatnonzero((value < low) | (value > high)), out)
        details["widest"] = int((high - low).max())
        return Verdict(self.name, not evidence.counts, evidence.anomalies, dict(evidence.counts), details=details)


def _running(positions: Ints, amounts: NDArray[Any], until: Ints) -> NDArray[Any]:
    """The sum of those amounts whose position is before each of ``until``."""
    return running_total(amounts)[np.searchsorted(positions, until)]


def _interval(low: int, high: int) -> str:
    return f"only {low}" if low == high else f"{low} to {high}"
