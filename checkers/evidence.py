"""Collects anomalies: all are counted, some are put in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from checkers.models import rules_out
from harness.verdict import Anomaly

SHOWN_OF_EACH: Final = 10


class Evidence:
    """What a checker has found.

    Attributes:
        anomalies: a few of each name, in words.
        counts: how many there are of each.
    """

    def __init__(self) -> None:
        self.anomalies: list[Anomaly] = []
        self.counts: Counter[str] = Counter()

    def add(self, name: str, tell: Callable[..., tuple[list[int], str]], *what: Any) -> None:
        """Count one; ``tell(*what)`` gives its operations' indices and the words if it is to be shown."""
        self.counts[name] += 1
        if self.counts[name] <= SHOWN_OF_EACH:
            indices, text = tell(*what)
            self.anomalies.append(Anomaly(name, indices, f"{name}: {text}", rules_out=rules_out(name)))
