"""What came of a run or a check, in words: the same in all outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from checkers.bank.half_commits import CLIENT_ANOMALY
from harness.results import Results
from harness.verdict import Anomaly, Verdict
from reports.faults import Fault
from reports.overview import Overview
from reports.text import count, listed, shown
from reports.vocabulary import NAME_LIMIT, anomaly_words

_VERDICTS = {True: "Valid: no anomaly found", False: "Anomaly found", "unknown": "Unknown"}


def headline(results: Results) -> str:
    """The verdict in two to five words."""
    found = results.anomalies()
    if results.valid is False and found:
        return f"Anomaly found: {lower_first(anomaly_words(found[0].name)[0])}"
    if _client_anomaly(results) and _reasons_of_others(results) == []:
        return "Client anomaly: half commits" if results.valid == "unknown" else "Valid, but for half commits"
    return _VERDICTS[results.valid]


def _client_anomaly(results: Results) -> str:
    """What the checker of the client has to say of half commits, or of an anomaly of which nobody knows whose it is."""
    return next((verdict.note for verdict in results.verdicts if verdict.checker == CLIENT_ANOMALY), "")


def _reasons_of_others(results: Results) -> list[str]:
    return reasons([verdict for verdict in results.verdicts if verdict.checker != CLIENT_ANOMALY])


def lower_first(text: str) -> str:
    """A heading inside a sentence; a name in capitals stays as it is."""
    return text if text[:2].isupper() or text[1:2] in "0123456789-" else text[:1].lower() + text[1:]


def lead(results: Results, seen: Overview) -> str:
    """What the verdict rests on, in a sentence or two."""
    done = f"{seen.ok:,} of {count(seen.operations, 'operation')} were ok"
    client = _client_anomaly(results)
    if results.valid is True:
        but = f" But {client}; they were asked to be ignored." if client else ""
        return f"{done}, under {tried(seen.faults)}, and every checker passed.{but}"
    if results.valid is False:
        found = results.anomalies()
        broken = anomaly_words(found[0].name)[1] if found else "A checker found a promise broken."
        return f"{broken} {client[:1].upper()}{client[1:]}." if client else broken
    if client and not _reasons_of_others(results):
        return (
            f"{client[:1].upper()}{client[1:]}. With only what is there counted, every checker passed: no promise "
            f"of the store was seen broken, and none can be vouched for. {done}, under {tried(seen.faults)}."
        )
    missed = reasons(results.verdicts)
    if missed:
        return f"Nothing was shown: {'; '.join(missed)}. {done}, under {tried(seen.faults)}."
    return f"Nothing was shown: no checker came to a verdict. {done}, under {tried(seen.faults)}."


def reasons(verdicts: Sequence[Verdict]) -> list[str]:
    """Why it is unknown: the note of each checker that came to no verdict."""
    return [
        (verdict.note or f"the checker {verdict.checker} came to no verdict").rstrip(".")
        for verdict in verdicts
        if verdict.valid == "unknown"
    ]


def tried(faults: Sequence[Fault]) -> str:
    """The faults that were verified, by kind: ``12 verified faults (5 partition, 7 kill)``."""
    verified = [fault.kind for fault in faults if fault.verified]
    if not faults:
        return "no faults"
    if not verified:
        return f"{count(len(faults), 'fault')}, none of them verified"
    kinds = ", ".join(f"{verified.count(kind)} {kind}" for kind in dict.fromkeys(verified))
    rest = len(faults) - len(verified)
    more = f" and {count(rest, 'unverified one')}" if rest else ""
    return f"{count(len(verified), 'verified fault')} ({kinds}){more}"


def totals(counts: Mapping[str, int]) -> str:
    """How many of each anomaly: ``3 lost-update, 12 wrong-total``."""
    return ", ".join(f"{number:,} {shown(name, NAME_LIMIT)}" for name, number in counts.items())


def split_explanation(anomaly: Anomaly) -> tuple[str, str]:
    """The explanation without the sentences of its edges, which are shown one by one: what comes before, and after."""
    text = anomaly.explanation
    whys = [edge.why for edge in anomaly.cycle]
    first, last = (text.find(whys[0]), text.rfind(whys[-1])) if whys else (-1, -1)
    if first < 0 or last < first:
        return text, ""
    return text[:first].strip(), text[last + len(whys[-1]) :].strip()


def ruled_out(anomaly: Anomaly) -> str:
    """The models an anomaly rules out, as a sentence; empty if it names none."""
    return f"This rules out: {listed(anomaly.rules_out)}." if anomaly.rules_out else ""
