"""Why no order of the versions satisfies a model, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from checkers.graph.explain import Narrator
from checkers.graph.orders_search import Refutation
from checkers.graph.refutation import Argument, Edge
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
    argument = refutation.argument
    who = "; ".join(narrator.describe(txn) for txn in refutation.members)
    count = len(refutation.members)
    text = [
        f"{NO_ORDER}: whichever way writes of a key are ordered, {model} is broken, among {count} transactions: {who}."
    ]
    if argument:
        text += _sentences(argument, narrator)
    ops = [int(entries[0][txn]) for txn in refutation.members]
    return Anomaly(NO_ORDER, ops, " ".join(text), rules_out=stronger(model))


def _sentences(argument: Argument, narrator: Narrator) -> list[str]:
    name = narrator.name
    told = []
    for first, second, cycle, otherwise in argument.steps:
        if otherwise:
            told.append(f"Suppose {name(second)} wrote before {name(first)}.")
            told += _sentences(otherwise, narrator)
            told.append(f"So {name(first)} wrote before {name(second)}.")
        else:
            told.append(f"{name(first)} wrote before {name(second)}, since otherwise {_circle(cycle, narrator)}.")
    one, two = (name(txn) for txn in argument.pair)
    but = "But " if argument.steps else ""
    told.append(
        f"{but}{one} cannot have written before {two}, since {_circle(argument.cycles[0], narrator)}; "
        f"nor after it, since {_circle(argument.cycles[1], narrator)}."
    )
    return told


def _circle(cycle: Sequence[Edge], narrator: Narrator) -> str:
    told = [_BECAUSE[label].format(a=narrator.name(a), b=narrator.name(b)) for a, b, label in cycle]
    return f"{', '.join(told[:-1])} and {told[-1]}, in a circle" if len(told) > 1 else told[0]
