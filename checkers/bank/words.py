"""What the bank's transactions and versions are called when a person is to read of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from checkers.bank.columns import WRITE
from checkers.bank.transactions import INITIAL, INITIAL_ID
from checkers.bank.versions import BankFacts
from checkers.evidence import Told
from harness.columns import FAIL_CODE


class BankNarrator:
    """The bank's part of an explanation. A transaction is called T and its operation's id, which records carry."""

    def __init__(self, history: Any, facts: BankFacts) -> None:
        self._history = history
        self.facts = facts

    def name(self, txn: int) -> str:
        """``T17`` for the operation with the id 17."""
        return "the set-up" if txn == INITIAL else f"T{int(self.facts.txns.id[txn])}"

    def describe(self, txn: int) -> str:
        """Who did what: ``T17 (index 40, process 3, transfer of 5 from account 1 to account 2)``."""
        if txn < 0:
            return self.name(txn)
        invocation = int(self.facts.txns.invocation[txn])
        op = self._history.op(invocation)
        value = op.value if isinstance(op.value, dict) else {}
        if op.f == "transfer":
            what = f"transfer of {value.get('amount')} from account {value.get('from')} to account {value.get('to')}"
        elif op.f == "readback":
            what = f"T{value.get('of')} read back at its commit_ts {value.get('ts')}"
        else:
            what = f"{op.f} by {value.get('via')}"
        return f"{self.name(txn)} (index {self._history.number(invocation)}, process {op.process}, {what})"

    def dependency(self, source: int, target: int, label: str) -> str:
        """One sentence on a ww, wr or rw edge."""
        facts = self.facts
        writer, parent = facts.versions
        if label == "wr":
            read = facts.read_version[facts.read_txn == target]
            version = int(read[writer[read] == source][0])
            return f"{self.name(source)} wrote {self.version(version)}, and {self.name(target)} read it."
        written = np.flatnonzero((writer == target) & (parent >= 0))
        if label == "ww":
            child = int(written[writer[parent[written]] == source][0])
            return (
                f"{self.name(source)} wrote {self.version(int(parent[child]))}, "
                f"and {self.name(target)} replaced it by {self._number(child)}{self._balance(child)}."
            )
        read = facts.read_version[facts.read_txn == source]
        child = int(written[np.isin(parent[written], read)][0])
        return (
            f"{self.name(source)} read {self.version(int(parent[child]))}, "
            f"which {self.name(target)} overwrote with {self._number(child)}{self._balance(child)}."
        )

    def version(self, version: int) -> str:
        """``version 4 of account 3 (balance 95)``."""
        account = self.facts.slots.name_of(int(self.facts.version_slot[version]))
        return f"{self._number(version)} of account {account}{self._balance(version)}"

    def _number(self, version: int) -> str:
        return f"version {self.facts.slots.version_of(int(self.facts.version_slot[version]))}"

    def _balance(self, version: int) -> str:
        row = int(self.facts.version_row[version])
        return f" (balance {int(self._history.rows['balance'][row])})" if row >= 0 else ""

    def twice_written(self, versions: list[int], edges: list[str]) -> str:
        """A lost update in words: versions that are one version of one account; ``edges`` tell of its rw edges."""
        facts = self.facts
        slot = int(facts.version_slot[versions[0]])
        account, number = facts.slots.name_of(slot), facts.slots.version_of(slot)
        writers = [int(facts.versions.writer[version]) for version in versions]
        wrote = ", ".join(
            f"{self.name(txn)} wrote it{self._balance(version)}" for txn, version in zip(writers, versions, strict=True)
        )
        return (
            f"version {number} of account {account} was written by {len(writers)} committed transfers: "
            f"{'; '.join(self.describe(txn) for txn in writers)}. "
            f"{' '.join(edges) or f'Each replaced version {number - 1}: {wrote}.'} "
            f"Whichever came first, its update is lost."
        )

    def odd_row(self, case: Sequence[int]) -> Told:
        """Of a row that cannot be, as in ``Contradictions``: the transactions concerned, and what is wrong."""
        row, by_previous = case
        rows, facts = self._history.rows, self.facts
        reader = int(facts.row_txn[row])
        account, balance, number = (int(rows[name][row]) for name in ("account", "balance", "version"))
        seen_id = int(rows["previous" if by_previous else "writer"][row])
        what = f"version {number} of account {account} (balance {balance})"
        if rows["kind"][row] == WRITE:
            what = f"{self.describe(reader)} wrote {what} in place of version {number - 1} by operation {seen_id}"
        elif by_previous:
            what = f"{self.describe(reader)} read {what}, which says that it replaced a version by operation {seen_id}"
        else:
            what = f"{self.describe(reader)} read {what}, which says that operation {seen_id} wrote it"
        writer = int(facts.txns.number_of(np.array([seen_id]))[0])
        if writer == reader:
            return [reader], f"{what}: its own write, which came after."
        if seen_id == INITIAL_ID:
            return [reader], f"{what}, the set-up, which wrote no such thing."
        if writer < 0:
            return [reader], f"{what}, but the history has no operation of that id."
        if facts.txns.status[writer] == FAIL_CODE:
            error = self._history.op(int(facts.txns.completion[writer])).error
            return [
                reader,
                writer,
            ], f"{what}: {self.describe(writer)}, which had failed ({error}), so nobody may see it."
        wrote = [int(v) for v in np.flatnonzero(facts.versions.writer == writer)]
        said = ", ".join(f"{self.version(v)}, on top of {self._before(v)}" for v in wrote) or "nothing"
        what += f", on top of operation {int(rows['previous'][row])}'s"
        return [reader, writer], f"{what}. But what {self.describe(writer)} wrote is {said}."

    def _before(self, version: int) -> str:
        row = int(self.facts.version_row[version])
        return f"operation {int(self._history.rows['previous'][row])}'s" if row >= 0 else "an unknown one"
