"""Why no order of the versions satisfies a model, in words."""

from __future__ import annotations

from typing import Any, Final

from checkers.graph.case import Case
from checkers.graph.explain import Narrator
from checkers.graph.orders_search import Refutation
from checkers.models import GRID, stronger
from harness.verdict import Anomaly

NO_ORDER: Final = "no-version-order"


def explain_refutation(
    refutation: Refutation, case: Case, history: Any, entries: tuple[Any, Any], narrator: Narrator
) -> Anomaly:
    """The anomaly of a model that every order of the versions breaks."""
    del case, history
    model = GRID[refutation.level][refutation.order]
    who = "; ".join(narrator.describe(txn) for txn in refutation.members)
    text = f"{NO_ORDER}: no order of the writes satisfies {model} among {len(refutation.members)} transactions: {who}."
    return Anomaly(NO_ORDER, [int(entries[0][txn]) for txn in refutation.members], text, rules_out=stronger(model))
