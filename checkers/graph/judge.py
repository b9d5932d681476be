"""From a case to a verdict: the engine's decision in the words of the workload."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from checkers.evidence import Evidence
from checkers.graph.case import Case
from checkers.graph.components import split
from checkers.graph.cycles import Cycle, telling_cycles
from checkers.graph.decide import decide
from checkers.graph.dsg import Dependencies
from checkers.graph.explain import PATH, Narrator, explain_cycle
from checkers.graph.levels import NONADJACENT
from checkers.graph.orders_search import Refutation
from checkers.graph.refuted_words import explain_refutation
from checkers.models import CYCLES, TRANSACTIONAL, answer, closed, rank
from harness.protocols import CheckContext
from harness.verdict import Anomaly, Validity, Verdict

_CYCLES_NAMED: Final = 300  # naming takes milliseconds each; a broken system makes thousands alike


def judge(  # noqa: PLR0917 (what there is to judge, and how to tell it)
    name: str,
    history: Any,
    case: Case,
    entries: tuple[Any, Any],
    found: Evidence,
    narrator: Narrator,
    context: CheckContext,
) -> Verdict:
    """The verdict of the checker ``name``: models decided, cycles found and told beside what was ``found`` otherwise.

    Args:
        name: the checker's.
        history: where times and processes stand.
        case: the transactions.
        entries: of each transaction, the positions of its invocation and of its completion (below 0: none).
        found: what is no cycle; cycles are added, by the numbers of transactions.
        narrator: what the transactions did.
        context: which models are asked for, and until when.
    """
    counts, anomalies = found.counts, found.anomalies

    def tell(decided: dict[str, Validity]) -> None:
        models = _models(decided, anomalies)
        context.tell(Verdict(name, answer(models, context.asked), anomalies, dict(counts), models=models))

    ruled_out = {model for anomaly in anomalies for model in anomaly.rules_out}
    decision = decide(case, context.asked, context.deadline, tell, ruled_out)
    groups = decision.groups
    cycles = _cycles(case, decision.known, groups)
    if decision.isolated is not None:
        cycles = chain(cycles, _cycles_in_isolation(case, decision.isolated, groups))
    for cycle in islice(cycles, _CYCLES_NAMED):
        found.add(cycle.name, explain_cycle, cycle.name, cycle.steps, history, entries, narrator)
    notes = [decision.note] if decision.note else []
    if next(cycles, None) is not None:
        notes.append(f"there are more cycles than the {_CYCLES_NAMED} that were named and counted")
    for refutation in _weakest(decision.refuted):
        anomalies.append(explain_refutation(refutation, entries, narrator))
        counts[anomalies[-1].name] += 1
    models = _models(decision.models, anomalies)
    # What had to be shortened is the hardest to follow.
    anomalies.sort(key=lambda anomaly: (any(edge.label == PATH for edge in anomaly.cycle), rank(anomaly.name)))
    return Verdict(
        name,
        valid=answer(models, context.asked),
        anomalies=anomalies,
        counts=dict(counts),
        models=models,
        details={
            "edges": {label: len(edges.source) for label, edges in decision.known.items()},
            "components": len(groups),
            "largest_component": max((len(group) for group in groups), default=0),
        },
        note="; ".join(notes),
    )


def _weakest(refuted: Sequence[Refutation]) -> list[Refutation]:
    """Those of models of which no weaker one is refuted too."""
    return [
        each
        for each in refuted
        if not any(other is not each and other.level <= each.level and other.order <= each.order for other in refuted)
    ]


def _models(decided: dict[str, Validity], anomalies: list[Anomaly]) -> dict[str, Validity]:
    """What the graph says of the models, and what the anomalies say."""
    broken = {model for anomaly in anomalies for model in anomaly.rules_out}
    models: dict[str, Validity] = {
        model: False if model in broken else valid for model, valid in decided.items() if model in TRANSACTIONAL
    }
    return closed(models)


def _cycles_in_isolation(case: Case, isolated: Dependencies, groups: list[NDArray[np.int64]]) -> Iterator[Cycle]:
    """Cycles by edges that are certain from snapshot isolation on: none of them says anything of lower levels."""
    for cycle in _cycles(case, isolated, groups):
        base, dash, order = cycle.name.partition("-process" if cycle.name.endswith("-process") else "-realtime")
        if CYCLES[base] < NONADJACENT:
            yield cycle._replace(name=f"G-single{dash}{order}")
        elif CYCLES[base] == NONADJACENT:
            yield cycle


def _cycles(case: Case, known: Dependencies, groups: list[NDArray[np.int64]]) -> Iterator[Cycle]:
    n = len(case.process)
    inner = {label: split(edges, groups, n) for label, edges in known.items()}
    for place, group in enumerate(groups):
        parts = {label: pieces[place] for label, pieces in inner.items()}
        yield from telling_cycles(parts, case.intervals.of(group), case.process[group], group.tolist())
