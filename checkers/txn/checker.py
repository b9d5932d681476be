"""The checkers of list-append and rw-register: facts and anomalies from here, models and cycles from the engine."""

from __future__ import annotations

from typing import Any

from checkers.evidence import Evidence
from checkers.graph.case import Case
from checkers.graph.judge import judge
from checkers.models import TRANSACTIONAL
from checkers.txn import append_words, register_words
from checkers.txn.appends import append_facts
from checkers.txn.facts import Facts
from checkers.txn.register_orders import orders_of
from checkers.txn.registers import register_facts
from checkers.txn.words import TxnNarrator
from harness.protocols import CheckContext
from harness.verdict import Verdict


class ListAppend:
    """Judges histories with the columns of ``ListAppendEncoder``."""

    name = "list-append"

    def check(self, history: Any, context: CheckContext) -> Verdict:
        """Judge a ``harness.history.History``."""
        found = append_facts(history)
        narrator = append_words.AppendNarrator(history, found)
        if len(found.facts.ambiguous):
            return _ambiguous(self.name, narrator)
        case = _case(history, found.facts)._replace(prefix=True)
        return _judge(self.name, history, case, append_words.tell(found, narrator), narrator, context)


class RwRegister:
    """Judges histories with the columns of ``RegisterEncoder``.

    Args:
        sequential_keys: each key is known to be sequentially consistent: what a process did to it happened in order.
        linearizable_keys: each key is known to be linearizable: what was done to it happened in the order of time.
    """

    name = "rw-register"

    def __init__(self, *, sequential_keys: bool = False, linearizable_keys: bool = False) -> None:
        self._sequential = sequential_keys
        self._linearizable = linearizable_keys

    def check(self, history: Any, context: CheckContext) -> Verdict:
        """Judge a ``harness.history.History``."""
        found = register_facts(history)
        narrator = register_words.RegisterNarrator(history, found.facts)
        if len(found.facts.ambiguous):
            return _ambiguous(self.name, narrator)
        case = _case(history, found.facts)
        evidence = register_words.tell(found, narrator)
        if self._sequential or self._linearizable:
            before, backwards = orders_of(found.facts, case, linearizable=self._linearizable)
            register_words.tell_backwards(evidence, backwards, found, narrator)
            case = case._replace(before=before)
        return _judge(self.name, history, case, evidence, narrator, context)


def _case(history: Any, facts: Facts) -> Case:
    intervals = facts.txns.intervals(facts.committed, int(history.n))
    return Case(intervals, facts.txns.process, facts.versions, facts.read_txn, facts.read_version, facts.version_key)


def _judge(  # noqa: PLR0917 (what there is to judge)
    name: str, history: Any, case: Case, evidence: Evidence, narrator: TxnNarrator, context: CheckContext
) -> Verdict:
    txns = narrator.facts.txns
    return judge(name, history, case, (txns.invocation, txns.completion), evidence, narrator, context)


def _ambiguous(name: str, narrator: TxnNarrator) -> Verdict:
    facts = narrator.facts
    write = int(facts.ambiguous[0])
    row = int(facts.written.row[write])
    note = (
        f"{narrator.value(row)} was written to {narrator.key(row)} more than once (again by "
        f"{narrator.name(int(facts.written.txn[write]))}), and read: nobody can tell which write that was"
    )
    return Verdict(name, "unknown", models=dict.fromkeys(TRANSACTIONAL, "unknown"), note=note)
