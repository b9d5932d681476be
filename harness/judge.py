"""Judges a history: loads it, lets the workload's checkers at it, and merges what they say into ``Results``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from checkers.bank.half_commits import tell_origin
from checkers.coverage import Coverage
from checkers.run_checks import merge, run_checks
from harness.exit_codes import UsageError
from harness.history import History
from harness.protocols import CheckContext
from harness.registry import workload_class
from harness.results import Results, exit_code
from harness.run_folder import RunFolder
from harness.spec import RunSpec
from nemesis.registry import NEMESES, beyond_assumptions


def judge(
    history: History,
    workload: str,
    options: dict[str, Any],
    *,
    nemeses: Sequence[str] = (),
    interrupted: bool = False,
    client_anomalies: str = "unknown",
    simulated: bool = True,
) -> Results:
    """Judge a loaded history.

    Args:
        history: loaded with the encoder of the workload.
        workload: its name.
        options: all of its options.
        nemeses: the names of the faults that were asked for; each needs a verified fault, or the verdict is unknown.
        interrupted: the run was ended early.
        client_anomalies: see ``RunSpec``.
        simulated: the cluster was; else its client, too, may be at the bottom of an anomaly.
    """
    cls = workload_class(workload)
    kinds = [f.removeprefix("start-") for f in history.f_names]
    coverage = Coverage(**cls.MINIMUMS, faults={name: NEMESES[name].kinds for name in nemeses})
    checkers = [*cls(options, run_id="check").checkers(), coverage]
    verdicts = run_checks(checkers, history, CheckContext(options, cls.claim, client_anomalies=client_anomalies))
    if not simulated:
        tell_origin(verdicts)
    valid = merge(verdicts)
    return Results(
        stage="judged",
        valid=valid,
        exit_code=int(exit_code(valid, interrupted=interrupted)),
        workload=workload,
        claim=cls.claim,
        verdicts=verdicts,
        history_sha256=history.sha256(),
        interrupted=interrupted,
        exceeds_assumptions=any(beyond_assumptions(kind) for kind in kinds),
        warnings=list(history.warnings),
        took_s=sum(verdict.took_s for verdict in verdicts),
    )


def judge_run(folder: RunFolder, *, interrupted: bool = False) -> tuple[Results, History]:
    """Judge what a run's folder holds; writes nothing."""
    spec = read_spec(folder)
    history = History.load(folder.path, workload_class(spec.workload).encoder)
    results = judge(
        history,
        spec.workload,
        spec.workload_options,
        nemeses=spec.nemesis,
        interrupted=interrupted,
        client_anomalies=spec.client_anomalies,
        simulated=spec.simulated,
    )
    return results, history


def judge_file(path: Path, workload: str, options: dict[str, Any]) -> tuple[Results, History]:
    """Judge a history that came without a run's folder; no faults are asked for, so none need be verified."""
    history = History.load(path, workload_class(workload).encoder)
    return judge(history, workload, options), history


def read_spec(folder: RunFolder) -> RunSpec:
    """The spec of a run.

    Raises:
        UsageError: it is missing or not one.
    """
    try:
        return RunSpec.of(msgspec.json.decode(folder.spec.read_bytes(), type=dict[str, Any]))
    except OSError as error:
        raise UsageError(f"cannot read {folder.spec}: {error.strerror}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UsageError(f"{folder.spec} is not a run's spec: {error}") from None
