"""The outcome of a run or a check as text for a terminal, or as one JSON object for a program."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from harness.leader_watch import LeaderChange
from harness.results import Results
from harness.verdict import Anomaly, Validity, Verdict
from reports.faults import Fault
from reports.gaps import NOTABLE_NS
from reports.leaders import leader_moves, leaders_words, reigns
from reports.model_table import frontier
from reports.overview import Overview
from reports.text import count, duration, instant, listed, shown
from reports.vocabulary import anomaly_words
from reports.words import headline, lead, split_explanation, totals, tried

_WIDTH = 100
_LINE = 3_000  # a path or a command may be longer than the width, but not without end
_EDGES = 8
_ALSO = 5
_KINDS = 3
_MARGIN = 12
_OPEN = 3  # models without an answer that are named; the table has them all
_FRONTIER = {"holds": "strongest", "broken": "broken", "unknown": "open"}


def summary_text(
    results: Results,
    seen: Overview,
    *,
    leaders: Sequence[LeaderChange] = (),
    report: Path | None = None,
    run: Path | None = None,
    replay: str = "",
) -> str:
    """The outcome in a few lines, each ending in a newline.

    Args:
        results: the judgement.
        seen: ``overview`` of the history.
        leaders: who led when, as far as is known.
        report: where the report is, if there is one.
        run: where the run's folder is, if there is one.
        replay: the command that runs it again.
    """
    found = results.anomalies()
    blocks = [f"{headline(results)} (exit code {results.exit_code})", *wrapped(lead(results, seen))]
    if found:
        blocks += ["", *anomaly_lines(found[0])]
        more = [anomaly_words(anomaly.name)[0] for anomaly in found[1:]]
        if more:
            named = ", ".join(dict.fromkeys(more[:_ALSO]))
            blocks += ["", f"  and {count(len(more), 'other anomaly', 'other anomalies')} shown in the report: {named}"]
    blocks += ["", *_notes(results), *_figures(results, seen), *_availability(seen, leaders)]
    places = (("report", report), ("run", run), ("again", replay))
    blocks += [f"{name + ':':<12}{shown(str(place), 2000)}" for name, place in places if place]
    return "".join(f"{shown(line, _LINE)}\n" for line in blocks)


def anomaly_lines(anomaly: Anomaly) -> list[str]:
    """An anomaly with the edges of its cycle."""
    intro, conclusion = split_explanation(anomaly)
    lines = wrapped(shown(intro, 4000), "  ")
    for edge in anomaly.cycle[:_EDGES]:
        lines += wrapped(f"{edge.source} -> {edge.target} [{shown(edge.label, 12)}] {shown(edge.why, 600)}", "    ")
    if len(anomaly.cycle) > _EDGES:
        lines.append(f"    and {count(len(anomaly.cycle) - _EDGES, 'more edge')}")
    return [*lines, *wrapped(shown(conclusion, 4000), "  ")]


def _notes(results: Results) -> list[str]:
    lines: list[str] = []
    if results.exceeds_assumptions:
        lines += wrapped("The system's assumptions were exceeded: an anomaly is to be expected and shows no defect.")
    if results.interrupted:
        lines += wrapped("The run was interrupted; what was recorded until then was judged.")
    for warning in results.warnings:
        lines += wrapped(f"warning: {shown(warning, 600)}")
    return [*lines, ""] if lines else []


def _figures(results: Results, seen: Overview) -> list[str]:
    share = f" ({seen.info_share:.0%})" if seen.much_info else ""
    outcomes = f"{seen.ok:,} ok, {seen.fail:,} fail, {seen.info:,} info{share}"
    lines = [
        f"{'operations:':<12}{seen.operations:,} ({outcomes}) in {duration(seen.duration_ns)}",
        f"{'faults:':<12}{tried(seen.faults)}",
    ]
    lines += [f"{'checker:':<12}{checker_line(verdict)}" for verdict in results.verdicts]
    return lines + frontier_lines(results.models)


def frontier_lines(models: Mapping[str, Validity]) -> list[str]:
    """Which are the strongest models that hold, and the weakest that are broken; those without an answer if few."""
    lines: list[str] = []
    for state, names in frontier(models):
        few = state != "unknown" or len(names) <= _OPEN
        lines += entry(_FRONTIER[state], listed(names) if few else f"{len(names)} models, see the table")
    return lines


def entry(name: str, text: str) -> list[str]:
    """A line with a name in front of it, and as many more as it takes."""
    lines = wrapped(text, " " * _MARGIN)
    return [f"{name + ':':<{_MARGIN}}{lines[0][_MARGIN:]}", *lines[1:]]


def _availability(seen: Overview, leaders: Sequence[LeaderChange]) -> list[str]:
    """A line each for the longest gap, the slowest recovery and leader changes, where there is something to say."""
    lines: list[str] = []
    if seen.longest_gap is not None and seen.gaps:
        gap = seen.longest_gap
        under = f" ({_kinds(gap.faults)})" if gap.faults else ""
        lines.append(f"{'gap:':<12}no ok for {duration(gap.length)} from {instant(gap.begin)}{under}")
    if slowest := _slowest(seen.faults):
        never = sum(fault.recovery.never > 0 for fault in seen.faults if fault.recovery)
        left = f"; not all of them after {count(never, 'fault')}" if never else ""
        lines.append(f"{'recovery:':<12}{slowest}{left}")
    if moves := leader_moves(reigns(leaders), seen.faults):
        lines.append(f"{'leaders:':<12}{count(len(moves), 'change')} seen: {leaders_words(moves)}")
    return lines


def _slowest(faults: Sequence[Fault]) -> str:
    """After which fault the last thread took longest to come back; empty if all were quick."""
    times = [
        (fault.recovery.last_ns, fault.recovery.last_thread, fault)
        for fault in faults
        if fault.recovery and fault.recovery.last_ns is not None and fault.recovery.last_ns > NOTABLE_NS
    ]
    if not times:
        return ""
    took, thread, fault = max(times, key=lambda entry: entry[0])
    return f"every thread within {duration(took)} (thread {thread} after {_kinds([fault])})"


def _kinds(faults: Sequence[Fault]) -> str:
    kinds = list(dict.fromkeys(shown(fault.kind, 20) for fault in faults))
    return ", ".join(kinds[:_KINDS] + ["..."] * (len(kinds) > _KINDS))


def checker_line(verdict: Verdict, *, counted: bool = True) -> str:
    """What a checker came to, with its counts (if these are not told elsewhere) and its note."""
    state = {True: "valid", False: "anomaly", "unknown": "unknown"}[verdict.valid]
    counts = f" ({totals(verdict.counts)})" if verdict.counts and verdict.valid is False and counted else ""
    note = f"{';' if counts else ':'} {shown(verdict.note, 300)}" if verdict.note else ""
    return f"{verdict.checker} {state}{counts}{note}"


def wrapped(text: str, indent: str = "") -> list[str]:
    """The text in lines of the terminal's width, paragraph by paragraph."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        lines += textwrap.wrap(
            paragraph,
            _WIDTH,
            initial_indent=indent,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
    return lines


