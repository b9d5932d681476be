"""A kind of history: how its operations are recognised, what columns are made of them, and who judges it.

This is what lets ``quorumquake check FILE`` decide a history that comes without a workload: from this harness, from
Jepsen, or from a plain log.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from harness.op import Op
from harness.protocols import Checker, RowEncoder


class Kind(msgspec.Struct, frozen=True):
    """A kind of history.

    Attributes:
        name: what ``--kind`` takes.
        summary: half a sentence on what the operations are.
        recognises: whether an operation of a client belongs to such a history: True, False, or None where this
            operation could also belong to another kind.
        encoder: makes a new encoder, one for each history (it may number names).
        checkers: what judges it.
        models: the consistency models that its checkers decide; empty where there is no matter of models.
        default: those of them that are asked for unless ``--model`` says otherwise.
        with_key_order: what judges it where each key is known to be ``sequential`` or ``linearizable``; None where
            that would tell nothing new.
    """

    name: str
    summary: str
    recognises: Callable[[Op], bool | None]
    encoder: Callable[[], RowEncoder]
    checkers: Callable[[], Sequence[Checker]]
    models: tuple[str, ...] = ()
    default: tuple[str, ...] = ()
    with_key_order: Callable[[str], Sequence[Checker]] | None = None


def recognised_by(encoder: Callable[[], RowEncoder], telling: Sequence[str]) -> Callable[[Op], bool | None]:
    """What recognises a kind: a new encoder takes every operation, and one of those that do ``telling`` is there."""

    def told(op: Op) -> bool | None:
        try:
            encoder().encode(op)
        except ValueError:
            return False
        return True if op.f in telling else None

    return told
