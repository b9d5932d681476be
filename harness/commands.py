"""What each command of the command line does. Parsing is in ``cli``; how things look is in ``reports``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from checkers.kinds import KINDS, kind_of
from checkers.models import ALL_MODELS, is_model
from cluster.sim.bugs import BUGS
from harness import doctor as examination
from harness.check import Asked, rendered, results_of
from harness.check import check as judge_each
from harness.config import WORKLOAD_TABLE, load_config
from harness.exit_codes import ExitCode, worst_code
from harness.formats.convert import convert as convert_history
from harness.history import History
from harness.history_source import Source
from harness.judge import judge_run, read_spec
from harness.limits import Limits
from harness.registry import WORKLOADS, spec_of, workload_class
from harness.run import Finished, Plan, plan_run
from harness.run import run as run_plan
from harness.run_folder import SPEC, RunFolder, history_file
from harness.settings import merge, parse_size, parse_workload_options, split_names
from harness.spec import RunSpec, parse_duration
from harness.suggest import unknown_name
from harness.terminal import say, show
from nemesis.registry import NEMESES
from reports.console import LiveLine
from reports.html import write_report


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
    show(rendered(finished.results, finished.history, form, finished.folder).rstrip("\n"))
    return finished


def check(  # noqa: PLR0917 (the options)
    targets: Sequence[str],
    kind: str | None,
    model: str | None,
    key_order: str | None,
    check_timeout: str,
    check_memory: str | None,
    form: str | None,
) -> ExitCode:
    """``check``: judge run folders again, or history files."""
    models = split_names(model, ())
    for name in models:
        if not is_model(name):
            raise unknown_name("model", name, ALL_MODELS)
    seconds = parse_duration(check_timeout, "check-timeout")
    memory = None if check_memory is None else parse_size(check_memory, "check-memory")
    if kind is not None:
        kind_of(kind)
    return judge_each(targets, Asked(kind, tuple(models), Limits(seconds, memory), form, key_order))


def convert(source: str, target: str) -> ExitCode:
    """``convert``: write a history in another format."""
    history = Source.open(history_file(Path(source)))
    convert_history(history, target)
    for warning in history.warnings:
        say(warning)
    return ExitCode.VALID


def report(target: str) -> ExitCode:
    """``report``: write the report of a run again; print its path."""
    folder = RunFolder.open(Path(target))
    before = results_of(folder)
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
        "kinds": {name: kind.summary for name, kind in KINDS.items()},
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
    results = results_of(RunFolder(spec.parent))
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
