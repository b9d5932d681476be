"""What each command of the command line does. Parsing is in ``cli``; how things look is in ``reports``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from cluster.sim.bugs import BUGS
from harness import doctor as examination
from harness.config import WORKLOAD_TABLE, load_config
from harness.exit_codes import EnvironmentFailure, ExitCode, UsageError, worst_code
from harness.formats.convert import convert as convert_history
from harness.history import History
from harness.history_source import Source
from harness.judge import judge_file, judge_run, read_spec
from harness.registry import WORKLOADS, spec_of, workload_class, workload_options
from harness.results import Results
from harness.run import Finished, Plan, plan_run
from harness.run import run as run_plan
from harness.run_folder import HISTORY, SPEC, RunFolder, history_file
from harness.settings import merge, parse_workload_options
from harness.spec import RunSpec
from harness.terminal import say, show
from nemesis.registry import NEMESES
from reports.console import LiveLine
from reports.html import write_report
from reports.leaders import read_leaders
from reports.overview import overview
from reports.verdict_text import summary_json, summary_text


def run(**given: Any) -> ExitCode:
    """``run``: resolve the options, carry out the run, print what came of it."""
    spec, form = resolve(given)
    plan = plan_run(spec)
    if (left_out := plan.selection.left_out()) and not spec.simulated:
        say(f"faults that cannot be had here: {left_out}")
    if given["dry_run"]:
        return _dry_run(plan, form)
    return _carry_out(plan, form).code


def resolve(given: dict[str, Any]) -> tuple[RunSpec, str]:
    """The spec of a run and the output format, from the command line and the TOML file.

    Raises:
        UsageError: an option is wrong.
    """
    config = load_config(given["config"], Path.cwd())
    options = merge({**given, "format": given["form"]}, config)
    own = {**config.get(WORKLOAD_TABLE, {}), **parse_workload_options(given["workload_opts"])}
    return spec_of(given["workload"], options, own), options["format"]


def _dry_run(plan: Plan, form: str | None) -> ExitCode:
    if form == "json":
        show(msgspec.json.encode(plan.schedule).decode())
    else:
        show(f"# {plan.spec.command_line()}")
        show(plan.schedule.describe() or "no faults")
    return ExitCode.VALID


def _carry_out(plan: Plan, form: str | None) -> Finished:
    say(plan.spec.command_line())
    with LiveLine(plan.spec.time_limit_ns) as line:
        finished = run_plan(plan, line)
    if finished.failure:
        say(finished.failure)
    _print_results(finished.results, finished.history, form, finished.folder)
    return finished


def check(target: str, workload: str | None, workload_opts: Sequence[str], form: str | None) -> ExitCode:
    """``check``: judge a run folder again, or a history file."""
    path = Path(target)
    if not path.exists():
        raise UsageError(f"there is no run or history at {target}")
    if _in_run_folder(path):
        folder = RunFolder.open(path)
        if workload or workload_opts:
            raise UsageError(
                "a run folder says itself which workload it holds; take --workload and --workload-opt away"
            )
        results, history = judge_run(folder, interrupted=_results_of(folder).interrupted)
        _keep(folder, results)
        _print_results(results, history, form, folder)
        return ExitCode(results.exit_code)
    name = workload or "bank"
    options = workload_options(name, parse_workload_options(workload_opts))
    results, history = judge_file(path, name, options)
    _print_results(results, history, form)
    return ExitCode(results.exit_code)


def convert(source: str, target: str) -> ExitCode:
    """``convert``: write a history in another format."""
    history = Source.open(history_file(Path(source)))
    convert_history(history, target)
    for warning in history.warnings:
        say(warning)
    return ExitCode.VALID


def _in_run_folder(path: Path) -> bool:
    if path.is_dir():
        return (path / SPEC).exists()
    return path.name == HISTORY and path.with_name(SPEC).exists()


def _keep(folder: RunFolder, results: Results) -> None:
    """Write the results beside the history, unless the folder is somebody's who only lets us read it."""
    try:
        folder.write_json(folder.results, results)
    except EnvironmentFailure as error:
        say(str(error))


