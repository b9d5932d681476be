"""Which transfers are read back when all else is done, and how: each of their accounts, at the commit_ts.

That is long after the commit, and outside of any other operation's window: a read resolves locks and moves the
timestamps that a store has seen, which in the middle of the run would hide the very defects that are looked for.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from harness.clock import MILLISECOND
from harness.columns import OK_CODE
from harness.generator import later
from harness.op import INVOKE, NEMESIS, OK, Op
from harness.protocols import PENDING, Context, Pending
from harness.verdict import Anomaly

ATTEMPTS: Final = 3
RETRY_NS: Final = 500 * MILLISECOND
_OF_A_MILLION: Final = 1_000_000


class _Due(NamedTuple):
    """The completion of a transfer to read back, the how-manieth try it is, and when."""

    position: int
    tries: int = 1
    not_before: int = 0


class Readback:
    """Reads back a share of the acknowledged transfers; all of them if there are anomalies, those named there first."""

    def __init__(self, ids: itertools.count[int], history: Any, share: float, anomalies: Sequence[Anomaly]) -> None:
        """``history`` has the bank's columns."""
        self._ids = ids
        self._history = history
        self._share = share
        self._anomalies = anomalies
        self._left: deque[_Due] | None = None
        self._open: dict[int | str, _Due] = {}  # by process

    def next(self, ctx: Context) -> Op | Pending | None:
        """A readback for the thread that has been free the longest."""
        if self._left is None:
            self._left = deque(_Due(position) for position in self._chosen(ctx))
        if not self._left:
            return PENDING if self._open else None
        thread = next((thread for thread in ctx.free if thread != NEMESIS), None)
        if thread is None:
            return PENDING
        if self._left[0].not_before > ctx.time:
            return later(ctx, self._left[0].not_before)
        due = self._left.popleft()
        process = ctx.processes[thread]
        self._open[process] = due
        transfer = self._history.op(due.position).value
        accounts = sorted(record[0] for record in transfer["write"])
        value = {"id": next(self._ids), "of": transfer["id"], "ts": transfer["commit_ts"], "accounts": accounts}
        return Op(-1, ctx.time, process, INVOKE, "readback", value)

    def update(self, op: Op) -> None:
        """One that could not be read comes again, after all others."""
        if op.type == INVOKE or op.process not in self._open or self._left is None:
            return
        due = self._open.pop(op.process)
        if op.type != OK and due.tries < ATTEMPTS:
            self._left.append(_Due(due.position, due.tries + 1, op.time + RETRY_NS))

    def _chosen(self, ctx: Context) -> list[int]:
        history = self._history
        is_transfer = np.isin(history.f, [code for code, f in enumerate(history.f_names) if f == "transfer"])
        committed = is_transfer & (history.type == OK_CODE) & (history.fields["commit_ts"] >= 0)
        acknowledged = np.flatnonzero(committed).tolist()
        if not self._anomalies:
            stream, share = ctx.streams("bank", "readback"), round(self._share * _OF_A_MILLION)
            return [position for position in acknowledged if stream.below(_OF_A_MILLION) < share]
        known = set(acknowledged)
        named = [int(history.pair[index]) for anomaly in self._anomalies for index in anomaly.ops]
        return list(dict.fromkeys([*(position for position in named if position in known), *acknowledged]))
