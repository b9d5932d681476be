"""What ``check`` says of a history file, as text for a person or as one JSON object for a program."""

from __future__ import annotations

import msgspec

from harness.results import Results
from reports.model_table import frontier, table
from reports.text import listed, shown
from reports.verdict_text import anomaly_lines, checker_line, judgement, wrapped
from reports.vocabulary import anomaly_words
from reports.words import lower_first, totals


def file_text(file: str, results: Results, outcomes: tuple[int, int, int] | None = None) -> str:
    """The judgement of a file, each line ending in a newline.

    Args:
        file: its name.
        results: the judgement.
        outcomes: how many operations of clients were ok, failed, and ended as nobody knows; None: that is not known.
    """
    found = results.anomalies()
    lines = [*wrapped(f"{shown(file, 500)}: {_headline(results)} (exit code {results.exit_code})")]
    for anomaly in found[:1]:
        lines += ["", *anomaly_lines(anomaly)]
    if len(found) > 1:
        counts = {name: number for verdict in results.verdicts for name, number in verdict.counts.items()}
        lines += ["", *wrapped(f"found in all: {totals(counts)}", "  ")]
    if results.models:
        lines += ["", *(f"  {line}" for line in table(results.models)), ""]
        for name, models in frontier(results.models):
            few = name != "unknown" or len(models) <= _OPEN
            lines += _entry(_FRONTIER[name], listed(models) if few else f"{len(models)} models, see the table")
    else:
        lines.append("")
    lines += [line for warning in results.warnings for line in wrapped(f"warning: {shown(warning, 600)}")]
    if outcomes is not None:
        ok, fail, info = outcomes
        lines += _entry("operations", f"{ok + fail + info:,} ({ok:,} ok, {fail:,} fail, {info:,} info)")
    lines += [line for verdict in results.verdicts for line in _entry("checker", checker_line(verdict))]
    return "".join(f"{line}\n" for line in lines)


_MARGIN = 12
_OPEN = 3  # models without an answer that are named; the table has them all
_FRONTIER = {"holds": "strongest", "broken": "broken", "unknown": "open"}


def _headline(results: Results) -> str:
    what = f"{results.kind or results.workload} history".lstrip()
    asked = listed(results.asked)
    if results.valid is True:
        return f"{what}, {asked}" if asked else f"{what}, nothing wrong found"
    if results.valid == "unknown":
        return f"{what}, {f'{asked}: ' if asked else ''}unknown"
    broken = [model for model in results.asked if results.models.get(model) is False]
    headings = dict.fromkeys(lower_first(anomaly_words(anomaly.name)[0]) for anomaly in results.anomalies())
    if not broken:
        return f"{what}, found to be wrong: {listed(list(headings)) or 'an anomaly'}"
    missing = f"not {listed(broken)}"
    why = next(iter(headings), missing)
    return f"{what}, {missing}" if why == missing else f"{what}, {missing}: {why}"


def _entry(name: str, text: str) -> list[str]:
    lines = wrapped(text, " " * _MARGIN)
    return [f"{name + ':':<{_MARGIN}}{lines[0][_MARGIN:]}", *lines[1:]]


def file_json(file: str, results: Results) -> str:
    """The judgement as one JSON object on one line, without its end; the keys are those of ``judgement``."""
    return msgspec.json.encode(judgement(file, results)).decode()


def error_json(file: str, sentence: str, code: int) -> str:
    """The same for a file that is no history: ``valid`` is unknown, and ``error`` says why."""
    content = {**judgement(file, Results(exit_code=code)), "error": sentence}
    return msgspec.json.encode(content).decode()
