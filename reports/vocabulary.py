"""What models promise and what anomalies are, in a sentence each, for somebody who does not know the names."""

from __future__ import annotations

from typing import Final

from reports.text import shown

NAME_LIMIT: Final = 60  # characters of a name that is not known here

_LEVELS: Final = {
    "read-uncommitted": "Transactions do not overwrite each other in a circle",
    "read-committed": "Nothing is read but what a committed transaction wrote last, and information flows in no circle",
    "snapshot-isolation": (
        "Every transaction reads one snapshot, and of two that overlap and write the same record at most one commits"
    ),
    "serializable": "The outcome is that of some order in which the transactions ran one after the other",
}
_IN_SESSION: Final = "the order in which each process did things is kept"
_IN_TIME: Final = "the order of time is kept: what had ended before another began comes before it"

CLAIMS: Final = {
    **{name: f"{sentence}." for name, sentence in _LEVELS.items()},
    **{f"strong-session-{name}": f"{sentence}; {_IN_SESSION}." for name, sentence in _LEVELS.items()},
    **{f"strong-{name}": f"{sentence}; {_IN_TIME}." for name, sentence in list(_LEVELS.items())[:2]},
    "strong-session-snapshot-isolation": (
        "Every transaction reads one snapshot that holds all that its own process had seen or committed before, "
        "and of two that overlap and write the same record at most one commits."
    ),
    "strong-snapshot-isolation": (
        "Every transaction reads one snapshot that holds all that was committed before it began, "
        "and of two that overlap and write the same record at most one commits."
    ),
    "strict-serializable": (
        "Every transaction takes effect at once, at some moment between its invocation and its completion, "
        "as if all of them ran one after the other."
    ),
    "linearizable": "Every operation on a record takes effect at once, between its invocation and its completion.",
    "sequential": (
        "The outcome is that of some order of all operations in which each process does its own in their order."
    ),
    "causal": "Who has seen something has also seen all that came before it: what its writer had seen and written.",
    "eventual": "Once nothing more is written, all reads of a record agree, on a value that nothing had overwritten.",
    "monotonic-reads": "A process never sees something older than what it has seen before.",
    "monotonic-writes": "Who sees a write also sees what its writer had written before.",
    "read-your-writes": "A process sees its own writes.",
    "writes-follow-reads": "Who sees a write also sees what its writer had read before.",
}

_OF_TRANSACTIONS: Final = {
    "lost-update": ("Lost update", "Transactions replaced the same version of a record: all but one update are lost."),
    "duplicate-elements": ("Duplicate elements", "An element stands twice in a list, though it was appended once."),
    "incompatible-order": (
        "Incompatible orders",
        "The elements of a list were seen in orders that contradict each other, or the order of their appends.",
    ),
    "cyclic-versions": (
        "Circular versions (cyclic-versions)",
        "The versions of a record would have to follow each other in a circle.",
    ),
    "no-version-order": (
        "No possible order of writes",
        "Whichever order the writes to each record had, what transactions read contradicts it.",
    ),
    "internal": (
        "Internal contradiction",
        "A transaction did not see what it had itself read or written before.",
    ),
    "dirty-update": ("Dirty update", "A committed write lies on top of what an aborted transaction had written."),
    "stale-read": ("Stale read", "A read did not show what had been committed at its timestamp."),
    "future-read": ("Future read", "A transaction read what was written only later, by others or by itself."),
    "garbage-read": ("Garbage read", "A transaction read what nobody had written."),
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
        "Long fork (G-nonadjacent)",
        "Transactions missed each other's writes in a circle, never two of them in a row.",
    ),
    "G2-item": ("Write skew (G2-item)", "Transactions missed each other's writes in a circle."),
}
_OF_MONEY: Final = {
    "wrong-total": ("Wrong total", "A read of all accounts did not add up: money appeared or vanished."),
    "negative-balance": ("Negative balance", "An account was overdrawn, although every transfer checks the balance."),
    "missing-account": ("Missing account", "A read of all accounts did not find one of them."),
    "unexpected-account": ("Unexpected account", "A read found an account that nobody had made."),
    "wrong-arithmetic": ("Wrong arithmetic", "What a transfer wrote does not follow from what it had read."),
    "corrupt": ("Corrupt record", "A record came back that is not what was written: its SHA-256 or its form is wrong."),
    "half-commit": (
        "Half commit",
        "A commit that tikv-client reported is there in part or not at all: it dropped the rest on its way to TiKV.",
    ),
}
_OF_REGISTERS: Final = {
    "non-linearizable": (
        "Not linearizable",
        "No order of the operations on a record fits both what was read and the order of time.",
    ),
    "non-sequential": (
        "Not sequential",
        "No order of all operations keeps that of each process and fits what was read.",
    ),
    "double-cas": ("Double cas", "Two compare-and-set replaced the same value, which had been written only once."),
    "ThinAirRead": (
        "Value out of thin air (ThinAirRead)",
        "A value was seen that nobody had written, or only an operation that failed.",
    ),
    "CyclicCO": ("Circular causes (CyclicCO)", "Operations would have to be the causes of each other, in a circle."),
    "WriteCORead": (
        "Overwritten value (WriteCORead)",
        "A value was seen that had been overwritten by what came before the read as its cause.",
    ),
    "WriteCOInitRead": (
        "Initial value (WriteCOInitRead)",
        "The initial value was seen although a write came before the read as its cause.",
    ),
    "own-write-missed": ("Own write missed", "A process did not see what it had written itself."),
    "non-monotonic-read": (
        "Session read backwards (non-monotonic-read)",
        "A process saw something older than what it had seen before.",
    ),
    "non-monotonic-write": (
        "Writes out of order (non-monotonic-write)",
        "A process saw a write, and then not what its writer had written before.",
    ),
    "cause-missed": ("Cause missed", "A process saw a write, and then not what its writer had read before."),
    "not-converged": ("Not converged", "When all was over, reads of a record still differed."),
    "stale-final-read": ("Stale final read", "When all was over, a read saw what had been overwritten."),
}
_OF_COLLECTIONS: Final = {
    "lost": ("Lost", "Something was acknowledged, or seen, and is not there any more."),
    "duplicated": ("Duplicated", "Something came out more often than it was put in, or was given twice."),
    "unexpected": ("Unexpected", "Something came out that nobody had put in by then."),
    "out-of-order": ("Out of order", "Of two things, the later one came first."),
    "out-of-bounds": ("Out of bounds", "A read of a counter is not the sum of any adds that may have counted by then."),
}
_ANOMALIES: Final = {**_OF_TRANSACTIONS, **_OF_MONEY, **_OF_REGISTERS, **_OF_COLLECTIONS}

_ORDERS: Final = {
    "realtime": "against an order that was visible from outside: one had ended before the other began",
    "process": "against the order in which one process did things",
}


def anomaly_words(name: str) -> tuple[str, str]:
    """A heading and a sentence for an anomaly; its own name, and nothing more, for one that is not known here."""
    if name in _ANOMALIES:
        return _ANOMALIES[name]
    base, _, order = name.rpartition("-")
    if order in _ORDERS and base in _ANOMALIES:
        heading, sentence = _ANOMALIES[base]
        return f"{heading.partition(' (')[0]} ({name})", f"{sentence[:-1]}, {_ORDERS[order]}."
    return shown(name, NAME_LIMIT), ""
