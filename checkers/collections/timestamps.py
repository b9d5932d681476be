"""Timestamps of an oracle: no two alike, and greater than all that had been given before one was asked for.

``generate`` asks for ids, which need be unique only.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from checkers.arrays import first_of_each, running_maximum
from checkers.calls import Calls, calls_of
from checkers.collections.columns import ORDERED, UNIQUE
from checkers.collections.words import shown, told
from checkers.evidence import Evidence, Told
from harness.columns import OK_CODE
from harness.protocols import CheckContext
from harness.verdict import Verdict


class Timestamps:
    """The checker of timestamps; O(n log n)."""

    name = "timestamps"

    def check(self, history: Any, context: CheckContext) -> Verdict:
        """Judge a ``harness.history.History`` with the columns of ``TimestampEncoder``."""
        del context
        calls = calls_of(history, *ORDERED, *UNIQUE)
        given = calls.where(calls.outcome == OK_CODE)
        physical, logical = (history.fields[name][given.completed] for name in ("physical", "logical"))
        details = {"timestamps": len(physical)}
        if not len(physical):
            return Verdict(self.name, "unknown", details=details, note="no timestamp was given")
        order = np.lexsort((logical, physical))
        new = first_of_each(physical[order], logical[order])
        rank = np.empty(len(order), np.int64)
        rank[order] = np.cumsum(new)
        evidence = Evidence()
        again = np.flatnonzero(~new)
        pairs = np.stack((order[again - 1], order[again]), axis=1)
        evidence.add_all("duplicated", pairs, partial(_twice, history, given))
        ordered = np.isin(history.f[given.invoked], [at for at, name in enumerate(history.f_names) if name in ORDERED])
        _report_disorder(history, given.where(ordered), rank[ordered], evidence)
        return Verdict(self.name, not evidence.counts, evidence.anomalies, dict(evidence.counts), details=details)


def _report_disorder(history: Any, given: Calls, rank: Any, evidence: Evidence) -> None:
    if not len(rank):
        return
    order = np.argsort(given.completed)
    greatest, place = running_maximum(rank[order])
    at = np.searchsorted(given.completed[order], given.invoked) - 1
    wrong = np.flatnonzero((at >= 0) & (greatest[at] > rank))
    pairs = np.stack((order[place[at[wrong]]], wrong), axis=1)
    evidence.add_all("out-of-order", pairs, partial(_smaller, history, given))


def _value(history: Any, given: Calls, at: int) -> str:
    return shown(history.op(int(given.completed[at])).value)


def _twice(history: Any, given: Calls, pair: list[int]) -> Told:
    indices = sorted(given.invoked[pair].tolist())
    who = " and ".join(told(history, index) for index in indices)
    return indices, f"{who} were both given {_value(history, given, pair[0])}."


def _smaller(history: Any, given: Calls, pair: list[int]) -> Told:
    early, late = pair
    first, second = int(given.invoked[early]), int(given.invoked[late])
    before = f"had been given {_value(history, given, early)} at index {history.number(int(given.completed[early]))}"
    after = f"began, which was given {_value(history, given, late)}"
    text = f"{told(history, first)} {before}, before {told(history, second)} {after}."
    return [first, second], text
