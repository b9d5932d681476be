"""Why no order of the versions satisfies a model, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from checkers.graph.explain import Narrator
from checkers.graph.orders_search import Refutation
from checkers.graph.refutation import Edge
from checkers.models import GRID, stronger
from harness.verdict import Anomaly

NO_ORDER: Final = "no-version-order"
_BECAUSE: Final = {
    "ww": "{a} wrote before {b}",
    "wr": "{b} read what {a} wrote",
    "rw": "{a} read what {b} overwrote",
    "process": "{a} was over before {b} of the same process",
    "realtime": "{a} had completed before {b} was invoked",
}


def explain_refutation(refutation: Refutation, entries: tuple[Any, Any], narrator: Narrator) -> Anomaly:
    """The anomaly of a model that every order of the versions breaks.

    Args:
        refutation: the transactions, and why.
        entries: of each transaction, the positions of its invocation and of its completion.
        narrator: what the transactions did.
    """
    model = GRID[refutation.level][refutation.order]
    name, argument = narrator.name, refutation.argument
    who = "; ".join(narrator.describe(txn) for txn in refutation.members)
    count = len(refutation.members)
    text = [
        f"{NO_ORDER}: whichever way writes of a key are ordered, {model} is broken, among {count} transactions: {who}."
    ]
    for first, second, cycle in argument.steps:
        text.append(f"{name(first)} wrote before {name(second)}, since otherwise {_circle(cycle, narrator)}.")
    if argument.pair and argument.cycles:
        one, two = (name(txn) for txn in argument.pair)
        but = "But " if argument.steps else ""
        text.append(
            f"{but}{one} cannot have written before {two}, since {_circle(argument.cycles[0], narrator)}; "
            f"nor after it, since {_circle(argument.cycles[1], narrator)}."
        )
    ops = [int(entries[0][txn]) for txn in refutation.members]
    return Anomaly(NO_ORDER, ops, " ".join(text), rules_out=stronger(model))


def _circle(cycle: Sequence[Edge], narrator: Narrator) -> str:
    told = [_BECAUSE[label].format(a=narrator.name(a), b=narrator.name(b)) for a, b, label in cycle]
    return f"{', '.join(told[:-1])} and {told[-1]}, in a circle" if len(told) > 1 else told[0]