def _results_of(folder: RunFolder) -> Results:
    """What its ``results.json`` says; where it is missing or broken: that nothing was judged yet."""
    try:
        return msgspec.json.decode(folder.results.read_bytes(), type=Results)
    except (OSError, msgspec.MsgspecError):
        return Results()


def report(target: str) -> ExitCode:
    """``report``: write the report of a run again; print its path."""
    folder = RunFolder.open(Path(target))
    before = _results_of(folder)
    if before.stage == "judged":
        history = History.load(folder.path, workload_class(read_spec(folder).workload).encoder)
    else:
        results, history = judge_run(folder, interrupted=before.interrupted)
        folder.write_json(folder.results, results)
    show(str(write_report(folder, history)))
    return ExitCode.VALID


def replay(target: str, out: str | None, form: str | None) -> ExitCode:
    """``replay``: run the same again, and compare the histories. Another history than before is ``unknown``."""
    before = RunFolder.open(Path(target))
    spec = msgspec.structs.replace(read_spec(before), out=out or str(before.path.parent.parent))
    plan = plan_run(spec)
    finished = _carry_out(plan, form)
    return worst_code([finished.code, _compare(before, finished, spec)])


def _compare(before: RunFolder, finished: Finished, spec: RunSpec) -> ExitCode:
    old = History.load(before.path).sha256()
    new = finished.results.history_sha256
    if old == new:
        say(f"the same history as before: {new}")
        return ExitCode.VALID
    if not spec.simulated:
        say("another history than before, as is to be expected of a real cluster")
        return ExitCode.VALID
    say(f"another history than before: {new}, not {old}; was it recorded by another version, or interrupted?")
    return ExitCode.UNKNOWN


def list_(what: str, out: str | None, form: str | None) -> ExitCode:
    """``list``: what there is to choose from, and the runs so far."""
    base = Path(out or "runs")
    tables = {
        "workloads": {name: cls.summary for name, cls in WORKLOADS.items()},
        "nemeses": {name: nemesis.summary for name, nemesis in NEMESES.items()},
        "bugs": {name: bug.summary for name, bug in BUGS.items()},
        "runs": {str(path.parent): _verdict_of(path) for path in sorted(base.glob(f"*/[0-9]*/{SPEC}"))},
    }
    chosen = tables if what == "all" else {what: tables[what]}
    if form == "json":
        show(msgspec.json.encode(chosen).decode())
        return ExitCode.VALID
    for title, table in chosen.items():
        if what == "all":
            show(f"{title}:")
        width = max((len(name) for name in table), default=0)
        for name, text in table.items():
            show(f"  {name:<{width}}  {text}")
    return ExitCode.VALID


def _verdict_of(spec: Path) -> str:
    results = _results_of(RunFolder(spec.parent))
    if results.stage != "judged":
        return "not judged"
    names = ", ".join(sorted({anomaly.name for anomaly in results.anomalies()}))
    return f"{_WORDS[results.valid]}{': ' + names if names else ''}"


_WORDS = {True: "valid", False: "anomaly", "unknown": "unknown"}


def doctor(form: str | None) -> ExitCode:
    """``doctor``: what works here."""
    findings = examination.examine()
    if form == "json":
        show(msgspec.json.encode(findings).decode())
    else:
        examination.print_findings(findings, show)
    return ExitCode.ENVIRONMENT if any(finding.state == "wrong" for finding in findings) else ExitCode.VALID


def _print_results(results: Results, history: History, form: str | None, folder: RunFolder | None = None) -> None:
    run = folder.path if folder else None
    report = folder.report if folder and folder.report.exists() else None
    if form == "json":
        show(summary_json(results, report=report, run=run).rstrip("\n"))
        return
    spec = read_spec(folder) if folder else None
    text = summary_text(
        results,
        overview(history, spec.concurrency if spec else 0),
        leaders=read_leaders(folder.leaders) if folder else (),
        report=report,
        run=run,
        replay=spec.command_line() if spec else "",
    )
    show(text.rstrip("\n"))
