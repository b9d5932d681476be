"""Collects anomalies: all are counted, some are put in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from checkers.models import rules_out
from harness.verdict import Anomaly, Edge

SHOWN_OF_EACH: Final = 10

Told = tuple[Sequence[int], str] | tuple[Sequence[int], str, list[Edge]]
"""The operations concerned, what is to be said of them, and the cycle if it is one."""


class Evidence:
    """What a checker has found.

    Attributes:
        anomalies: the first ``SHOWN_OF_EACH`` of each name, in words.
        counts: of each name, how many there are in all.
    """

    def __init__(self, invocation: NDArray[np.integer] | None = None) -> None:
        """Take the positions of what tells name by numbers; None where they name positions themselves."""
        self.anomalies: list[Anomaly] = []
        self.counts: Counter[str] = Counter()
        self._invocation = invocation

    def add(self, name: str, tell: Callable[..., Told], *what: Any) -> None:
        """Count one; if it is to be shown ``tell(*what)`` puts it in words."""
        self.add_all(name, [what], lambda each: tell(*each))

    def add_all(self, name: str, cases: Sequence[Any] | NDArray[np.integer], tell: Callable[[Any], Told]) -> None:
        """Count all of these; ``tell`` puts those that are to be shown in words, one by one."""
        if not len(cases):
            return
        shown = cases[: max(SHOWN_OF_EACH - self.counts[name], 0)]
        self.counts[name] += len(cases)
        for case in shown.tolist() if isinstance(shown, np.ndarray) else shown:
            named, text, *cycle = tell(case)
            ops = list(dict.fromkeys(named))
            if self._invocation is not None:
                ops = [int(self._invocation[each]) for each in ops]
            self.anomalies.append(Anomaly(name, ops, f"{name}: {text}", *cycle, rules_out=rules_out(name)))
