"""Whether the run tried enough for a pass to mean anything: a run that tried nothing proves nothing.

The verdict is ``unknown``, and its note says why, below a minimum of ok operations in each phase; above a share of
operations of which nobody knows the outcome, since these can hide anything; without a verified fault of each kind that
was asked for; and where a lasting fault was put in force of which nothing shows that it was there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from checkers.stats import clients_work, outcomes
from harness.columns import OK_CODE
from harness.op import HEAL_ALL, Op
from harness.protocols import CheckContext
from harness.verdict import Verdict

_FINAL_FLAG: Final = 1  # the bit of the column ``flags`` that marks operations of the final phase
MOST_INFO: Final = 0.2  # of the operations


class Coverage:
    """The minimum that a run must have done.

    Where there is no column ``flags``, the final phase begins when the nemesis has healed everything.
    """

    name = "coverage"

    def __init__(self, main: int, final: int = 0, faults: Mapping[str, Sequence[str]] | None = None) -> None:
        """Ask for so much.

        Args:
            main: ok operations before the final phase.
            final: ok operations of the final phase.
            faults: of each fault asked for, the kinds (``kill`` for ``start-kill``) of which one must be verified.
        """
        self._main = main
        self._final = final
        self._faults = {name: tuple(kinds) for name, kinds in (faults or {}).items()}

    def check(self, history: Any, context: CheckContext) -> Verdict:
        """Judge a ``harness.history.History``."""
        del context
        ok = clients_work(history) & (history.type == OK_CODE)
        in_final = self._in_final(history)
        main, final = int((ok & ~in_final).sum()), int((ok & in_final).sum())
        nemesis_ops = history.nemesis_ops() if self._faults else []
        seen = {name: _seen(history, nemesis_ops, kinds) for name, kinds in self._faults.items()}
        missed = []
        if main < self._main:
            missed.append(f"{_operations(main)} in the main phase, at least {self._main} are needed")
        if final < self._final:
            missed.append(f"{_operations(final)} in the final phase, at least {self._final} are needed")
        missed += [
            f"no verified fault of {name} ({counts['tried']} tried)"
            for name, counts in seen.items()
            if not counts["verified"]
        ]
        share = outcomes(history)["info_share"]
        if share > MOST_INFO:
            missed.append(
                f"nobody knows the outcome of {share:.0%} of the operations, at most {MOST_INFO:.0%} may be so"
            )
        missed += [
            f"a {kind} was put in force, but could not be shown to be there" for kind in _unshown(history, nemesis_ops)
        ]
        unproved = ", ".join(
            f"{counts['tried'] - counts['verified']} of {counts['tried']} of {name}"
            for name, counts in seen.items()
            if counts["verified"] < counts["tried"]
        )
        note = f"too little was shown: {'; '.join(missed)}" if missed else ""
        if not missed and unproved:
            note = f"faults that could not be verified and do not count: {unproved}"
        return Verdict(
            self.name,
            valid="unknown" if missed else True,
            details={"ok_main": main, "ok_final": final, "info_share": share, "faults": seen},
            note=note,
        )

    def _in_final(self, history: Any) -> Any:
        if "flags" in history.fields:
            return (history.fields["flags"] & _FINAL_FLAG) != 0
        healed = [op.index for op in history.nemesis_ops() if op.f == HEAL_ALL]
        return np.arange(history.n) > (healed[-1] if healed else history.n)


def _seen(history: Any, nemesis_ops: Sequence[Op], kinds: Sequence[str]) -> dict[str, int]:
    """How many faults of these kinds were tried, however often, and how many were shown to be there."""
    names = {name for kind in kinds for name in (kind, f"start-{kind}")}
    shown: dict[tuple[str, str], bool] = {}
    for op in nemesis_ops:
        if op.f not in names:
            continue
        value = op.value if isinstance(op.value, dict) else {}
        invocation = int(history.pair[op.index]) if _is_completion(history, op) else op.index
        fault = op.f, repr(value.get("id", f"at {invocation}"))
        shown[fault] = shown.get(fault, False) or _is_shown(history, op)
    return {"tried": len(shown), "verified": sum(shown.values())}


def _unshown(history: Any, nemesis_ops: Sequence[Op]) -> list[str]:
    """Kinds of the lasting faults that were in force, of which no attempt was verified."""
    verified: dict[tuple[str, Any], bool] = {}
    for op in nemesis_ops:
        verb, _, kind = op.f.partition("-")
        if _is_completion(history, op) and verb == "start" and op.error is None and isinstance(op.value, dict):
            fault = kind, op.value.get("id")
            verified[fault] = verified.get(fault, False) or _is_shown(history, op)
    return list(dict.fromkeys(kind for (kind, _), shown in verified.items() if not shown))


def _is_completion(history: Any, op: Op) -> bool:
    return bool(0 <= history.pair[op.index] < op.index)


def _is_shown(history: Any, op: Op) -> bool:
    """Whether it is a completion with evidence that what was to be done was done."""
    evidence = op.value.get("evidence") if isinstance(op.value, dict) else None
    return _is_completion(history, op) and isinstance(evidence, dict) and evidence.get("verified") is True


def _operations(count: int) -> str:
    return f"{count} ok operation{'' if count == 1 else 's'}"
