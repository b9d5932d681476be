"""``check``: judges run folders and history files, each under its limits, and says what came of it."""

from __future__ import annotations

import math
import os
import signal
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from checkers.stats import outcomes
from harness.exit_codes import EnvironmentFailure, ExitCode, QuorumquakeError, UsageError, worst_code
from harness.history import History
from harness.judge import judge_file, judge_run, read_spec
from harness.limits import Ended, Limits, interrupted_by, under
from harness.results import Results, exit_code
from harness.run_folder import HISTORY, SPEC, RunFolder
from harness.terminal import say, show
from reports.check_text import error_json, file_json, file_text
from reports.leaders import read_leaders
from reports.overview import overview
from reports.verdict_text import summary_json, summary_text

_SEARCHES: Final = 0.9  # of the time; the rest is for putting what was found into words


class _Report(msgspec.Struct):
    """What the judging process says: what a checker has established so far, or how it ended.

    Attributes:
        results: what is established so far.
        text: for standard output.
        said: for standard error.
        code: the exit code, once it is known.
    """

    results: Results | None = None
    text: str = ""
    said: str = ""
    code: int | None = None


class Asked(msgspec.Struct, frozen=True):
    """What ``check`` was asked for: the kind of the history, the models, the limits, and the form of the answer.

    ``key_order`` is as for ``judge_file``.
    """

    kind: str | None = None
    models: tuple[str, ...] = ()
    limits: Limits = Limits()
    form: str | None = None
    key_order: str | None = None


def check(targets: Sequence[str], asked: Asked) -> ExitCode:
    """Judge one target after the other; the exit code is that of the worst. An interruption ends it."""
    codes: list[ExitCode] = []
    with interrupted_by(signal.SIGTERM):
        for number, target in enumerate(targets, start=1):
            code, ended = _check(target, asked, apart=asked.form != "json" and number < len(targets))
            codes.append(code)
            if ended == "interrupted":
                codes.append(ExitCode.INTERRUPTED)
                break
    return worst_code(codes)


def _check(target: str, asked: Asked, *, apart: bool) -> tuple[ExitCode, Ended]:
    """Judge one, and say what came of it, with a blank line after it to set it ``apart`` from the next."""
    before = time.monotonic(), _cpu_of_children()
    outcome = under(asked.limits, lambda send: _work(target, asked, lambda report: send(msgspec.json.encode(report))))
    reports = [msgspec.json.decode(report, type=_Report) for report in outcome.reports]
    final = next((report for report in reports if report.code is not None), None)
    if final is None or final.code is None:
        so_far = next((report.results for report in reversed(reports) if report.results), Results())
        so_far.interrupted = outcome.ended == "interrupted"
        so_far.took_s = _cpu_of_children() - before[1]
        so_far.warnings.append(_why(outcome.ended, asked.limits, time.monotonic() - before[0]))
        final = _cut_short(target, asked, so_far)
    if final.said:
        say(final.said)
    if final.text:
        show(final.text.rstrip("\n") + "\n" * apart)
    assert final.code is not None
    return ExitCode(final.code), outcome.ended


def _cpu_of_children() -> float:
    spent = os.times()
    return spent.children_user + spent.children_system


def _why(ended: Ended, limits: Limits, seconds: float) -> str:
    if ended == "timeout":
        return f"given up after {limits.seconds:g} s, the time that --check-timeout allows"
    if ended == "memory" and limits.memory is not None:
        return f"given up at {limits.memory / 2**20:,.0f} MiB, the memory that --check-memory allows"
    if ended == "interrupted":
        return f"interrupted after {seconds:.0f} s; this is what was established by then"
    if ended == "done":
        return f"given up after {seconds:.0f} s, since there was no memory left"
    return f"the process that judged it was ended from outside after {seconds:.0f} s, for want of memory perhaps"


def _work(target: str, asked: Asked, send: Callable[[_Report], None]) -> None:
    """Judge; whatever happens, tell."""
    try:
        send(_judged(target, asked, lambda results: send(_Report(results=results))))
    except QuorumquakeError as error:
        sentence = str(error)
        text = error_json(target, sentence, int(error.code)) if asked.form == "json" else ""
        send(_Report(said=f"quorumquake: {sentence}", text=text, code=int(error.code)))
    except MemoryError:
        return
    except Exception:  # noqa: BLE001 (the parent says it, with the exit code of an internal error)
        said = f"quorumquake: internal error; please report it with what follows\n{traceback.format_exc()}"
        text = error_json(target, "internal error", int(ExitCode.INTERNAL)) if asked.form == "json" else ""
        send(_Report(said=said, text=text, code=int(ExitCode.INTERNAL)))


def _judged(target: str, asked: Asked, tell: Callable[[Results], None]) -> _Report:
    path = Path(target)
    if not path.exists():
        raise UsageError(f"there is no run or history at {target}")
    deadline = time.monotonic() + (asked.limits.seconds or math.inf) * _SEARCHES
    if in_run_folder(path):
        return _judged_run(target, asked, deadline, tell)
    results, history = judge_file(
        path, asked.kind, asked.models, key_order=asked.key_order, deadline=deadline, tell=tell
    )
    if asked.form == "json":
        return _Report(text=file_json(target, results), code=results.exit_code)
    found = outcomes(history)
    counts = (found["ok"], found["fail"], found["info"])
    return _Report(text=file_text(target, results, counts), code=results.exit_code)


def _judged_run(target: str, asked: Asked, deadline: float, tell: Callable[[Results], None]) -> _Report:
    if asked.kind:
        raise UsageError("a run folder says itself of which kind its history is; take --kind away")
    if asked.key_order:
        raise UsageError("--key-order is for rw-register histories, and this is a run folder")
    folder = RunFolder.open(Path(target))
    interrupted = results_of(folder).interrupted
    results, history = judge_run(folder, interrupted=interrupted, models=asked.models, deadline=deadline, tell=tell)
    said = ""
    try:
        folder.write_json(folder.results, results)
    except EnvironmentFailure as error:  # somebody's who only lets us read it
        said = str(error)
    text = rendered(results, history, asked.form, folder, file=target)
    return _Report(text=text, said=said, code=results.exit_code)


def _cut_short(target: str, asked: Asked, so_far: Results) -> _Report:
    """What was established before the end: what is broken stays broken, the rest is unknown."""
    so_far.exit_code = int(exit_code(so_far.valid, interrupted=so_far.interrupted))
    text = file_json(target, so_far) if asked.form == "json" else file_text(target, so_far)
    return _Report(text=text, code=so_far.exit_code)


def in_run_folder(path: Path) -> bool:
    """Whether it is a run folder, or the history in one."""
    if path.is_dir():
        return (path / SPEC).exists()
    return path.name == HISTORY and path.with_name(SPEC).exists()


def results_of(folder: RunFolder) -> Results:
    """What its ``results.json`` says; where it is missing or broken: that nothing was judged yet."""
    try:
        return msgspec.json.decode(folder.results.read_bytes(), type=Results)
    except (OSError, msgspec.MsgspecError):
        return Results()


def rendered(results: Results, history: History, form: str | None, folder: RunFolder, file: str = "") -> str:
    """What a run came to, as text or as one JSON object; ``file`` is what it was called by, if not its folder."""
    report = folder.report if folder.report.exists() else None
    if form == "json":
        return summary_json(results, report=report, run=folder.path, file=file)
    spec = read_spec(folder)
    return summary_text(
        results,
        overview(history, spec.concurrency),
        leaders=read_leaders(folder.leaders),
        report=report,
        run=folder.path,
        replay=spec.command_line(),
    )
