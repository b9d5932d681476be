"""Cycles in words: each edge one sentence that quotes the operations, and at the end why they cannot all be true.

What a transaction did and what an edge is about is the workload's to say (``Narrator``); the order of processes and of
time, and the argument, are the same for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

from checkers.evidence import Told
from harness.clock import SECOND
from harness.verdict import Edge

Step = tuple[int, int, str]  # source, target, label; of transactions

PATH: Final = "path"  # label of an edge that stands for many, in a cycle too long to be told whole
_TOLD_WHOLE: Final = 40  # edges
_TOLD_AT_EACH_END: Final = 8

_WHAT: Final = {
    "G0": "writes were installed in a circle",
    "G1c": "information flowed in a circle",
    "G-single": "a read missed a write that it must have seen (read skew)",
    "G-nonadjacent": "several reads each missed a write that they must have seen (long fork)",
    "G2-item": "transactions each missed the other's write (write skew)",
}


class Narrator(Protocol):
    """A workload's part of an explanation."""

    def name(self, txn: int) -> str:
        """A short name, used again and again."""
        ...

    def describe(self, txn: int) -> str:
        """Who it was and what it was meant to do."""
        ...

    def dependency(self, source: int, target: int, label: str) -> str:
        """One sentence on a ww, wr or rw edge."""
        ...


def seconds(time_ns: int) -> str:
    """A time since the start of the run, in seconds."""
    return f"{time_ns // SECOND}.{time_ns % SECOND // 1000:06d} s"


def explain_cycle(name: str, steps: Sequence[Step], history: Any, entries: tuple[Any, Any], narrator: Narrator) -> Told:
    """A cycle as evidence: its transactions, the argument, its edges.

    Args:
        name: its name.
        steps: the edges between transactions; the last leads back to the first.
        history: where times and processes stand.
        entries: of each transaction, the positions of its invocation and of its completion (below 0: none).
        narrator: what the transactions did.
    """
    invocation, _ = entries
    members = len({source for source, _, _ in steps})
    left_out = 0
    if len(steps) > _TOLD_WHOLE:
        left_out = len(steps) - 2 * _TOLD_AT_EACH_END
        steps = _shortened(steps)
    edges = []
    for source, target, label in steps:
        if label == PATH:
            why = f"{left_out} further dependencies lead from {narrator.name(source)} to {narrator.name(target)}."
        elif label in ("process", "realtime"):
            why = _order(source, target, label, history, entries, narrator)
        else:
            why = narrator.dependency(source, target, label)
        edges.append(Edge(int(invocation[source]), int(invocation[target]), label, why))
    told = list(dict.fromkeys(source for source, _, _ in steps))
    who = "; ".join(narrator.describe(txn) for txn in told)
    base = name.removesuffix("-process").removesuffix("-realtime")
    sentences = [
        f"{_WHAT.get(base, 'a cycle')}, among {members} transactions: {who}.",
        *(edge.why for edge in edges),
        _conclusion([narrator.name(source) for source, _, _ in steps]),
    ]
    return told, " ".join(sentences), edges


def rw_cycle(pair: Sequence[int], invocation: Any, narrator: Narrator) -> list[Edge]:
    """The edges between two transactions each of which missed the other's write."""
    return [
        Edge(int(invocation[a]), int(invocation[b]), "rw", narrator.dependency(a, b, "rw"))
        for a, b in (pair, pair[::-1])
    ]


def _shortened(steps: Sequence[Step]) -> list[Step]:
    """The steps around what matters most, the rest as one: what is not a plain flow of data comes first."""
    first = next((at for at, step in enumerate(steps) if step[2] not in ("ww", "wr")), 0)
    turned = [*steps[first:], *steps[:first]]
    head, tail = turned[:_TOLD_AT_EACH_END], turned[-_TOLD_AT_EACH_END:]
    return [*head, (head[-1][1], tail[0][0], PATH), *tail]


def _order(  # noqa: PLR0917 (an edge and where to look)
    source: int, target: int, label: str, history: Any, entries: tuple[Any, Any], narrator: Narrator
) -> str:
    invocation, completion = entries
    done, begun = int(completion[source]), int(invocation[target])
    timed = bool(history.time[done] < history.time[begun])
    first = f"{narrator.name(source)} had completed{_when(history, done, timed=timed)}"
    second = f"{narrator.name(target)} was invoked{_when(history, begun, timed=timed)}"
    also = f", both by process {int(history.process[begun])}" if label == "process" else ""
    return f"{first} before {second}{also}."


def _when(history: Any, position: int, *, timed: bool) -> str:
    """Where it stands, and at what time, unless the history has none or sees no difference."""
    at = f" at {seconds(int(history.time[position]))}" if timed else ""
    return f"{at} (index {history.number(position)})"


def _conclusion(names: list[str]) -> str:
    way = " before ".join([*names, names[0]])
    return f"So {way}: {names[0]} would have to come before itself, which no order of the transactions allows."
