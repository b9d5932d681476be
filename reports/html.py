"""The report of a run: one HTML file that needs nothing else, made from the run's folder alone.

Nothing in it runs: there is no script, and the page forbids itself to load or execute anything. Every value passes
``shown`` and the template's escaping, since what an operation carries was made by the system under test.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import msgspec
import numpy as np
from markupsafe import Markup

from checkers.models import is_model
from cluster.sim.bugs import BUGS
from harness.columns import FAIL_CODE, INFO_CODE
from harness.exit_codes import UsageError
from harness.history import History
from harness.leader_watch import LeaderChange
from harness.results import Results
from harness.run_folder import RunFolder
from harness.spec import RunSpec
from harness.verdict import Anomaly, Edge, Validity
from reports.availability import availability, meanwhile
from reports.balances import Balances, balances
from reports.cycle_drawing import draw_cycle, edge_class, edge_number
from reports.fault_words import back_words, measured, named, planned
from reports.faults import Fault
from reports.leaders import leaderless, read_leaders
from reports.log_windows import LogWindows, Window
from reports.model_table import ORDERS, frontier, frontier_sentence, grid, ladder
from reports.node_logs import NodeLogs
from reports.op_words import OpView, views
from reports.overview import Completions, Overview, completions, overview
from reports.plots import balance_figure, performance_figure
from reports.text import count, duration, instant, listed, shown
from reports.timeline import draw_timeline, window_around
from reports.vocabulary import CLAIMS, anomaly_words
from reports.words import headline, lead, ruled_out, split_explanation, totals

_TEMPLATES = Path(__file__).parent / "templates"
_OPS, _OTHERS, _FAULTS, _EDGES = 20, 12, 200, 40
_ERRORS_READ, _ERRORS = 20_000, 12
_BRIEF = 220
_TEXT = 4_000
_TONES = {True: "valid", False: "invalid", "unknown": "unknown"}


class Evidence(msgspec.Struct):
    """An anomaly with all that is shown of it."""

    checker: str
    heading: str
    gloss: str
    ops: list[OpView]
    left_out: int
    edges: list[dict[str, Any]]
    drawing: Markup
    rules_out: str
    intro: str
    conclusion: str
    logs: list[Window]


class Beside(msgspec.Struct):
    """What a run's folder holds beside spec, results and history; all of it may be missing."""

    leaders: list[LeaderChange] = []
    logs: NodeLogs | None = None


def write_report(folder: RunFolder, history: History) -> Path:
    """Write ``report.html`` of a run's folder from its spec, its results and its history; return its path.

    The same folder gives the same bytes. Files that are missing (a run that was killed before its end, a history that
    came alone) count as empty.

    Raises:
        UsageError: the spec or the results are there and are not what they should be.
        EnvironmentFailure: the report cannot be written.
    """
    spec, results = _read(folder.spec, dict[str, Any]) or {}, _read(folder.results, Results) or Results()
    page = render_report(spec, results, history, Beside(read_leaders(folder.leaders), NodeLogs.open(folder)))
    folder.write_bytes(folder.report, page.encode())
    return folder.report


def _read(path: Path, type_: Any) -> Any:
    try:
        return msgspec.json.decode(path.read_bytes(), type=type_)
    except FileNotFoundError:
        return None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not readable: {error}") from None


