"""Runs checkers with protection: one that crashes has established nothing, so its verdict is unknown, never a pass."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from harness.protocols import CheckContext, Checker
from harness.verdict import Validity, Verdict, worst


def run_checks(checkers: Sequence[Checker], history: Any, context: CheckContext) -> list[Verdict]:
    """One verdict of each checker, in their order, with the CPU seconds it took."""
    return [_protected(checker, history, context) for checker in checkers]


def merge(verdicts: Sequence[Verdict]) -> Validity:
    """All together: false > unknown > true; of none: unknown."""
    return worst(verdict.valid for verdict in verdicts)


def _protected(checker: Checker, history: Any, context: CheckContext) -> Verdict:
    before = time.process_time()
    try:
        verdict = checker.check(history, context)
    except Exception as error:  # noqa: BLE001 (whatever it is, the other checkers still run)
        told = str(error) or "no message"
        verdict = Verdict(checker.name, "unknown", note=f"the checker crashed: {type(error).__name__}: {told}")
    verdict.took_s = time.process_time() - before
    context.tell(verdict)
    return verdict
