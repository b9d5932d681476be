"""A run in numbers: what was done, what was injected, how long it hurt. Read once, used by all that shows a run."""

from __future__ import annotations

import msgspec
import numpy as np
import numpy.typing as npt

from checkers.coverage import MOST_INFO
from checkers.stats import clients_work, outcomes
from harness.columns import FAIL_CODE, INFO_CODE, INVOKE_CODE, OK_CODE
from harness.history import History
from reports.faults import Fault, read_faults
from reports.gaps import Gap, longest_gap, notable_gaps
from reports.recovery import measure_recovery

Ints = npt.NDArray[np.int64]


class KindStatistics(msgspec.Struct):
    """The operations of one kind; ``pending`` ones have no completion. Latencies are of ``ok`` ones, in ns."""

    f: str
    invoked: int
    ok: int
    fail: int
    info: int
    pending: int
    p50: int | None
    p95: int | None
    p99: int | None
    slowest: int | None


class Overview(msgspec.Struct):
    """A run in numbers.

    Attributes:
        operations: client operations invoked.
        ok, fail, info: of these, by completion.
        info_share: of the operations, how many nobody knows the outcome of, as ``checkers.coverage`` counts them.
        duration_ns: time of the last entry.
        kinds: statistics by ``f``, in the order of first appearance.
        faults: in the order of their start.
        longest_gap: the longest time without an ok completion, None without any operation.
        gaps: all that are longer than ``gaps.NOTABLE_NS``, in order.
    """

    operations: int
    ok: int
    fail: int
    info: int
    info_share: float
    duration_ns: int
    kinds: list[KindStatistics]
    faults: list[Fault]
    longest_gap: Gap | None
    gaps: list[Gap]

    @property
    def much_info(self) -> bool:
        """Whether nobody knows the outcome of more operations than a run may have of those."""
        return self.info_share > MOST_INFO

    @property
    def verified_faults(self) -> list[Fault]:
        """Those that were shown to have been there."""
        return [fault for fault in self.faults if fault.verified]


class Completions(msgspec.Struct):
    """Arrays over the completed client operations, in order of completion.

    Attributes:
        at: time of the completion, ns.
        invoked: time of the invocation, ns.
        type: code of the completion.
        f: code of the kind.
        index: of the completion in the history.
    """

    at: Ints
    invoked: Ints
    type: Ints
    f: Ints
    index: Ints


def completions(history: History) -> Completions:
    """The completed client operations of ``history``."""
    process, kind, pair = np.asarray(history.process), np.asarray(history.type), np.asarray(history.pair)
    index = np.flatnonzero((process >= 0) & (kind != INVOKE_CODE) & (pair >= 0))
    begin = pair[index]
    time = np.asarray(history.time, dtype=np.int64)
    return Completions(
        at=time[index],
        invoked=time[begin],
        type=kind[index].astype(np.int64),
        f=np.asarray(history.f)[index].astype(np.int64),
        index=index.astype(np.int64),
    )


def overview(history: History, threads: int = 0) -> Overview:
    """Read ``history`` once; linear in its length.

    Args:
        history: of the run.
        threads: how many there were (``concurrency`` of the spec): process ``p`` is of thread ``p % threads``. 0: not
            known, every process counts as a thread of its own.
    """
    done = completions(history)
    by_type = np.bincount(done.type, minlength=4)
    duration = int(history.time[-1]) if history.n else 0
    faults = read_faults(history.nemesis_ops(), duration)
    measure_recovery(faults, history, threads)
    ok_at = np.asarray(history.time, dtype=np.int64)[clients_work(history) & (np.asarray(history.type) == OK_CODE)]
    kinds = _kinds(history, done)
    return Overview(
        operations=sum(kind.invoked for kind in kinds),
        ok=int(by_type[OK_CODE]),
        fail=int(by_type[FAIL_CODE]),
        info=int(by_type[INFO_CODE]),
        info_share=outcomes(history)["info_share"],
        duration_ns=duration,
        kinds=kinds,
        faults=faults,
        longest_gap=longest_gap(history, ok_at, faults),
        gaps=notable_gaps(history, ok_at, faults),
    )


def _kinds(history: History, done: Completions) -> list[KindStatistics]:
    invocation = (np.asarray(history.process) >= 0) & (np.asarray(history.type) == INVOKE_CODE)
    invoked = np.bincount(np.asarray(history.f)[invocation], minlength=len(history.f_names))
    result: list[KindStatistics] = []
    for code, name in enumerate(history.f_names):
        if not invoked[code]:
            continue
        mine = done.f == code
        counts = np.bincount(done.type[mine], minlength=4)
        good = mine & (done.type == OK_CODE)
        latency = np.sort(done.at[good] - done.invoked[good])
        p50, p95, p99, slowest = (_quantile(latency, q) for q in (50, 95, 99, 100))
        result.append(
            KindStatistics(
                f=name,
                invoked=int(invoked[code]),
                ok=int(counts[OK_CODE]),
                fail=int(counts[FAIL_CODE]),
                info=int(counts[INFO_CODE]),
                pending=int(invoked[code] - counts[1:].sum()),
                p50=p50,
                p95=p95,
                p99=p99,
                slowest=slowest,
            )
        )
    return result


def _quantile(ordered: Ints, percent: int) -> int | None:
    """The nearest-rank quantile: a latency that really occurred."""
    return int(ordered[-(-len(ordered) * percent // 100) - 1]) if len(ordered) else None
