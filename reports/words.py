"""What the field's names mean, in a sentence for somebody who does not know them: one vocabulary for all outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from checkers.bank.half_commits import CLIENT_ANOMALY
from harness.results import Results
from harness.verdict import Anomaly, Verdict
from reports.faults import Fault
from reports.overview import Overview
from reports.text import count, listed, shown

CLAIMS = {
    "strict-serializable": (
        "Every transaction takes effect at once, at some moment between its invocation and its completion, "
        "as if all of them ran one after the other."
    ),
    "serializable": "The outcome is that of some order in which the transactions ran one after the other.",
    "strong-snapshot-isolation": (
        "Every transaction reads one snapshot that holds all that was committed before it began, "
        "and of two that overlap and write the same record at most one commits."
    ),
    "snapshot-isolation": (
        "Every transaction reads one snapshot, and of two that overlap and write the same record at most one commits."
    ),
    "linearizable": "Every operation on a record takes effect at once, between its invocation and its completion.",
}

_ANOMALIES = {
    "lost-update": ("Lost update", "Two transactions replaced the same version of an account: one update is lost."),
    "wrong-total": ("Wrong total", "A read of all accounts did not add up: money appeared or vanished."),
    "negative-balance": ("Negative balance", "An account was overdrawn, although every transfer checks the balance."),
    "corrupt": ("Corrupt record", "A record came back that is not what was written: its SHA-256 is wrong."),
    "stale-read": ("Stale read", "A read did not show what had been committed at its timestamp."),
    "future-read": ("Future read", "A transaction read what was written only after its snapshot."),
    "garbage-read": ("Garbage read", "A transaction read what nobody had written."),
    "half-commit": (
        "Half commit",
        "A commit that tikv-client reported is there in part or not at all: it dropped the rest on its way to TiKV.",
    ),
    "write-skew": ("Write skew", "Two transactions each read what the other one wrote over, and both committed."),
    "long-fork": ("Long fork", "Two reads saw two writes in opposite orders."),
    "G0": ("Dirty write (G0)", "Transactions overwrote each other in a circle."),
    "G1a": ("Aborted read (G1a)", "A transaction read what an aborted one had written."),
    "G1b": ("Intermediate read (G1b)", "A transaction read a version that was not the last of its writer."),
    "G1c": ("Circular information flow (G1c)", "Transactions read from each other in a circle."),
    "G-single": ("Read skew (G-single)", "A transaction saw one part of another's effects and missed the other part."),
    "G-single-realtime": (
        "Stale read (G-single-realtime)",
        "A transaction missed a write that had been committed before it began.",
    ),
    "G-single-process": (
        "Session read backwards (G-single-process)",
        "A process missed a write that it had already seen, or made itself.",
    ),
    "G-nonadjacent": (
        "G-nonadjacent",
        "Transactions missed each other's writes in a circle, never two of them in a row.",
    ),
    "G2-item": ("Anti-dependency cycle (G2-item)", "Transactions missed each other's writes in a circle."),
}
_ORDERS = {
    "realtime": "against an order that was visible from outside: one had ended before the other began",
    "process": "against the order in which one process did things",
}
_NAME = 60  # characters of a name that is not known here
_VERDICTS = {True: "Valid: no anomaly found", False: "Anomaly found", "unknown": "Unknown"}


def anomaly_words(name: str) -> tuple[str, str]:
    """A heading and a sentence for an anomaly; its own name, and nothing more, for one that is not known here."""
    if name in _ANOMALIES:
        return _ANOMALIES[name]
    base, _, order = name.rpartition("-")
    if order in _ORDERS and base in _ANOMALIES:
        heading, sentence = _ANOMALIES[base]
        return f"{heading.partition(' (')[0]} ({name})", f"{sentence[:-1]}, {_ORDERS[order]}."
    return shown(name, _NAME), ""


def headline(results: Results) -> str:
    """The verdict in two to five words."""
    found = results.anomalies()
    if results.valid is False and found:
        return f"Anomaly found: {_lower_first(anomaly_words(found[0].name)[0])}"
    if _client_anomaly(results) and _reasons_of_others(results) == []:
        return "Client anomaly: half commits" if results.valid == "unknown" else "Valid, but for half commits"
    return _VERDICTS[results.valid]


def _client_anomaly(results: Results) -> str:
    """What the checker of the client has to say of half commits, or of an anomaly of which nobody knows whose it is."""
    return next((verdict.note for verdict in results.verdicts if verdict.checker == CLIENT_ANOMALY), "")


def _reasons_of_others(results: Results) -> list[str]:
    return reasons([verdict for verdict in results.verdicts if verdict.checker != CLIENT_ANOMALY])


def _lower_first(text: str) -> str:
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
    return ", ".join(f"{number:,} {shown(name, _NAME)}" for name, number in counts.items())


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
