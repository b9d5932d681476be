"""The checker of registers: linearizability first, and where that does not settle it, the models below.

What is linearizable satisfies all of them: it is local, it keeps the order of each process, and so on down; why
eventual consistency follows is said there. So the dearer models are decided only for what is not linearizable.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any, Final

import numpy as np

from checkers.evidence import Evidence
from checkers.graph.search import OutOfTime
from checkers.models import (
    CAUSAL,
    EVENTUAL,
    LINEARIZABLE,
    MONOTONIC_READS,
    MONOTONIC_WRITES,
    OF_REGISTERS,
    READ_YOUR_WRITES,
    SEQUENTIAL,
    WRITES_FOLLOW_READS,
    answer,
    closed,
    rank,
)
from checkers.register.causal import causal_misses
from checkers.register.causal_order import Clocks, TooMuch, in_order, places
from checkers.register.causal_words import CausalWords
from checkers.register.eventual import eventual
from checkers.register.linearizability import linearizability
from checkers.register.operations import NOBODY, Operations, Sources, operations_of, seen, sources
from checkers.register.sequential import sequential
from checkers.register.sessions import session_misses
from checkers.register.words import Narrator
from harness.names import NIL
from harness.protocols import CheckContext
from harness.verdict import Validity, Verdict

SESSIONS: Final = {
    MONOTONIC_READS: "non-monotonic-read",
    MONOTONIC_WRITES: "non-monotonic-write",
    READ_YOUR_WRITES: "own-write-missed",
    WRITES_FOLLOW_READS: "cause-missed",
}
# What is not asked for gets so many seconds of search, and none in histories of more operations than that.
_UNASKED_S: Final = 5.0
_UNASKED: Final = 200_000


class RegisterConsistency:
    """Decides all models of registers; histories have the columns of ``checkers.register.columns.RegisterEncoder``."""

    name = "registers"

    def __init__(self, initial: int = NIL) -> None:
        """``initial`` is the code of the value that every register has at first."""
        self._initial = initial

    def check(self, history: Any, context: CheckContext) -> Verdict:
        """Judge a ``harness.history.History``."""
        possible, failed = operations_of(history, initial=self._initial)
        ops = possible.where(seen(possible, history.n))

        def tell(found: Evidence) -> None:
            context.tell(_verdict(self.name, found, {LINEARIZABLE: False}, {}, context))

        first = linearizability(history, ops, failed, context.deadline, tell)
        evidence = first.evidence
        decided: dict[str, Validity] = dict.fromkeys(OF_REGISTERS, "unknown")
        decided[LINEARIZABLE] = first.valid
        notes = {LINEARIZABLE: first.note}
        if first.valid is not True and len(ops.kind):
            context.tell(_verdict(self.name, evidence, decided, notes, context))
            _Below(history, ops, evidence, decided, notes).decide(context)
        verdict = _verdict(self.name, evidence, decided, notes, context)
        verdict.details = first.details
        return verdict


def _verdict(
    name: str, evidence: Evidence, decided: dict[str, Validity], notes: dict[str, str], context: CheckContext
) -> Verdict:
    models = closed({**dict.fromkeys(OF_REGISTERS, "unknown"), **decided})
    left = dict.fromkeys(note for model, note in notes.items() if models[model] == "unknown")
    return Verdict(
        name,
        valid=answer(models, context.asked),
        anomalies=sorted(evidence.anomalies, key=lambda anomaly: rank(anomaly.name)),
        counts=dict(evidence.counts),
        models=models,
        note="; ".join(left),
    )


class _Below:
    """The models below linearizability."""

    def __init__(
        self, history: Any, ops: Operations, evidence: Evidence, decided: dict[str, Validity], notes: dict[str, str]
    ) -> None:
        self._history, self._ops = history, ops
        self._evidence, self._decided, self._notes = evidence, decided, notes
        self._words = CausalWords(Narrator(history, ops))

    def decide(self, context: CheckContext) -> None:
        """Fill in what can be found out."""
        self._decided[EVENTUAL], note = eventual(self._history, self._ops, self._evidence)
        self._notes[EVENTUAL] = f"{EVENTUAL} is unknown, since {note}"
        found = sources(self._ops)
        # Without what keys with repeated values tell there is less of a causal order, and less to be reflected:
        # what is broken even so is broken, but nothing else can be said.
        clear = found._replace(writer=np.where(found.ambiguous[self._ops.key], NOBODY, found.writer))
        try:
            self._causal(clear, context)
        except TooMuch:
            self._leave("causal and the session guarantees: too long, or of too many processes")
        if found.ambiguous.any():
            self._leave("causal and the session guarantees: a value that was seen was written more than once")
        if self._decided[CAUSAL] is False or self._evidence.counts["double-cas"]:
            self._decided[SEQUENTIAL] = False
        else:
            self._sequential(found, context)

    def _leave(self, note: str) -> None:
        for model in (CAUSAL, *SESSIONS):
            self._notes.setdefault(model, note)
            if self._decided[model] is not False:
                self._decided[model] = "unknown"

    def _causal(self, found: Sources, context: CheckContext) -> None:
        counts = self._evidence.counts
        if counts["ThinAirRead"] or counts["CyclicCO"]:
            self._decided[CAUSAL] = False
        place = places(self._ops, found)
        order, circle = in_order(place)
        if circle:
            self._decided[CAUSAL] = False
            if not counts["CyclicCO"]:
                self._evidence.add("CyclicCO", self._words.circle, circle)
            self._leave("the session guarantees: the causal order is circular")
            return
        clocks = Clocks(place, order, context.deadline)
        self._words.place = place
        missed = causal_misses(self._ops, found, clocks, context.deadline)
        for name, which in (("WriteCORead", missed.written >= 0), ("WriteCOInitRead", missed.written < 0)):
            self._evidence.add_all(name, np.stack(missed, axis=1)[which], self._words.missed)
        if self._decided[CAUSAL] is not False:
            self._decided[CAUSAL] = not len(missed.observer)
        sessions = session_misses(self._ops, found, clocks, context.deadline)
        for model, misses in sessions.items():
            self._decided[model] = not len(misses.observer)
            tell = partial(self._words.session, model)
            self._evidence.add_all(SESSIONS[model], np.stack(misses, axis=1), tell)

    def _sequential(self, found: Sources, context: CheckContext) -> None:
        deadline = context.deadline
        if SEQUENTIAL not in context.asked:
            if len(self._ops.kind) > _UNASKED:
                self._notes[SEQUENTIAL] = "sequential is unknown, since nobody asked for it and the history is long"
                return
            deadline = min(deadline, time.monotonic() + _UNASKED_S)
        try:
            answered = sequential(self._ops, found, self._history.n, deadline)
        except OutOfTime:
            self._notes[SEQUENTIAL] = "sequential is unknown, since the search did not end in time"
            return
        self._decided[SEQUENTIAL] = answered is None
        if answered is not None:
            self._evidence.add("non-sequential", self._words.no_order, answered)
