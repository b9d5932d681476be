"""Reads at an old timestamp, against the commit timestamps that were recorded.

Such a read may return the past, so real time asks nothing of its beginning. But what it returns must be the state at
its timestamp: of each account the newest version with commit_ts <= ts.

- ``future-read``: a version was read that was committed later than ts.
- ``stale-read``: a version was read although another had replaced it at or before ts.

Why a sound TiKV never does the second. A commit_ts is drawn after all keys of the transaction are locked, and
timestamps only rise. So when ts >= commit_ts was drawn, the locks or the commit were there; a read at ts that meets
the lock must wait for the outcome or look it up. It cannot miss a commit that becomes visible later with a
commit_ts <= ts.

Commit timestamps are claims of clients, and those of ``info`` transfers are mostly not known. Along the versions of an
account they must rise, since a transfer reads at or after the commit it replaces: a version without one was committed
before any later version that has one, and after any earlier. Where an account's versions fork only what is known
directly counts.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from checkers.arrays import running_maximum
from checkers.bank.columns import OLD_SNAPSHOT
from checkers.bank.transactions import SENTINELS, Transactions
from checkers.bank.versions import BankFacts
from checkers.graph.dsg import children_of

_UNKNOWN: Final = -1
_NEVER: Final = np.iinfo(np.int64).max


class Misread(NamedTuple):
    """A read at ``ts`` of ``version``, which another version's ``commit_ts`` contradicts."""

    reader: int
    version: int
    ts: int
    witness: int
    commit_ts: int


def old_snapshots(history: Any, txns: Transactions) -> NDArray[np.bool_]:
    """Which transactions are reads at an old timestamp, as far as they got to say it.

    The completion counts: a client that remembers no timestamp reads at a fresh one instead, and says so there.
    """
    last_word = np.where(txns.completion >= 0, txns.completion, txns.invocation)
    return (history.fields["flags"][last_word] & OLD_SNAPSHOT) != 0


def misread_snapshots(history: Any, facts: BankFacts) -> dict[str, list[Misread]]:
    """All reads at old timestamps that contradict recorded commit timestamps, by the anomaly's name."""
    ts = _of_completion(history, facts, "ts")
    is_old = old_snapshots(history, facts.txns) & (ts >= 0)
    at = np.flatnonzero(is_old[facts.read_txn])
    if not len(at):
        return {}
    own = np.append(_of_completion(history, facts, "commit_ts"), [_UNKNOWN] * SENTINELS)[facts.versions.writer]
    before, after = _along_accounts(facts, own)
    found: dict[str, list[Misread]] = {"future-read": [], "stale-read": []}
    children = children_of(facts.versions)
    reader, version = facts.read_txn[at], facts.read_version[at]
    when = ts[reader]
    for place in np.flatnonzero(own[before[version]] > when).tolist():
        witness = int(before[version[place]])
        found["future-read"].append(
            Misread(int(reader[place]), int(version[place]), int(when[place]), witness, int(own[witness]))
        )
    pairs = [(np.arange(len(at)), children.first[version])]
    for parent, child in zip(children.extra_parent.tolist(), children.extra_child.tolist(), strict=True):
        of_parent = np.flatnonzero(version == parent)
        pairs.append((of_parent, np.full(len(of_parent), child, np.int32)))
    for places, child in pairs:
        witnesses = after[child]
        stale = (child >= 0) & (own[witnesses] >= 0) & (own[witnesses] <= when[places])
        for place, witness in zip(places[stale].tolist(), witnesses[stale].tolist(), strict=True):
            found["stale-read"].append(
                Misread(int(reader[place]), int(version[place]), int(when[place]), witness, int(own[witness]))
            )
    return {name: misreads for name, misreads in found.items() if misreads}


def _of_completion(history: Any, facts: BankFacts, field: str) -> NDArray[np.int64]:
    completion = facts.txns.completion
    values = history.fields[field][completion]
    values[completion < 0] = _UNKNOWN
    return values


def _along_accounts(facts: BankFacts, own: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of each version, the version up to it that was committed last, and that from it on committed first."""
    slots = facts.slots
    before = np.arange(len(own), dtype=np.int64)
    after = before.copy()
    forked = {slots.account_of(int(slot)) for slot in facts.version_slot[slots.count :]}
    ends = [*slots.initial[1:].tolist(), slots.count]
    for account, (begin, end) in enumerate(zip(slots.initial.tolist(), ends, strict=True)):
        if account in forked:
            continue
        times = own[begin:end]
        before[begin:end] = begin + running_maximum(times)[1]
        ahead = np.where(times == _UNKNOWN, _NEVER, times)[::-1]
        after[begin:end] = (end - 1 - running_maximum(-ahead)[1])[::-1]
    return before, after
