"""Linearizability of registers, key by key, which is enough: it is local (Herlihy and Wing, 1990).

Keys whose observed values have one writer each are decided exactly by zones, all at once; the others each by a search,
which may meet the deadline. Failed operations did not happen, a failed cas included: it says nothing about the value,
since a store may refuse one for other reasons too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np

from checkers.evidence import SHOWN_OF_EACH, Evidence, Told
from checkers.register.by_key import numbers_by_key, search_keys, told_stuck
from checkers.register.machines import register
from checkers.register.operations import Ints, Operations, sources
from checkers.register.search import Call, Found, linearize
from checkers.register.words import Narrator
from checkers.register.zones import Conflict, Disorder, Zones, zones
from harness.verdict import Validity, worst

_VALUES: Final = 5  # of a chain that are told


class Judgement(NamedTuple):
    """What was found out about a model.

    Attributes:
        valid: whether it holds.
        evidence: what was found against it.
        details: figures.
        note: why it is unknown.
    """

    valid: Validity
    evidence: Evidence
    details: dict[str, Any]
    note: str = ""


def linearizability(
    history: Any,
    ops: Operations,
    failed: Operations,
    deadline: float,
    tell: Callable[[Evidence], None] = lambda _: None,
) -> Judgement:
    """Decide it for registers.

    Args:
        history: what it is about.
        ops: the operations that happened.
        failed: those that would have written.
        deadline: when searches give up, of ``time.monotonic()``.
        tell: takes the evidence whenever a search has added to it, and before the first.
    """
    found = sources(ops)
    by_zones = zones(ops, found, history.n)
    evidence = Evidence()
    words = _Words(Narrator(history, ops), Narrator(history, failed), by_zones)
    _tell_zones(by_zones, evidence, words)
    searched = np.flatnonzero(found.ambiguous).tolist()
    if searched and evidence.counts:
        tell(evidence)

    def search(own: Ints, until: float) -> Found:
        initial = int(ops.initial[ops.key[own[0]]])
        return linearize(search_calls(ops, own, history.n), register(initial), until)

    parts = numbers_by_key(ops, searched)
    verdicts, note = search_keys(parts, search, words.stuck, evidence, tell, narrator=words.narrator, deadline=deadline)
    details = {
        "operations": len(ops.kind),
        "keys": len(np.unique(ops.key)),
        "keys_searched": len(searched),
        "keys_broken": int(by_zones.broken.sum()) + sum(valid is False for valid in verdicts),
    }
    return Judgement(worst([not by_zones.broken.any(), *verdicts]), evidence, details, note)


def _tell_zones(by_zones: Zones, evidence: Evidence, words: _Words) -> None:
    blocks = by_zones.blocks
    evidence.add_all("ThinAirRead", blocks.thin_air, words.thin_air)
    evidence.add_all("double-cas", blocks.rivals.reshape(-1, 2), words.rivals)
    if len(blocks.circular):
        evidence.add("CyclicCO", words.circular, blocks.circular.tolist())
    evidence.add_all("non-linearizable", by_zones.disorders, words.disorder)
    evidence.add_all("non-linearizable", by_zones.conflicts, words.conflict)


def search_calls(ops: Operations, own: Any, n: int) -> list[Call]:
    """The calls of a search; values are slots."""
    columns = (ops.kind, ops.slot, ops.old_slot, ops.invoked, ops.completed)
    rows = zip(*(column[own].tolist() for column in columns), strict=True)
    return [
        Call((kind, value, old), invoked, completed if completed < n else None)
        for kind, value, old, invoked, completed in rows
    ]


class _Block(NamedTuple):
    first_done: int
    last_begun: int
    told: str
    indices: list[int]
    members: list[int]


class _Words:
    """The anomalies in words: indices of the operations concerned, and the text."""

    def __init__(self, narrator: Narrator, failed: Narrator, found: Zones) -> None:
        self.narrator = narrator
        self._failed = failed
        self._found = found

    def thin_air(self, number: int) -> Told:
        observed = int(self.narrator.ops.observed[number])
        told = self.narrator.op(number)
        culprits = np.flatnonzero(self._failed.ops.slot == observed).tolist()
        if not culprits:
            return self.narrator.indices([number]), f"{told} saw {self.narrator.expected(number)}, which nobody wrote."
        text = f"{told} saw {self.narrator.expected(number)}, which only failed operations would have written: "
        indices = self.narrator.indices([number]) + self._failed.indices(culprits[:SHOWN_OF_EACH])
        return indices, f"{text}{self._failed.listed(culprits)}."

    def rivals(self, pair: list[int]) -> Told:
        say, (first, second) = self.narrator, pair
        text = f"{say.op(first)} and {say.op(second)} both succeeded, but {say.expected(first)} was written once."
        return say.indices(pair), f"{text} Whichever came first, the other must have failed."

    def circular(self, numbers: list[int]) -> Told:
        say = self.narrator
        text = f"each of these replaced the value that another one wrote, in a circle: {say.listed(numbers)}."
        return say.indices(numbers[:SHOWN_OF_EACH]), text

    def disorder(self, disorder: Disorder) -> Told:
        say, (later, earlier) = self.narrator, disorder
        part, ops = self._found.blocks.part, say.ops
        if part[earlier] + 1 == part[later] and part[later] % 2:
            why = f"it saw what {say.op(earlier)} wrote, which {say.begun(earlier)} only"
        else:
            why = f"{say.op(earlier)} must come before it, by what was read and replaced, and {say.begun(earlier)} only"
        text = f"{say.op(later)} {say.done(later)}, but {why}."
        return sorted(int(ops.invoked[number]) for number in disorder), text

    def conflict(self, conflict: Conflict) -> Told:
        forward, other = self._block(conflict.forward), self._block(conflict.other)
        if other.first_done < other.last_begun:
            why = "and both cannot be there at once"
        else:
            why = "and all of it lies within that time"
        why += f"; so it is with {conflict.others - 1} more" if conflict.others > 1 else ""
        text = f"of {self.narrator.key(forward.members[0])}, {forward.told}; {other.told}, {why}."
        return sorted({*forward.indices, *other.indices}), text

    def _block(self, head: int) -> _Block:
        say, ops = self.narrator, self.narrator.ops
        members = np.flatnonzero(self._found.blocks.head == head)
        total = len(ops.kind)
        at_done = int(members[np.argmin(ops.completed[members])])
        at_begun = int(members[np.argmax(ops.invoked[members])])
        first_done = -1 if head >= total else int(ops.completed[at_done])
        last_begun = int(ops.invoked[at_begun])
        parts = self._found.blocks.part[members]
        values = list(dict.fromkeys(say.value(int(each)) for each in members[np.argsort(parts, kind="stable")][:200]))
        if head >= total:
            values.insert(0, say.expected(int(members[np.argmin(parts)])))
        shown = values if len(values) <= _VALUES else [*values[:2], "...", *values[-2:]]
        value = (
            f"value {values[0]}"
            if len(set(values)) == 1
            else f"the chain of values {' to '.join(dict.fromkeys(shown))}"
        )
        since = "the beginning" if head >= total else f"{say.place(first_done)}, when {say.op(at_done)} had completed,"
        until = f"{say.place(last_begun)}, when {say.op(at_begun)} was invoked"
        if first_done < last_begun:
            told = f"{value} was certainly there from {since} to {until}"
        else:
            between = f"between {say.place(last_begun)} and {say.place(first_done)} only"
            told = f"{value} was there at some time {between}, by {say.listed(members.tolist())}"
        indices = say.indices(sorted({at_done, at_begun, *([head] if head < total else [])}))
        return _Block(first_done, last_begun, told, indices, members.tolist())

    def stuck(self, own: Ints, found: Found) -> Told:
        return told_stuck(self.narrator, own.tolist(), found, self._values(found.states))

    def _values(self, slots: list[int]) -> str:
        ops = self.narrator.ops
        told = []
        for slot in slots:
            holders = np.flatnonzero(ops.slot == slot)
            told.append(self.narrator.value(int(holders[0])) if len(holders) else "what it was at first")
        return " or ".join(sorted(told))
