"""What ``check`` says of a history file, as text for a person or as one JSON object for a program."""

from __future__ import annotations

import msgspec

from checkers.models import weakest_broken
from harness.results import Results
from reports.model_table import table
from reports.text import either, listed, shown
from reports.verdict_text import anomaly_lines, checker_line, entry, frontier_lines, judgement, wrapped
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
    code = f"(exit code {results.exit_code})".replace(" ", _UNBROKEN)
    lines = [line.replace(_UNBROKEN, " ") for line in wrapped(f"{shown(file, 500)}: {_headline(results)} {code}")]
    for anomaly in found[:1]:
        lines += ["", *anomaly_lines(anomaly)]
    if len(found) > 1:
        lines += ["", *_all_found(results)]
    if results.models:
        lines += ["", *(f"  {line}" for line in table(results.models)), "", *frontier_lines(results.models)]
    else:
        lines.append("")
    lines += [line for warning in results.warnings for line in wrapped(f"warning: {shown(warning, 600)}")]
    if outcomes is not None:
        ok, fail, info = outcomes
        lines += entry("operations", f"{ok + fail + info:,} ({ok:,} ok, {fail:,} fail, {info:,} info)")
    counted = len(found) == 1
    lines += [line for each in results.verdicts for line in entry("checker", checker_line(each, counted=counted))]
    return "".join(f"{line}\n" for line in lines)


def _all_found(results: Results) -> list[str]:
    """How many there are of each anomaly, and which operations are parties to the first ones."""
    lines = ["  found in all, by the indices of the operations (--format json explains more of them):"]
    for name, number in results.counts().items():
        of_each = [anomaly.ops for anomaly in results.anomalies() if anomaly.name == name][:_PLACES]
        places = [" ".join(map(str, ops[:_PARTIES])) + " ..." * (len(ops) > _PARTIES) for ops in of_each]
        more = "; ..." * (number > len(places))
        lines += wrapped(f"{totals({name: number})}: {'; '.join(places)}{more}", "    ")
    return lines


_UNBROKEN = "\N{NO-BREAK SPACE}"
_PLACES = 4  # anomalies of a name whose operations are listed
_PARTIES = 8  # operations of an anomaly


def _headline(results: Results) -> str:
    what = f"{results.kind or results.workload} history".lstrip()
    asked = listed(results.asked)
    if results.valid is True:
        beyond = weakest_broken(results.models)
        return f"{what}, {asked or 'nothing wrong found'}{f', but not {either(beyond)}' if beyond else ''}"
    if results.valid == "unknown":
        return f"{what}, {f'{asked}: ' if asked else ''}unknown"
    broken = [model for model in results.asked if results.models.get(model) is False]
    headings = dict.fromkeys(lower_first(anomaly_words(anomaly.name)[0]) for anomaly in results.anomalies())
    if not broken:
        return f"{what}, found to be wrong: {listed(list(headings)) or 'an anomaly'}"
    missing = f"not {either(broken)}"
    why = next(iter(headings), missing)
    return f"{what}, {missing}" if why == missing else f"{what}, {missing}: {why}"


def file_json(file: str, results: Results) -> str:
    """The judgement as one JSON object on one line, without its end; the keys are those of ``judgement``."""
    return msgspec.json.encode(judgement(file, results)).decode()


def error_json(file: str, sentence: str, code: int) -> str:
    """The same for a file that is no history: ``valid`` is unknown, and ``error`` says why."""
    content = {**judgement(file, Results(exit_code=code)), "error": sentence}
    return msgspec.json.encode(content).decode()
