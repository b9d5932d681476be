"""Linearizability of a key-value store with get, put and append, each key searched on its own.

A key never written holds the empty string. A put or append of unknown outcome that no get of its key can have seen (its
value is no part of what was read) is left out: between it and the next put there are no gets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from checkers.evidence import Evidence, Told
from checkers.models import LINEARIZABLE, OF_REGISTERS, answer, closed
from checkers.register.by_key import numbers_by_key, search_keys, told_stuck
from checkers.register.columns import KV_F, READ
from checkers.register.machines import STORE
from checkers.register.operations import Ints, operations_of
from checkers.register.search import Call, Found, linearize
from checkers.register.words import Narrator
from harness.protocols import CheckContext
from harness.verdict import Validity, Verdict, worst


class KvLinearizability:
    """The checker; histories have the columns of ``checkers.register.columns.KvEncoder``."""

    name = "linearizability"

    def check(self, history: Any, context: CheckContext) -> Verdict:
        """Judge a ``harness.history.History``."""
        ops, _ = operations_of(history, KV_F)
        narrator = Narrator(history, ops)
        evidence = Evidence()
        parts = numbers_by_key(ops, np.unique(ops.key).tolist())

        def search(own: Ints, until: float) -> Found:
            return linearize(_calls(history, ops, own.tolist())[1], STORE, until)

        def stuck(own: Ints, found: Found) -> Told:
            numbers, calls = _calls(history, ops, own.tolist())
            return told_stuck(narrator, numbers, found, _states(found, calls))

        def tell(evidence: Evidence) -> None:
            context.tell(self._verdict(evidence, False, context))

        verdicts, note = search_keys(parts, search, stuck, evidence, tell, narrator=narrator, deadline=context.deadline)
        verdict = self._verdict(evidence, worst([True, *verdicts]), context)
        verdict.details = {"operations": len(ops.kind), "keys": len(parts)}
        verdict.note = note
        return verdict

    def _verdict(self, evidence: Evidence, valid: Validity, context: CheckContext) -> Verdict:
        models = closed({**dict.fromkeys(OF_REGISTERS, "unknown"), LINEARIZABLE: valid})
        return Verdict(
            self.name,
            valid=answer(models, context.asked),
            anomalies=list(evidence.anomalies),
            counts=dict(evidence.counts),
            models=models,
        )


def _calls(history: Any, ops: Any, own: Sequence[int]) -> tuple[list[int], list[Call]]:
    """The operations of a key that count, by their numbers and as calls."""
    read = []
    calls: list[tuple[int, Call]] = []
    for number in own:
        invoked, completed = int(ops.invoked[number]), int(ops.completed[number])
        kind = int(ops.kind[number])
        value = history.op(completed if kind == READ else invoked).value[1]
        if kind == READ:
            read.append(value)
        calls.append((number, Call((kind, value, None), invoked, completed if completed < history.n else None)))
    text = "\n".join(read)
    kept = [(number, call) for number, call in calls if call.completed is not None or call.action[1] in text]
    return [number for number, _ in kept], [call for _, call in kept]


def _states(found: Found, calls: Sequence[Call]) -> str:
    assert found.stuck is not None
    told = " or ".join(_short(state) for state in found.states)
    kind, value, _ = calls[found.stuck].action
    return f"{told}, but it was to be {_short(value)}" if kind == READ else told


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:20]}...{text[-35:]}")
