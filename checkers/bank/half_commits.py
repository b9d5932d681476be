"""Commits that the client carried out by half: what they mean for the graph, and a verdict that names the client.

A transfer that wrote one of its two accounts, or none, has lost what made it serializable: nothing proves any more that
what it read of the others was still so when it committed. Its reads are those of one snapshot taken while it ran, no
more. So they get a transaction of their own, over the same time, and the transfer keeps its writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import numpy as np

from checkers.bank.read_back import HalfCommit, read_back
from checkers.bank.versions import BankFacts, bank_facts
from checkers.bank.words import BankNarrator
from checkers.evidence import Evidence, Told
from checkers.graph.dsg import RW, Dependencies, Edges
from harness.protocols import CheckContext
from harness.verdict import Validity, Verdict

CLIENT_ANOMALY: Final = "client-anomaly"

_WHY: Final = (
    "tikv-client drops the part of a transaction that lies in a region whose lookup fails during prewrite or commit, "
    "and reports the commit all the same: most likely TiKV was never asked for it. The other checkers take it that the "
    "transfer wrote only what is there. An application loses data in the same way: it has to read back what it "
    "commits, or use a client that passes the error on."
)
_VALID: Final[dict[str, Validity]] = {"unknown": "unknown", "fail": False, "ignore": True}


def with_own_reads(facts: BankFacts) -> BankFacts:
    """Give each half commit's reads to a further transaction too, numbered behind all others."""
    if not facts.half:
        return facts
    own = np.array([half.txn for half in facts.half], np.int32)
    count = len(facts.txns.id)
    txns = facts.txns._replace(
        **{
            name: np.append(getattr(facts.txns, name), getattr(facts.txns, name)[own])
            for name in ("invocation", "completion", "status", "f", "id")
        }
    )
    twin = np.arange(count, count + len(own), dtype=np.int32)
    at = np.flatnonzero(np.isin(facts.read_txn, own))
    order = np.argsort(own)
    reader = twin[order][np.searchsorted(own[order], facts.read_txn[at])]
    return facts._replace(
        txns=txns,
        committed=np.append(facts.committed, np.ones(len(own), bool)),
        read_txn=np.append(facts.read_txn, reader),
        read_version=np.append(facts.read_version, facts.read_version[at]),
    )


def without_their_guard(graph: Dependencies, half: list[HalfCommit]) -> Dependencies:
    """The graph without the claim that what half commits read still held when they wrote."""
    if not half:
        return graph
    rw = graph[RW]
    keep = ~np.isin(rw.source, [each.txn for each in half])
    return {**graph, RW: Edges(rw.source[keep], rw.target[keep])}


class HalfCommits:
    """Acknowledged transfers that reading back has shown not to be whole."""

    name = CLIENT_ANOMALY

    def check(self, history: Any, context: CheckContext) -> Verdict:
        """Judge a ``harness.history.History`` with the columns of ``checkers.bank.columns``.

        Raises:
            ValueError: two operations have the same id.
        """
        found = read_back(history)
        details = {"acknowledged": found.acknowledged, "read_back": found.read, "whole": found.whole}
        if not found.half:
            return Verdict(self.name, valid=True, details={**details, "half": 0})
        evidence = Evidence()
        evidence.add_all("half-commit", found.half, partial(_told, history, BankNarrator(history, bank_facts(history))))
        count = len(found.half)
        them = "1 acknowledged commit is" if count == 1 else f"{count} acknowledged commits are"
        return Verdict(
            self.name,
            valid=_VALID[context.client_anomalies],
            anomalies=evidence.anomalies,
            counts=dict(evidence.counts),
            details={**details, "half": count},
            note=f"{them} there in part or not at all, by the doing of tikv-client, not of TiKV",
        )


def tell_origin(verdicts: Sequence[Verdict]) -> None:
    """Say of an anomaly found through tikv-client that nobody can tell whose it is, TiKV's or the client's.

    What half commits explain is no anomaly of another checker any more; so whatever there is, they do not explain it.
    """
    own = next((verdict for verdict in verdicts if verdict.checker == CLIENT_ANOMALY), None)
    others = any(verdict.valid is False for verdict in verdicts if verdict is not own)
    if own is None or not others or "acknowledged" not in own.details:
        return
    acknowledged, read, whole = (own.details[name] for name in ("acknowledged", "read_back", "whole"))
    told = (
        f"origin undecided: of {acknowledged:,} acknowledged commits {read:,} were read back, {whole:,} of them whole"
    )
    half = own.details["half"]
    told += f", and the {half:,} half commits do not explain what was found" if half else ""
    own.note = told


def _told(history: Any, narrator: BankNarrator, half: HalfCommit) -> Told:
    txns = narrator.facts.txns
    said = narrator.describe(half.txn)
    commit_ts = int(history.fields["commit_ts"][txns.completion[half.txn]])
    there = f"{_versions(history, half.present)} is there" if half.present else "nothing of it is there"
    instead = ", ".join(
        f"in place of {_versions(history, [row])} there is {_read(history, found)}"
        for row, found in zip(half.missing, half.found, strict=True)
    )
    at = sorted({int(np.searchsorted(history.row_start, row, side="right")) - 1 for row in half.found})
    readbacks = [int(history.pair[position]) for position in at]
    where = ", ".join(str(history.number(position)) for position in at)
    text = (
        f"{said} was acknowledged as committed at {commit_ts}. Read back at that timestamp when all was over "
        f"(index {where}), {there}, and {instead}. Nobody ever saw what is missing. {_WHY}"
    )
    return [int(txns.invocation[half.txn]), *readbacks], text


def _versions(history: Any, rows: list[int]) -> str:
    return " and ".join(_read(history, row) for row in rows)


def _read(history: Any, row: int) -> str:
    account, balance, version, writer = (
        int(history.rows[name][row]) for name in ("account", "balance", "version", "writer")
    )
    return f"version {version} of account {account} (balance {balance}, by {f'T{writer}' if writer else 'the set-up'})"
