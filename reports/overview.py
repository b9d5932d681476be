"""A run in numbers: what was done, what was injected, how long it hurt. Read once, used by all that shows a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from harness.columns import FAIL_CODE, INFO_CODE, INVOKE_CODE, OK_CODE
from harness.history import History
from harness.op import HEAL_ALL, Op

Ints = npt.NDArray[np.int64]

BEYOND = frozenset({"clock-step", "stale-lease"})  # more than the system promises to survive


class Fault(msgspec.Struct):
    """One injected fault.

    Attributes:
        kind: ``partition``, ``kill`` ...
        start_ns: when it was being put in place.
        end_ns: when its removal was complete; of an instantaneous one, when it was done.
        lasting: it was there for a while, and was then removed.
        healed: it was removed before the history ended (always so for an instantaneous one).
        targets: names of nodes.
        plan: what was to be done.
        measured: what was measured that shows it was there.
        verified: the measurement shows it.
        error: why it could not be done, or None.
        recovered_ns: from the end of the fault to the first ok of an operation invoked after it, None if there is none.
    """

    kind: str
    start_ns: int
    end_ns: int
    lasting: bool
    healed: bool
    targets: list[str]
    plan: dict[str, Any]
    measured: dict[str, Any]
    verified: bool
    error: Any = None
    recovered_ns: int | None = None

    @property
    def beyond(self) -> bool:
        """Whether a sound system may break under it."""
        return self.kind in BEYOND


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
        duration_ns: time of the last entry.
        kinds: statistics by ``f``, in the order of first appearance.
        faults: in the order of their start.
        longest_gap: (from, to) of the longest time without an ok completion, in ns, None without any operation.
    """

    operations: int
    ok: int
    fail: int
    info: int
    duration_ns: int
    kinds: list[KindStatistics]
    faults: list[Fault]
    longest_gap: tuple[int, int] | None

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


def overview(history: History) -> Overview:
    """Read ``history`` once; linear in its length."""
    done = completions(history)
    by_type = np.bincount(done.type, minlength=4)
    duration = int(history.time[-1]) if history.n else 0
    faults = _faults(history.nemesis_ops(), duration)
    _measure_recovery(faults, done)
    kinds = _kinds(history, done)
    return Overview(
        operations=sum(kind.invoked for kind in kinds),
        ok=int(by_type[OK_CODE]),
        fail=int(by_type[FAIL_CODE]),
        info=int(by_type[INFO_CODE]),
        duration_ns=duration,
        kinds=kinds,
        faults=faults,
        longest_gap=_longest_gap(history, done),
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


def _longest_gap(history: History, done: Completions) -> tuple[int, int] | None:
    client = np.flatnonzero(np.asarray(history.process) >= 0)
    if not len(client):
        return None
    ends = [int(history.time[client[0]]), int(history.time[client[-1]])]
    marks = np.concatenate(([ends[0]], done.at[done.type == OK_CODE], [ends[1]]))
    marks.sort()
    widest = int(np.argmax(np.diff(marks)))
    return int(marks[widest]), int(marks[widest + 1])


def _measure_recovery(faults: Sequence[Fault], done: Completions) -> None:
    good = done.type == OK_CODE
    order = np.argsort(done.invoked[good], kind="stable")
    begun = done.invoked[good][order]
    # Of all operations invoked at or after a moment, the first to be ok.
    first_ok = np.minimum.accumulate(done.at[good][order][::-1])[::-1]
    for fault in faults:
        place = int(np.searchsorted(begun, fault.end_ns))
        if fault.healed and fault.error is None and place < len(begun):
            fault.recovered_ns = int(first_ok[place]) - fault.end_ns


def _faults(ops: Sequence[Op], end: int) -> list[Fault]:
    """Pair the nemesis operations: invocation with completion by ``f`` and id, start with stop by kind and id."""
    found: list[Fault] = []
    begun: dict[tuple[str, str], Op] = {}
    lasting: dict[tuple[str, str], Fault] = {}
    for op in ops:
        key = (op.f, _identity(op))
        invocation = begun.pop(key, None)
        if invocation is None:
            begun[key] = op
            continue
        if op.f == HEAL_ALL:
            for fault in lasting.values():
                fault.end_ns, fault.healed = op.time, True
            lasting.clear()
        elif op.f.startswith("stop-"):
            if op.error is None and (fault := lasting.pop((op.f.removeprefix("stop-"), key[1]), None)):
                fault.end_ns, fault.healed = op.time, True
        else:
            fault = _fault(invocation, op, end)
            found.append(fault)
            if fault.lasting and fault.error is None:
                lasting[fault.kind, key[1]] = fault
    # An invocation that never completed: the harness died or was interrupted while it put the fault in place.
    found += [_fault(op, None, end) for op in begun.values() if op.f != HEAL_ALL and not op.f.startswith("stop-")]
    return sorted(found, key=lambda fault: fault.start_ns)


def _identity(op: Op) -> str:
    return repr(op.value.get("id")) if isinstance(op.value, dict) else ""


def _fault(invocation: Op, completion: Op | None, end: int) -> Fault:
    lasting = invocation.f.startswith("start-")
    plan = invocation.value if isinstance(invocation.value, dict) else {}
    value = completion.value if completion is not None and isinstance(completion.value, dict) else {}
    evidence = value.get("evidence")
    evidence = evidence if isinstance(evidence, dict) else {}
    targets = value.get("targets")
    measured = evidence.get("measured")
    error = "it was never reported as done" if completion is None else completion.error or value.get("error")
    over = completion is not None and (not lasting or error is not None)
    return Fault(
        kind=invocation.f.removeprefix("start-"),
        start_ns=invocation.time,
        end_ns=completion.time if completion is not None and over else end,
        lasting=lasting,
        healed=over,
        targets=[str(target) for target in targets] if isinstance(targets, list) else [],
        plan={key: item for key, item in plan.items() if key not in ("id", "targets", "evidence")},
        measured=measured if isinstance(measured, dict) else {},
        verified=evidence.get("verified") is True and error is None,
        error=error,
    )
