"""The checker of registers: linearizability first, and where that does not settle it, the models below."""

from __future__ import annotations

from typing import Any

from checkers.models import LINEARIZABLE, OF_REGISTERS, answer, closed, rank
from checkers.register.linearizability import linearizability
from checkers.register.operations import operations_of, seen
from harness.names import NIL
from harness.protocols import CheckContext
from harness.verdict import Validity, Verdict


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
        first = linearizability(history, ops, failed, context.deadline)
        decided: dict[str, Validity] = dict.fromkeys(OF_REGISTERS, "unknown")
        decided[LINEARIZABLE] = first.valid
        models = closed(decided)
        return Verdict(
            self.name,
            valid=answer(models, context.asked),
            anomalies=sorted(first.anomalies, key=lambda anomaly: rank(anomaly.name)),
            counts=dict(first.counts),
            models=models,
            details=first.details,
            note=first.note,
        )
