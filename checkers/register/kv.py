"""Linearizability of a key-value store with get, put and append, each key searched on its own.

A key never written holds the empty string. A put or append of unknown outcome that no get of its key can have seen (its
value is no part of what was read) is left out: between it and the next put there are no gets.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import numpy as np

from checkers.evidence import SHOWN_OF_EACH, Evidence, Told
from checkers.models import LINEARIZABLE, OF_REGISTERS, answer, closed
from checkers.register.columns import KV_F, READ
from checkers.register.machines import STORE
from checkers.register.operations import operations_of
from checkers.register.search import Call, Found, in_turns, linearize
from checkers.register.words import Narrator
from harness.protocols import CheckContext
from harness.verdict import Validity, Verdict, worst

_BEFORE: Final = 5


class KvLinearizability:
    """The checker; histories have the columns of ``checkers.register.columns.KvEncoder``."""

    name = "linearizability"

    def check(self, history: Any, context: CheckContext) -> Verdict:
        """Judge a ``harness.history.History``."""
        ops, _ = operations_of(history, KV_F)
        narrator = Narrator(history, ops)
        evidence = Evidence()
        verdicts: list[Validity] = [True]
        late = []
        order = np.argsort(ops.key, kind="stable")
        keys = np.split(order, np.searchsorted(ops.key[order], np.arange(1, len(ops.initial))))
        keys = [own for own in keys if len(own)]

        def search(own: Any, until: float) -> Found:
            return linearize(_calls(history, ops, own.tolist())[1], STORE, until)

        for place, found in in_turns([partial(search, own) for own in keys], context.deadline):
            own = keys[place].tolist()
            verdicts.append("unknown" if found.valid is None else found.valid)
            if found.valid is None:
                late.append(narrator.key(own[0]))
            elif not found.valid:
                evidence.add("non-linearizable", _stuck, narrator, *_calls(history, ops, own), found)
                if evidence.counts["non-linearizable"] <= SHOWN_OF_EACH:
                    context.tell(self._verdict(evidence, False, context))
        verdict = self._verdict(evidence, worst(verdicts), context)
        verdict.details = {"operations": len(ops.kind), "keys": len(keys)}
        verdict.note = f"the search did not end in time for {', '.join(late[:SHOWN_OF_EACH])}" if late else ""
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


def _stuck(narrator: Narrator, numbers: Sequence[int], calls: Sequence[Call], found: Found) -> Told:
    assert found.stuck is not None
    stuck = numbers[found.stuck]
    last = [numbers[each] for each in found.prefix[-_BEFORE:]]
    text = f"no order of the operations on {narrator.key(stuck)} takes in {narrator.op(stuck)}: when it "
    text += f"{narrator.done(stuck)}, the value could only be {' or '.join(_short(state) for state in found.states)}"
    text += f", but it was to be {_short(calls[found.stuck].action[1])}" if calls[found.stuck].action[0] == READ else ""
    text += f". The longest order that fits has {len(found.prefix)} operations"
    text += f" and ends with {narrator.listed(last)}." if last else "."
    return narrator.indices([*last, stuck]), text


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:20]}...{text[-35:]}")
