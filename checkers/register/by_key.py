"""Keys that are searched, each on its own: which of them have a linearization, and why the others have none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import numpy as np

from checkers.evidence import SHOWN_OF_EACH, Evidence, Told
from checkers.register.operations import Ints, Operations
from checkers.register.search import Found, in_turns
from checkers.register.words import Narrator
from harness.verdict import Validity

_BEFORE: Final = 5  # operations that are told of what a search could put in order


def numbers_by_key(ops: Operations, keys: Sequence[int]) -> list[Ints]:
    """Of each of these keys the numbers of its operations."""
    if not keys:
        return []
    order = np.argsort(ops.key, kind="stable")
    bounds = np.searchsorted(ops.key[order], np.arange(len(ops.initial) + 1))
    return [order[bounds[key] : bounds[key + 1]] for key in keys]


def search_keys(
    parts: Sequence[Ints],
    search: Callable[[Ints, float], Found],
    stuck: Callable[[Ints, Found], Told],
    evidence: Evidence,
    tell: Callable[[Evidence], None],
    *,
    narrator: Narrator,
    deadline: float,
) -> tuple[list[Validity], str]:
    """Search them all.

    Args:
        parts: of each key the numbers of its operations.
        search: searches one of these until a deadline.
        stuck: says why there is no order.
        evidence: is added to.
        tell: takes the evidence when there is more to show.
        narrator: of the operations.
        deadline: when to give up, of ``time.monotonic()``.

    Returns:
        What was found of the keys, and a note on those that were not decided.
    """
    verdicts: list[Validity] = []
    late = []
    for place, found in in_turns([partial(search, own) for own in parts], deadline):
        own = parts[place]
        verdicts.append("unknown" if found.valid is None else found.valid)
        if found.valid is None:
            late.append(narrator.key(int(own[0])))
        elif not found.valid:
            evidence.add("non-linearizable", stuck, own, found)
            if evidence.counts["non-linearizable"] <= SHOWN_OF_EACH:
                tell(evidence)
    return verdicts, f"the search did not end in time for {', '.join(late[:SHOWN_OF_EACH])}" if late else ""


def told_stuck(narrator: Narrator, numbers: Sequence[int], found: Found, states: str) -> Told:
    """Why there is no order of a key's operations.

    Args:
        narrator: of the operations.
        numbers: of those that were searched.
        found: how the search ended.
        states: which values there could be at last, in words.
    """
    assert found.stuck is not None
    number = int(numbers[found.stuck])
    last = [int(numbers[each]) for each in found.prefix[-_BEFORE:]]
    text = (
        f"no order of the operations on {narrator.key(number)} takes in {narrator.op(number)}: when it "
        f"{narrator.done(number)}, the value could only be {states}. The longest order that fits has "
        f"{len(found.prefix)} operations"
    )
    text += f" and ends with {narrator.listed(last)}." if last else "."
    return narrator.indices([*last, number]), text
