"""What is known of a run once it was judged: ``results.json`` of its folder, and what ``check`` prints."""

from __future__ import annotations

from collections import Counter
from typing import Literal

import msgspec

from harness.exit_codes import ExitCode, code_of, worst_code
from harness.verdict import Anomaly, Validity, Verdict

Stage = Literal["running", "recorded", "judged"]


class Results(msgspec.Struct):
    """A judgement.

    Attributes:
        stage: ``running`` and ``recorded`` while nothing has been judged (what a crash leaves behind), then ``judged``.
        valid: all verdicts together, false > unknown > true.
        exit_code: what the process said, or would say.
        kind: of history, for one that comes without a run's folder.
        claim: the consistency model that was promised.
        asked: those that ``valid`` answers, where that was said.
        models: of each consistency model that was decided, whether it holds.
        history_sha256: of the bytes of ``history.jsonl``.
        interrupted: the run was ended early, by Ctrl-C say.
        exceeds_assumptions: faults were injected that the system does not promise to survive.
        warnings: sentences on what was read or left out.
        took_s: CPU seconds of all checks.
    """

    schema_version: int = 1
    stage: Stage = "running"
    valid: Validity = "unknown"
    exit_code: int = int(ExitCode.UNKNOWN)
    workload: str = ""
    kind: str = ""
    claim: str = ""
    asked: list[str] = []
    models: dict[str, Validity] = {}
    verdicts: list[Verdict] = []
    history_sha256: str = ""
    interrupted: bool = False
    exceeds_assumptions: bool = False
    warnings: list[str] = []
    took_s: float = 0.0

    def anomalies(self) -> list[Anomaly]:
        """Of all verdicts, in their order."""
        return [anomaly for verdict in self.verdicts for anomaly in verdict.anomalies]

    def counts(self) -> dict[str, int]:
        """How many anomalies of each name were found, also where few are told."""
        total: Counter[str] = Counter()
        for verdict in self.verdicts:
            total.update(verdict.counts)
        return dict(total)


def exit_code(valid: Validity, *, interrupted: bool) -> ExitCode:
    """The code of a run: an established anomaly counts more than the interruption."""
    codes = [code_of(valid)]
    if interrupted:
        codes.append(ExitCode.INTERRUPTED)
    return worst_code(codes)