def summary_json(results: Results, *, report: Path | None = None, run: Path | None = None, file: str = "") -> str:
    """The outcome as one JSON object on one line, ending in a newline.

    Keys: those of ``judgement``; interrupted, exceeds_assumptions; run, report (paths, null where there is none).
    """
    content = {
        **judgement(file or str(run or ""), results),
        "interrupted": results.interrupted,
        "exceeds_assumptions": results.exceeds_assumptions,
        "run": None if run is None else str(run),
        "report": None if report is None else str(report),
    }
    return msgspec.json.encode(content).decode() + "\n"


def judgement(file: str, results: Results) -> dict[str, Any]:
    """What is told of a file and of a run alike, as JSON values.

    Keys: schema_version, file, kind, valid, asked, models, anomalies (name, ops, cycle, explanation, rules_out),
    counts, verdicts (checker, valid, counts, details, note), warnings, exit_code, history_sha256, took_s (CPU seconds).
    """
    return {
        "schema_version": results.schema_version,
        "file": file,
        "kind": results.kind or results.workload,
        "valid": results.valid,
        "asked": results.asked,
        "models": results.models,
        "anomalies": [_anomaly(anomaly) for anomaly in results.anomalies()],
        "counts": results.counts(),
        "verdicts": [_verdict(verdict) for verdict in results.verdicts],
        "warnings": results.warnings,
        "exit_code": results.exit_code,
        "history_sha256": results.history_sha256,
        "took_s": round(results.took_s, 3),
    }


def _anomaly(anomaly: Anomaly) -> dict[str, Any]:
    cycle: Sequence[Any] = msgspec.to_builtins(anomaly.cycle)
    return {
        "name": anomaly.name,
        "ops": anomaly.ops,
        "cycle": cycle,
        "explanation": anomaly.explanation,
        "rules_out": anomaly.rules_out,
    }


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "checker": verdict.checker,
        "valid": verdict.valid,
        "counts": verdict.counts,
        "details": verdict.details,
        "note": verdict.note,
    }