def render_report(spec: Mapping[str, Any], results: Results, history: History, beside: Beside | None = None) -> str:
    """The whole page. ``spec`` is what ``spec.json`` holds: the fields of ``RunSpec``, ``command``, ``versions`` ..."""
    beside = beside or Beside()
    seen, done = overview(history, threads_of(spec)), completions(history)
    logs = LogWindows(beside.logs)
    found = [(verdict.checker, anomaly) for verdict in results.verdicts for anomaly in verdict.anomalies]
    evidence = [_evidence(history, checker, anomaly, logs) for checker, anomaly in found[: _OTHERS + 1]]
    first = evidence[0] if evidence else None
    window = window_around(first.ops if first else [], seen.longest_gap, seen.duration_ns)
    page = {
        "spec": spec,
        "results": results,
        "seen": seen,
        "tone": _TONES[results.valid],
        "headline": headline(results),
        "lead": lead(results, seen),
        "claim": CLAIMS.get(results.claim, ""),
        "models": _models(results),
        "cluster": _cluster(spec),
        "anomaly_counts": results.counts(),
        "first": first,
        "others": evidence[1:],
        "others_left_out": max(len(found) - _OTHERS - 1, 0),
        "notes": _notes(spec, results, seen),
        "faults": [(fault, logs.of_fault(fault)) for fault in seen.faults[:_FAULTS]],
        "faults_left_out": max(len(seen.faults) - _FAULTS, 0),
        "logs_left_out": logs.full,
        **availability(spec, seen, beside.leaders),
        "performance": performance_figure(done, seen.faults, seen.duration_ns) if seen.operations else None,
        "window": window,
        "timeline": draw_timeline(history, window, first.ops if first else [], seen.faults) if window else None,
        "errors": _errors(history, done),
        **_balance_section(spec, balances(history, done), seen),
        **_again(spec, results),
    }
    return _environment().get_template("report.html.j2").render(page)


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: value if isinstance(value, Markup | jinja2.Undefined) else shown(value, _TEXT),
    )
    environment.filters["brief"] = lambda value: shown(value, _BRIEF)
    environment.globals.update(
        back_words=back_words,
        duration=duration,
        instant=instant,
        leaderless=leaderless,
        listed=listed,
        measured=measured,
        meanwhile=meanwhile,
        named=named,
        planned=planned,
        totals=totals,
        when=_when,
    )
    return environment


def _evidence(history: History, checker: str, anomaly: Anomaly, logs: LogWindows) -> Evidence:
    edges = list(anomaly.cycle)
    order = [edge.source for edge in edges] + [edge.target for edge in edges] + list(anomaly.ops)
    ops = views(history, dict.fromkeys(order))
    labels = {op.index: op.label for op in ops}
    drawn = [op for op in ops if not edges or op.index in {edge.source for edge in edges}]
    heading, gloss = anomaly_words(anomaly.name)
    intro, conclusion = split_explanation(anomaly)
    return Evidence(
        checker=checker,
        heading=heading,
        gloss=gloss,
        ops=ops[:_OPS],
        left_out=max(len(ops) - _OPS, 0),
        edges=[_edge_row(number, edge, labels) for number, edge in enumerate(edges[:_EDGES], 1)],
        drawing=draw_cycle(drawn, edges) if edges or len(drawn) <= 4 else Markup(""),
        rules_out=ruled_out(anomaly),
        intro=intro,
        conclusion=conclusion,
        logs=logs.of_operations(ops[:_OPS]),
    )


def _edge_row(number: int, edge: Edge, labels: Mapping[int, str]) -> dict[str, Any]:
    return {
        "mark": edge_number(number),
        "source": labels.get(edge.source, str(edge.source)),
        "target": labels.get(edge.target, str(edge.target)),
        "label": edge.label,
        "class_": edge_class(edge.label),
        "why": edge.why,
    }


def _models(results: Results) -> dict[str, Any]:
    """What was decided of consistency models; empty where nothing was."""
    models: dict[str, Validity] = {model: valid for model, valid in results.models.items() if is_model(model)}
    if not models:
        return {}
    at_issue = [(name, model) for name, found in frontier(models) for model in found]
    return {
        "sentence": frontier_sentence(models),
        "orders": ORDERS,
        "grid": grid(models),
        "ladder": ladder(models),
        "asked": set(results.asked),
        "claims": CLAIMS,
        "at_issue": [(name, model) for name, model in at_issue if name != "unknown" and model != results.claim],
    }


def _cluster(spec: Mapping[str, Any]) -> str:
    where = spec.get("cluster", "an unknown cluster")
    if where != "sim":
        return str(where)
    nodes = spec.get("nodes")
    return f"the simulated cluster ({count(nodes, 'store')})" if isinstance(nodes, int) else "the simulated cluster"


def _notes(spec: Mapping[str, Any], results: Results, seen: Overview) -> list[dict[str, str]]:
    notes: list[dict[str, str]] = []
    if results.stage != "judged":
        text = "The run ended before its history was judged; check it with: quorumquake check."
        notes.append({"tone": "unknown", "title": "Not judged.", "text": text})
    if results.exceeds_assumptions or any(fault.beyond for fault in seen.faults):
        text = (
            "Faults were injected that the system does not promise to survive (a monotonic clock that steps, say). "
            "An anomaly is to be expected here and shows no defect."
        )
        notes.append({"tone": "unknown", "title": "The system's assumptions were exceeded.", "text": text})
    if bug := spec.get("bug"):
        notes.append({"tone": "unknown", "title": f"Planted bug: {bug}.", "text": _bug_words(str(bug), results)})
    if results.interrupted:
        text = "The run was ended early; what was recorded until then was judged."
        notes.append({"tone": "unknown", "title": "Interrupted.", "text": text})
    return notes


