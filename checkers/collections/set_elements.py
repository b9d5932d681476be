"""Sets: elements are added, and reads return all of them. After Jepsen's ``set-full``.

An element is known to be there from the moment on when its add was acknowledged, or a read that found it completed. It
is ``lost`` if the last read began after that and did not find it. One that other reads missed is stale, which is told
in the details and is no fault: a set promises that nothing gets lost, not that every read is fresh. ``unexpected`` is
what nobody had tried to add when the read completed, or whose adds all failed. ``duplicated`` stands twice in one read.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from checkers.calls import Calls, Ints, calls_of, rows_of
from checkers.collections.words import told
from checkers.evidence import Evidence, Told
from harness.columns import FAIL_CODE, OK_CODE
from harness.protocols import CheckContext
from harness.verdict import Verdict


class SetElements:
    """The checker of sets; linear in the elements read, but for sorting."""

    name = "set"

    def check(self, history: Any, context: CheckContext) -> Verdict:
        """Judge a ``harness.history.History`` with the columns of ``SetEncoder``."""
        del context
        adds, reads = calls_of(history, "add"), calls_of(history, "read")
        reads = reads.where(reads.outcome == OK_CODE)
        owner, rows = rows_of(history, reads.completed)
        number = _Numbers(history.fields["element"][adds.invoked], history.rows["element"][rows])
        evidence, words = Evidence(), _Words(history, adds, number.added, reads)

        pairs, first, count = np.unique(owner * number.total + number.read, return_index=True, return_counts=True)
        twice = first[count > 1]
        evidence.add_all("duplicated", np.stack((owner[twice], rows[twice]), axis=1), words.twice)
        owner, rows, read = owner[first], rows[first], pairs % number.total

        never = int(history.n)
        attempted = _least(
            number, number.added[adds.outcome != FAIL_CODE], adds.invoked[adds.outcome != FAIL_CODE], never
        )
        wrong = attempted[read] > reads.completed[owner]
        evidence.add_all("unexpected", np.stack((owner, rows, read), axis=1)[wrong], words.unexpected)

        ok = adds.outcome == OK_CODE
        known = _least(number, number.added[ok], adds.completed[ok], never)
        np.minimum.at(known, read, reads.completed[owner])
        details = {"elements": number.total, "acknowledged": int(ok.sum()), "reads": len(reads.invoked)}
        if not len(reads.invoked):
            return Verdict(self.name, "unknown", details=details, note="the set was never read")
        last = int(np.argmax(reads.invoked))
        in_last = np.zeros(number.total, bool)
        in_last[read[owner == last]] = True
        lost = (known < reads.invoked[last]) & ~in_last & (attempted < never)
        evidence.add_all("lost", np.flatnonzero(lost), partial(words.lost, last))
        after = len(reads.invoked) - np.searchsorted(reads.invoked, known, side="right")
        fresh = reads.invoked[owner] > known[read]
        found = np.bincount(read[fresh], minlength=number.total)
        details["stale"] = int(((found < after) & ~lost).sum())
        details["never_read"] = int(((after == 0) & (known < never)).sum())
        valid = not evidence.counts
        return Verdict(self.name, valid, evidence.anomalies, dict(evidence.counts), details=details)


class _Numbers:
    """Elements as numbers from 0."""

    def __init__(self, added: Ints, read: Ints) -> None:
        names, inverse = np.unique(np.concatenate((added, read)), return_inverse=True)
        self.total = max(len(names), 1)
        self.added: Ints = inverse[: len(added)]
        self.read: Ints = inverse[len(added) :]


def _least(number: _Numbers, elements: Ints, positions: Ints, never: int) -> Ints:
    least = np.full(number.total, never, np.int64)
    np.minimum.at(least, elements, positions)
    return least


class _Words:
    """The anomalies in words: indices of the operations concerned, and the text."""

    def __init__(self, history: Any, adds: Calls, added: Ints, reads: Calls) -> None:
        self._history, self._adds, self._added, self._reads = history, adds, added, reads

    def _read(self, read: int, row: int) -> tuple[int, str]:
        """Where a read was invoked, and that it found the element of this row."""
        invoked, completed = int(self._reads.invoked[read]), int(self._reads.completed[read])
        element = self._history.op(completed).value[row - int(self._history.row_start[completed])]
        return invoked, f"{told(self._history, invoked)} found {element}"

    def twice(self, seen: list[int]) -> Told:
        invoked, text = self._read(*seen)
        return [invoked], f"{text} more than once."

    def unexpected(self, seen: list[int]) -> Told:
        read, row, element = seen
        invoked, text = self._read(read, row)
        text += ", which nobody had tried to add"
        tries = self._adds.where(self._added == element)
        if not len(tries.invoked):
            return [invoked], f"{text}."
        first = int(tries.invoked[0])
        but = "which had failed" if (tries.outcome == FAIL_CODE).all() else "which came later"
        return [invoked, first], f"{text} but by {told(self._history, first)}, {but}."

    def lost(self, last: int, element: int) -> Told:
        tries = self._adds.where(self._added == element)
        acknowledged = tries.where(tries.outcome == OK_CODE)
        add, read = (
            int((acknowledged if len(acknowledged.invoked) else tries).invoked[0]),
            int(self._reads.invoked[last]),
        )
        if len(acknowledged.invoked):
            was = f"was acknowledged at index {self._history.number(int(acknowledged.completed[0]))}"
        else:
            was = "was seen by a read"
        begun = self._history.number(read)
        text = f"{told(self._history, add)} {was}, but the last read, begun at index {begun}, did not find it."
        return [add, read], text
