"""Judges a history: loads it, lets the workload's checkers at it, and merges what they say into ``Results``."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from checkers.bank.half_commits import tell_origin
from checkers.coverage import Coverage
from checkers.kind import Kind
from checkers.kinds import KINDS, SAMPLE, kind_of
from checkers.kinds import tell as tell_kind
from checkers.models import together
from checkers.run_checks import merge, run_checks
from harness.columns import OK_CODE
from harness.exit_codes import UsageError
from harness.history import History
from harness.history_reader import first_ops
from harness.history_source import Source
from harness.protocols import CheckContext
from harness.registry import workload_class
from harness.results import Results, exit_code
from harness.run_folder import RunFolder, history_file
from harness.spec import RunSpec
from harness.verdict import Verdict
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
    models: Sequence[str] = (),
    deadline: float = math.inf,
    tell: Callable[[Results], None] = lambda _: None,
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
        models: that ``valid`` answers; none: the workload's claim.
        deadline: when searches give up, in seconds of ``time.monotonic()``.
        tell: takes what is established while it goes on.
    """
    cls = workload_class(workload)
    kinds = [f.removeprefix("start-") for f in history.f_names]
    coverage = Coverage(**cls.MINIMUMS, faults={name: NEMESES[name].kinds for name in nemeses})
    checkers = [*cls(options, run_id="check").checkers(), coverage]
    context = CheckContext(options, cls.claim, tuple(models), deadline, client_anomalies=client_anomalies)
    about = Results(
        workload=workload,
        claim=cls.claim,
        asked=list(context.asked),
        interrupted=interrupted,
        exceeds_assumptions=any(beyond_assumptions(kind) for kind in kinds),
        warnings=list(history.warnings),
    )
    context.tell = _telling(about, tell)
    verdicts = run_checks(checkers, history, context)
    if not simulated:
        tell_origin(verdicts)
    return _judged(about, verdicts, history)


def _judged(about: Results, verdicts: list[Verdict], history: History) -> Results:
    """What the verdicts come to together; ``about`` says what was judged."""
    valid = merge(verdicts)
    return msgspec.structs.replace(
        about,
        stage="judged",
        valid=valid,
        exit_code=int(exit_code(valid, interrupted=about.interrupted)),
        models=together(verdict.models for verdict in verdicts),
        verdicts=verdicts,
        history_sha256=history.sha256(),
        took_s=sum(verdict.took_s for verdict in verdicts),
    )


def _telling(about: Results, tell: Callable[[Results], None]) -> Callable[[Verdict], None]:
    """What takes verdicts as they come, and tells ``about`` with all of them so far."""
    verdicts: dict[str, Verdict] = {}

    def hear(verdict: Verdict) -> None:
        verdicts[verdict.checker] = verdict
        found = list(verdicts.values())
        models = together([about.models, *(each.models for each in found)])
        valid = False if any(each.valid is False for each in found) else "unknown"
        tell(msgspec.structs.replace(about, valid=valid, models=models, verdicts=found))

    tell(about)
    return hear


def judge_run(
    folder: RunFolder,
    *,
    interrupted: bool = False,
    models: Sequence[str] = (),
    deadline: float = math.inf,
    tell: Callable[[Results], None] = lambda _: None,
) -> tuple[Results, History]:
    """Judge what a run's folder holds; writes nothing. ``models`` and what follows as for ``judge``."""
    spec = read_spec(folder)
    if spec.workload in KINDS:
        _require(models, KINDS[spec.workload])
    history = History.load(folder.path, workload_class(spec.workload).encoder)
    results = judge(
        history,
        spec.workload,
        spec.workload_options,
        nemeses=spec.nemesis,
        interrupted=interrupted,
        client_anomalies=spec.client_anomalies,
        simulated=spec.simulated,
        models=models,
        deadline=deadline,
        tell=tell,
    )
    return results, history


def _require(models: Sequence[str], kind: Kind) -> None:
    if models and not kind.models:
        raise UsageError(f"a {kind.name} history is not judged by consistency models; take --model away")
    for model in models:
        if model not in kind.models:
            raise UsageError(f"{model} is no model of {kind.name} histories; theirs are {', '.join(kind.models)}")


def judge_file(
    path: Path,
    kind: str | None = None,
    models: Sequence[str] = (),
    *,
    key_order: str | None = None,
    deadline: float = math.inf,
    tell: Callable[[Results], None] = lambda _: None,
) -> tuple[Results, History]:
    """Judge a history that came without a run's folder, from this harness or another.

    Args:
        path: the file, in any format of ``harness.formats``.
        kind: one of ``checkers.kinds.KINDS``; None: told from the operations.
        models: the consistency models that ``valid`` answers; none: the kind's default.
        key_order: what each key is known to be, ``sequential`` or ``linearizable``; None: neither.
        deadline: when searches give up, in seconds of ``time.monotonic()``.
        tell: takes what is established while it goes on.

    Raises:
        UsageError: it is no history, or its kind cannot be told, or does not decide these models.
    """
    source = Source.open(history_file(path))
    chosen = tell_kind(first_ops(source, SAMPLE), source.name) if kind is None else kind_of(kind)
    asked = tuple(models) or chosen.default
    _require(asked, chosen)
    if key_order and chosen.with_key_order is None:
        raise UsageError(f"--key-order is for rw-register histories, and {path} is a {chosen.name} history")
    checkers = chosen.with_key_order(key_order) if key_order and chosen.with_key_order else chosen.checkers()
    about = Results(kind=chosen.name, asked=list(asked), models=dict.fromkeys(chosen.models, "unknown"))
    tell(about)
    history = History.load(source, chosen.encoder())
    about.warnings += history.warnings
    hear = _telling(about, tell)
    context = CheckContext(models=asked, deadline=deadline, tell=lambda verdict: hear(_numbered(verdict, history)))
    verdicts = [_numbered(verdict, history) for verdict in run_checks(checkers, history, context)]
    results = _judged(about, verdicts, history)
    if results.valid is True and not ((history.type == OK_CODE) & (history.process >= 0)).any():
        results.valid = "unknown"
        results.exit_code = int(exit_code(results.valid, interrupted=False))
        results.models = dict.fromkeys(results.models, "unknown")
        results.warnings.append("no operation is known to have happened, so nothing was shown")
    return results, history


def _numbered(verdict: Verdict, history: History) -> Verdict:
    """The verdict with the indices of operations that stand in the file, by which its owner finds them."""
    anomalies = [
        msgspec.structs.replace(
            anomaly,
            ops=[history.number(op) for op in anomaly.ops],
            cycle=[
                msgspec.structs.replace(edge, source=history.number(edge.source), target=history.number(edge.target))
                for edge in anomaly.cycle
            ],
        )
        for anomaly in verdict.anomalies
    ]
    return msgspec.structs.replace(verdict, anomalies=anomalies)


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