def _bug_words(name: str, results: Results) -> str:
    bug = BUGS.get(name)
    if bug is None:
        return ""
    found = {anomaly.name for anomaly in results.anomalies()}
    named = [name for name in bug.expects if name in found]
    if named:
        outcome = f"It was caught: {' and '.join(named)} {'is' if len(named) == 1 else 'are'} named."
    else:
        outcome = f"It should show as {' or '.join(bug.expects)}, which is not named."
    return f"{bug.summary} Seen in {bug.seen_in}. {outcome}"


def _when(fault: Fault) -> str:
    return (
        f"{fault.start_ns / 1e9:.3f} \N{EN DASH} {instant(fault.end_ns)}" if fault.lasting else instant(fault.start_ns)
    )


def _errors(history: History, done: Completions) -> list[dict[str, Any]]:
    """How often each error word came, by kind and outcome; of the first operations only where there are very many."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for index in done.index[np.isin(done.type, (FAIL_CODE, INFO_CODE))][:_ERRORS_READ]:
        op = history.op(int(index))
        word = "no error given" if op.error_word is None else shown(op.error_word, _BRIEF)
        counts[op.f, op.type, word] += 1
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_ERRORS]
    return [{"f": f, "outcome": outcome, "word": word, "times": times} for (f, outcome, word), times in ordered]


def _balance_section(spec: Mapping[str, Any], seen: Balances | None, run: Overview) -> dict[str, Any]:
    if seen is None:
        return {"balance": None, "balance_note": ""}
    options = spec.get("workload_options")
    expected = options.get("total") if isinstance(options, dict) else None
    expected = expected if type(expected) is int else None
    note = f"{count(len(seen.at), 'read')} of all accounts were ok"
    if expected is not None:
        wrong = int((seen.total != expected).sum())
        right, bad = (
            f"each of them saw the total of {expected:,}.",
            f"{wrong:,} of them saw another total than {expected:,}.",
        )
        note += f"; {bad if wrong else right}"
    if seen.left_out:
        note += f" The first {len(seen.accounts)} accounts are drawn, {seen.left_out} are not."
    return {"balance": balance_figure(seen, expected, run.faults, run.duration_ns), "balance_note": note}


def _again(spec: Mapping[str, Any], results: Results) -> dict[str, Any]:
    simulated = spec.get("cluster") == "sim"
    repeat = (
        "The same seed gives the same history, byte for byte."
        if simulated
        else "The same schedule of faults; on a real cluster the outcome may differ."
    )
    hidden = {"workload", "workload_options", "versions", "command", "description", "schema_version"}
    options = {key.replace("_", "-"): _plain(value) for key, value in spec.items() if key not in hidden}
    return {
        "command": command_line(spec),
        "again": repeat if spec else "How it was run is not known: there is no spec.json in its folder.",
        "options": {"workload": results.workload or spec.get("workload", ""), **options},
        "workload_options": _mapping(spec.get("workload_options")),
        "versions": _mapping(spec.get("versions")),
        "description": _mapping(spec.get("description")),
    }


def command_line(spec: Mapping[str, Any]) -> str:
    """One line that runs the test of ``spec.json`` again; empty if the file does not say enough."""
    if isinstance(given := spec.get("command"), str):
        return given
    try:
        return RunSpec.of(spec).command_line()
    except msgspec.ValidationError:
        return ""


def threads_of(spec: Mapping[str, Any]) -> int:
    """How many threads the clients had; 0 where ``spec.json`` does not say."""
    threads = spec.get("concurrency")
    return threads if type(threads) is int and threads > 0 else 0


def _mapping(value: Any) -> dict[str, str]:
    return {shown(key, 60): _plain(item) for key, item in value.items()} if isinstance(value, Mapping) else {}


def _plain(value: Any) -> str:
    if isinstance(value, list | tuple) and not any(isinstance(item, list | dict) for item in value):
        return ", ".join(shown(item, _BRIEF) for item in value) or "none"
    if value is None:
        return "none"
    return shown(value, _BRIEF)
