"""What a checker answers: a verdict with its evidence. Three-valued, and unknown is not a pass."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec

Validity = bool | Literal["unknown"]


class Edge(msgspec.Struct, frozen=True):
    """One step of a cycle: ``source`` must come before ``target``.

    Attributes:
        source: index in the history of the invocation of the earlier transaction.
        target: the same of the later one.
        label: ``ww``, ``wr``, ``rw``, ``process`` or ``realtime``.
        why: one sentence that quotes the operations.
    """

    source: int
    target: int
    label: str
    why: str


class Anomaly(msgspec.Struct, frozen=True):
    """A broken promise and what shows it.

    Attributes:
        name: the field's name: ``G-single-realtime``, ``lost-update``, ``wrong-total`` ...
        ops: indices in the history of the operations concerned (of their invocations where they have one).
            Positions for a checker; for its owner, those that stand in a foreign file (``History.number``).
        explanation: in words, for a person.
        cycle: the edges, where the anomaly is a cycle; the last one leads back to the first.
        rules_out: the consistency models that cannot hold any more.
    """

    name: str
    ops: list[int]
    explanation: str
    cycle: list[Edge] = []
    rules_out: list[str] = []


class Verdict(msgspec.Struct):
    """A checker's answer.

    Attributes:
        checker: its name.
        valid: True, False, or ``"unknown"``.
        anomalies: the evidence, the most telling first; capped, see ``counts``.
        counts: how many of each kind there were, in all.
        models: of each consistency model that the checker decides, whether it holds.
        details: more to show: figures, tables. JSON values only.
        note: why it is unknown, or what was left out; one sentence.
        took_s: CPU seconds.
    """

    checker: str
    valid: Validity
    anomalies: list[Anomaly] = []
    counts: dict[str, int] = {}
    models: dict[str, Validity] = {}
    details: dict[str, Any] = {}
    note: str = ""
    took_s: float = 0.0


def worst(validities: Iterable[Validity]) -> Validity:
    """Merge as false > unknown > true; of nothing: unknown, since nothing was shown."""
    seen: Sequence[Validity] = list(validities)
    if any(v is False for v in seen):
        return False
    if not seen or any(v == "unknown" for v in seen):
        return "unknown"
    return True
