"""The very last phase on a real cluster: what commits have written is read back, to tell the client's lies from TiKV's.

tikv-client may report a commit of which it carried out a part (``checkers.bank.read_back``). A share of the commits is
read back in any case, and every one of them once the history contradicts itself, so what was recorded is judged first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from cluster.api import Cluster
from harness.clock import SECOND
from harness.generator import clients, time_limit
from harness.op import Op
from harness.protocols import Context, Generator, Pending, ReadsBack, Workload
from harness.results import Results
from harness.spec import RunSpec

LIMIT_NS: Final = 60 * SECOND

SoFar = Callable[[], tuple[Results, Any]]  # judges what was recorded until now; with the history


def readback_phase(spec: RunSpec, cluster: Cluster, workload: Workload, so_far: SoFar) -> list[Generator]:
    """The phase, or nothing where the client is not tikv-client or the workload has nothing to read back."""
    if not cluster.pd_addresses or not isinstance(workload, ReadsBack):
        return []
    return [clients(time_limit(_WhenAsked(lambda: _readback(spec, workload, so_far)), LIMIT_NS))]


def _readback(spec: RunSpec, workload: ReadsBack, so_far: SoFar) -> Generator:
    results, history = so_far()
    contradictions = [found for verdict in results.verdicts if verdict.valid is False for found in verdict.anomalies]
    return workload.readback_generator(history, spec.readback, contradictions)


class _WhenAsked:
    """A generator that is made when it is asked for the first time: then all that comes before it is over."""

    def __init__(self, make: Callable[[], Generator]) -> None:
        self._make = make
        self._made: Generator | None = None

    def next(self, ctx: Context) -> Op | Pending | None:
        if self._made is None:
            self._made = self._make()
        return self._made.next(ctx)

    def update(self, op: Op) -> None:
        if self._made is not None:
            self._made.update(op)
