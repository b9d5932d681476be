"""Figures on a run: how many operations went which way, how long they took, and when nothing worked.

No verdict on the database: always valid. A gate on availability would be a checker of its own.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from checkers.calls import calls_of
from harness.columns import FAIL_CODE, INFO_CODE, OK_CODE
from harness.op import HEAL_ALL
from harness.protocols import CheckContext
from harness.verdict import Verdict

_QUANTILES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
# Errors stand in the JSON lines alone; of a history with more failures than this some are looked at, evenly spread.
_ERRORS_READ: Final = 2000

_READBACK_FLAG: Final = 16  # the bit of the column ``flags`` that marks readbacks, see ``harness.protocols.Workload``
_KINDS: Final = {"ok": OK_CODE, "fail": FAIL_CODE, "info": INFO_CODE}


class Stats:
    """Counts, latencies, availability and recovery, in ``Verdict.details``; times in nanoseconds."""

    name = "stats"

    def check(self, history: Any, context: CheckContext) -> Verdict:
        """Measure a ``harness.history.History``."""
        del context
        invocations, completions, kinds = calls_of(history)
        by_f = {}
        for code, name in enumerate(history.f_names):
            own = history.f[invocations] == code
            if own.any():
                done = own & (completions >= 0)
                took = history.time[completions[done]] - history.time[invocations[done]]
                by_f[name] = _counts(kinds[own]) | {"latency_ns": _latencies(took, kinds[done])}
        # Readbacks are no work: they have their line by f, and are no part of all else.
        work = clients_work(history)[invocations]
        invocations, completions, kinds = invocations[work], completions[work], kinds[work]
        ok_times = np.sort(history.time[completions[kinds == OK_CODE]])
        details = {
            "operations": _counts(kinds),
            "by_f": by_f,
            "errors": _errors(history, completions[(kinds != OK_CODE) & (completions >= 0)]),
            "longest_gap": _longest_gap(history, invocations, ok_times),
            "recoveries": _recoveries(history),
        }
        return Verdict(self.name, valid=True, details=details)


def clients_work(history: Any) -> NDArray[np.bool_]:
    """Which entries are the clients', less those that read commits back when all is over."""
    clients = history.process >= 0
    return clients & ((history.fields["flags"] & _READBACK_FLAG) == 0) if "flags" in history.fields else clients


def outcomes(history: Any) -> dict[str, Any]:
    """How many of the clients' operations went which way, and ``info_share``, readbacks left out."""
    invocations, _, kinds = calls_of(history)
    return _counts(kinds[clients_work(history)[invocations]])


def _counts(kinds: NDArray[Any]) -> dict[str, Any]:
    counts: dict[str, Any] = {name: int((kinds == code).sum()) for name, code in _KINDS.items()}
    total = sum(counts.values())
    return counts | {"info_share": round(counts["info"] / total, 6) if total else 0.0}


def _latencies(took: NDArray[np.int64], kinds: NDArray[Any]) -> dict[str, dict[str, int]]:
    found = {}
    for name, code in _KINDS.items():
        own = np.sort(took[kinds == code])
        if len(own):
            # The nearest rank: a latency that was really there.
            found[name] = {
                label: int(own[max(int(np.ceil(share * len(own))) - 1, 0)]) for label, share in _QUANTILES.items()
            }
    return found


def _errors(history: Any, at: NDArray[np.int64]) -> dict[str, Any]:
    """How often each word of error, by the kind of the completion."""
    picked = at[:: max(-(-len(at) // _ERRORS_READ), 1)]
    counts: dict[str, Counter[str]] = {"fail": Counter(), "info": Counter()}
    for index in picked.tolist():
        op = history.op(index)
        counts.setdefault(op.type, Counter())[str(op.error_word)] += 1
    return {"looked_at": len(picked), "of": len(at)} | {kind: dict(c.most_common()) for kind, c in counts.items()}


def _longest_gap(history: Any, invocations: NDArray[np.int64], ok_times: NDArray[np.int64]) -> dict[str, int]:
    """The longest time without an ok, from the first invocation to the last entry of a client."""
    if not len(invocations):
        return {"from_ns": 0, "to_ns": 0, "length_ns": 0}
    begin = int(history.time[invocations[0]])
    end = int(history.time[np.flatnonzero(clients_work(history))[-1]])
    marks = np.concatenate(([begin], ok_times, [max(end, begin)]))
    gaps = np.diff(marks)
    at = int(np.argmax(gaps))
    return {"from_ns": int(marks[at]), "to_ns": int(marks[at + 1]), "length_ns": int(gaps[at])}


def _recoveries(history: Any) -> list[dict[str, Any]]:
    """After each heal or end of a fault: how long until an operation begun after it was ok; None if none was."""
    found = []
    ok = np.flatnonzero(clients_work(history) & (history.type == OK_CODE))
    by_begin = ok[np.argsort(history.pair[ok], kind="stable")]
    # Of those begun at or after each, when the first was complete.
    begun = history.pair[by_begin]
    soonest = np.minimum.accumulate(history.time[by_begin][::-1])[::-1]
    for op in history.nemesis_ops():
        is_completion = history.pair[op.index] >= 0 and history.pair[op.index] < op.index
        if not is_completion or not (op.f.startswith("stop-") or op.f == HEAL_ALL):
            continue
        at = int(np.searchsorted(begun, op.index))
        after = int(soonest[at]) - op.time if at < len(soonest) else None
        found.append({"index": history.number(op.index), "f": op.f, "time_ns": op.time, "recovered_after_ns": after})
    return found
