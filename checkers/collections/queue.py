"""Queues: what is enqueued is dequeued once, in order. After Jepsen's ``total-queue``, with the order added.

- ``unexpected``: dequeued, but nobody had tried to enqueue it by then, or all who did had failed.
- ``duplicated``: dequeued more often than enqueued.
- ``lost``: acknowledged before a drain began that was ok, and never dequeued. A dequeue of unknown outcome may have
  taken one element, a drain any number; as many missing elements are not counted, and make the answer unknown.
- ``out-of-order``: the enqueue of a was acknowledged before that of b began, yet b was dequeued and a was not by the
  time (its dequeue began later). That breaks first in, first out; elements enqueued more than once are left out.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from checkers.arrays import running_maximum
from checkers.calls import Calls, Ints, calls_of, rows_of
from checkers.collections.words import shown, told
from checkers.evidence import Evidence, Told
from harness.columns import FAIL_CODE, INFO_CODE, OK_CODE
from harness.protocols import CheckContext
from harness.verdict import Validity, Verdict

_NEVER: Final = 2**62


class Queue:
    """The checker of queues; O(n log n)."""

    name = "queue"

    def check(self, history: Any, context: CheckContext) -> Verdict:
        """Judge a ``harness.history.History`` with the columns of ``QueueEncoder``."""
        del context
        adds = calls_of(history, "enqueue")
        takes = calls_of(history, "dequeue", "drain")
        unknown = int((takes.outcome == INFO_CODE).sum())
        drains = calls_of(history, "drain")
        endless = bool((drains.outcome == INFO_CODE).any())
        took = takes.where(takes.outcome == OK_CODE)
        owner, rows = rows_of(history, took.completed)
        names, inverse = np.unique(
            np.concatenate((history.fields["element"][adds.invoked], history.rows["element"][rows])),
            return_inverse=True,
        )
        added: Ints = inverse[: len(adds.invoked)]
        taken: Ints = inverse[len(adds.invoked) :]
        elements = _Elements(history, len(names), adds, added, took, owner, taken)
        evidence = Evidence()
        elements.report_strange(evidence)
        if not unknown and not endless:
            elements.taken_at[elements.takes == 0] = _NEVER
        elements.report_disorder(evidence)
        missing = elements.missing(drains)
        valid: Validity = not evidence.counts
        note = ""
        if len(missing) and (endless or len(missing) <= unknown):
            valid = valid and "unknown"
            note = f"{len(missing)} elements are missing, which operations of unknown outcome may have taken"
        else:
            evidence.add_all("lost", missing, elements.told_lost)
            valid = not evidence.counts
        details = {
            "enqueued": int((adds.outcome == OK_CODE).sum()),
            "dequeued": len(taken),
            "never_dequeued": int(((elements.takes == 0) & (elements.acknowledged < _NEVER)).sum()),
            "drained": bool((drains.outcome == OK_CODE).any()),
        }
        return Verdict(self.name, valid, evidence.anomalies, dict(evidence.counts), details=details, note=note)


class _Elements:
    """What became of each element; arrays by its number."""

    def __init__(  # noqa: PLR0917
        self, history: Any, total: int, adds: Calls, added: Ints, took: Calls, owner: Ints, taken: Ints
    ) -> None:
        self._history, self._adds, self._added = history, adds, added
        self._took, self._owner, self._taken = took, owner, taken
        real = adds.outcome != FAIL_CODE
        ok = adds.outcome == OK_CODE
        self.begun = np.full(total, _NEVER)
        np.minimum.at(self.begun, added[real], adds.invoked[real])
        self.acknowledged = np.full(total, _NEVER)
        np.minimum.at(self.acknowledged, added[ok], adds.completed[ok])
        self.tries = np.bincount(added[real], minlength=total)
        self.takes = np.bincount(taken, minlength=total)
        self.taken_at = np.full(total, -1)  # the beginning of its first dequeue; -1 says nothing
        done = np.full(total, _NEVER)
        np.maximum.at(self.taken_at, taken, took.invoked[owner])
        np.minimum.at(done, taken, took.completed[owner])
        self.done = done

    def report_strange(self, evidence: Evidence) -> None:
        strange = self._took.completed[self._owner] < self.begun[self._taken]
        evidence.add_all("unexpected", np.flatnonzero(strange), self._told_unexpected)
        often = (self.takes > self.tries) & (self.tries > 0)
        evidence.add_all("duplicated", np.flatnonzero(often), self._told_twice)

    def report_disorder(self, evidence: Evidence) -> None:
        """For each element, the one that was acknowledged before its enqueue began and was dequeued last."""
        once = (self.tries == 1) & (self.takes <= 1)
        before = np.flatnonzero(once & (self.acknowledged < _NEVER))
        before = before[np.argsort(self.acknowledged[before], kind="stable")]
        if not len(before):
            return
        latest, place = running_maximum(self.taken_at[before])
        after = np.flatnonzero(once & (self.takes == 1))
        at = np.searchsorted(self.acknowledged[before], self.begun[after]) - 1
        wrong = (at >= 0) & (latest[at] > self.done[after])
        pairs = np.stack((after[wrong], before[place[at[wrong]]]), axis=1)
        evidence.add_all("out-of-order", pairs, self._told_disorder)

    def missing(self, drains: Calls) -> Ints:
        """The elements that a drain should have found."""
        drained = int(drains.invoked[drains.outcome == OK_CODE].max(initial=-1))
        return np.flatnonzero((self.acknowledged < drained) & (self.takes == 0))

    def _enqueues(self, element: int) -> list[int]:
        return self._adds.invoked[self._added == element].tolist()

    def _dequeues(self, element: int) -> list[int]:
        return self._took.invoked[self._owner[self._taken == element]].tolist()

    def _index(self, position: Any) -> int:
        return self._history.number(int(position))

    def _named(self, at: int) -> str:
        """The element of a row of what was dequeued, in full."""
        completed = int(self._took.completed[self._owner[at]])
        value = self._history.op(completed).value
        first = int(np.searchsorted(self._owner, self._owner[at]))
        return shown(value[at - first] if isinstance(value, list) else value)

    def _told_unexpected(self, at: int) -> Told:
        invoked = int(self._took.invoked[self._owner[at]])
        tries = self._enqueues(int(self._taken[at]))
        text = f"{told(self._history, invoked)} gave {self._named(at)}, which nobody had tried to enqueue"
        if not tries:
            return [invoked], f"{text}."
        failed = self.tries[self._taken[at]] == 0
        but = "which had failed" if failed else "which came later"
        return [invoked, *tries[:3]], f"{text} but by {told(self._history, tries[0])}, {but}."

    def _told_twice(self, element: int) -> Told:
        adds, takes = self._enqueues(element), self._dequeues(element)
        tries = int(self.tries[element])
        times = "once" if tries == 1 else f"{tries} times"
        text = f"{told(self._history, adds[0])} came {times}, but the element was dequeued "
        where = ", ".join(f"index {self._index(index)}" for index in takes[:5])
        return [*adds[:3], *takes[:5]], f"{text}{len(takes)} times ({where})."

    def told_lost(self, element: int) -> Told:
        add = self._enqueues(element)[0]
        text = f"{told(self._history, add)} was acknowledged at index {self._index(self.acknowledged[element])}"
        return [add], f"{text}, but nobody ever dequeued it, and the queue was drained later."

    def _told_disorder(self, pair: list[int]) -> Told:
        element, other = pair
        add, first = self._enqueues(element)[0], self._enqueues(other)[0]
        take = self._dequeues(element)[0]
        later = self._dequeues(other)
        then = f"was dequeued only from index {self._index(later[0])} on" if later else "was never dequeued"
        before = f"{told(self._history, first)} was acknowledged at index {self._index(self.acknowledged[other])}"
        after = f"{told(self._history, add)} began; yet the latter was dequeued first (index {self._index(take)})"
        text = f"{before}, before {after}, and the former {then}."
        return [first, add, take, *later[:1]], text
