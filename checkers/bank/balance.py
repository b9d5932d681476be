"""Money: reads of all accounts add up to the total, no balance is negative, and transfers compute right.

These say less than strict serializability does, but they say it in words that need no theory. Names after Jepsen's
bank: ``wrong-total``, ``negative-balance``, ``missing-account``, ``unexpected-account``; and ``corrupt`` for records
that fail their SHA-256, ``wrong-arithmetic`` for a transfer whose own records do not fit each other.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from checkers.arrays import running_total
from checkers.bank.columns import CORRUPT, READ, WRITE
from checkers.bank.read_back import HalfCommit, read_back
from checkers.bank.transactions import f_code
from checkers.evidence import SHOWN_OF_EACH, Evidence, Told
from checkers.models import rank
from harness.columns import INVOKE_CODE, OK_CODE
from harness.protocols import CheckContext
from harness.verdict import Verdict

Positions = NDArray[np.int64]


class TotalBalance:
    """Judges every complete read, old snapshots included, and every committed transfer."""

    name = "balance"

    def __init__(self, accounts: int, total: int) -> None:
        """``accounts`` are numbered from 0 and hold ``total`` together."""
        self._accounts = accounts
        self._total = total

    def check(self, history: Any, context: CheckContext) -> Verdict:
        """Judge a ``harness.history.History`` with the columns of ``checkers.bank.columns``."""
        del context
        evidence = Evidence(history.pair)

        def report(name: str, at: Positions, tell: Callable[[int], str]) -> None:
            """Anomalies at these completions; the first ones are shown, with what ``tell`` says of each."""

            def told(position: int) -> Told:
                return [position], f"{tell(position)} (index {history.number(position)})."

            evidence.add_all(name, at, told)

        totals = _Totals(history)
        known = totals.count_below(self._accounts)
        corrupt = (history.fields["flags"] & CORRUPT) != 0
        told = corrupt[totals.at]
        complete = (known == self._accounts) & (totals.count == known) & ~told
        expected = self._total + totals.missing_parts(read_back(history).half)
        wrong = complete & (totals.sum != expected)
        details = self._totals(totals, complete, wrong, expected, report)
        for place in details.keys() & {"first", "worst", "last"}:
            details[place]["index"] = history.number(details[place]["index"])

        missing = (known < self._accounts) & ~told
        report("missing-account", totals.at[missing], partial(self._told_missing, history))
        report("unexpected-account", totals.at[totals.count > known], partial(self._told_unexpected, history))
        report("negative-balance", _negative(history), partial(_told_negative, history))
        met = np.flatnonzero(corrupt & (history.type != INVOKE_CODE))
        report("corrupt", met, partial(_told_corrupt, history))
        report("wrong-arithmetic", _wrong_arithmetic(history), partial(_told_arithmetic, history))
        anomalies = sorted(evidence.anomalies, key=lambda anomaly: rank(anomaly.name))
        return Verdict(self.name, not evidence.counts, anomalies, dict(evidence.counts), details=details)

    def _totals(self, totals: _Totals, complete: Any, wrong: Any, expected: Positions, report: Any) -> dict[str, Any]:
        at, sums = totals.at[wrong], totals.sum[wrong]
        details: dict[str, Any] = {
            "expected_total": self._total,
            "reads": len(totals.at),
            "complete_reads": int(complete.sum()),
        }
        if not len(at):
            return details
        worst = int(np.argmax(np.abs(sums - expected[wrong])))
        # The first, the one that is furthest off, and the last, then the others.
        order = list(dict.fromkeys([0, worst, len(at) - 1, *range(min(len(at), SHOWN_OF_EACH))]))
        ordered = np.concatenate((at[order], np.delete(at, order)))
        report("wrong-total", ordered, partial(self._told_total, totals, expected))
        for name, place in (("first", 0), ("worst", worst), ("last", len(at) - 1)):
            details[name] = {"index": int(at[place]), "total": int(sums[place])}
        details["lowest"], details["highest"] = int(sums.min()), int(sums.max())
        return details

    def _told_total(self, totals: _Totals, expected: Positions, position: int) -> str:
        place = np.searchsorted(totals.at, position)
        total, right = int(totals.sum[place]), int(expected[place])
        but = "" if right == self._total else f", with the half commits that it saw {right}"
        return (
            f"a read saw {total} in all {self._accounts} accounts together, "
            f"{total - right:+d} against the total of {self._total}{but}"
        )

    def _told_missing(self, history: Any, position: int) -> str:
        seen = set(_accounts_at(history, position))
        absent = [account for account in range(self._accounts) if account not in seen][:SHOWN_OF_EACH]
        return f"a read of all accounts did not find {_list(absent)}"

    def _told_unexpected(self, history: Any, position: int) -> str:
        strange = [account for account in _accounts_at(history, position) if account >= self._accounts]
        return f"a read found {_list(strange[:SHOWN_OF_EACH])}, which nobody made"


class _Totals:
    """Of each ok read: where its completion stands, how many accounts it found, and their sum."""

    def __init__(self, history: Any) -> None:
        self.at = np.flatnonzero((history.type == OK_CODE) & (history.f == f_code(history, "read")))
        start, self._end = history.row_start[self.at], history.row_start[self.at + 1]
        self._start = start
        self._rows, self._row_start = history.rows, history.row_start
        self._account = history.rows["account"]
        self.count = self._end - start
        self.sum = self._between(history.rows["balance"])

    def count_below(self, accounts: int) -> Positions:
        """How many of the accounts found are expected ones."""
        return self._between((self._account < accounts).astype(np.int64))

    def missing_parts(self, half: list[HalfCommit]) -> Positions:
        """By how much the half commits that each read saw change its sum; it saw one if it saw what is there of it."""
        changes: dict[int, list[tuple[int, int]]] = {}
        for row in (row for each in half for row in each.present):
            account, version = int(self._account[row]), int(self._rows["version"][row])
            changes.setdefault(account, []).append((version, self._change(row)))
        total = np.zeros(len(self._account), np.int64)
        for account, entries in changes.items():
            versions, amounts = (np.array(column, np.int64) for column in zip(*sorted(entries), strict=True))
            running = running_total(amounts)
            rows = np.flatnonzero(self._account == account)
            total[rows] = running[np.searchsorted(versions, self._rows["version"][rows], side="right")]
        return self._between(total)

    def _change(self, written: int) -> int:
        """What the transfer that wrote this row did to the account's balance."""
        begin = int(self._row_start[np.searchsorted(self._row_start, written, side="right") - 1])
        read = begin + int(np.flatnonzero(self._account[begin:written] == self._account[written])[0])
        return int(self._rows["balance"][written] - self._rows["balance"][read])

    def _between(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        # Differences of running totals also get empty ranges right, which reduceat does not.
        running = running_total(values)
        return running[self._end] - running[self._start]


def _negative(history: Any) -> Positions:
    rows = np.flatnonzero(history.rows["balance"] < 0)
    at = np.unique(np.searchsorted(history.row_start, rows, side="right") - 1)
    return at[history.type[at] == OK_CODE]


def _wrong_arithmetic(history: Any) -> Positions:
    """Committed transfers whose written records do not follow from those they read."""
    at = np.flatnonzero((history.type == OK_CODE) & (history.f == f_code(history, "transfer")))
    at = at[history.row_start[at + 1] - history.row_start[at] == 4]
    first = history.row_start[at]
    columns = history.rows
    shaped = (columns["kind"][first + 1] == READ) & (columns["kind"][first + 2] == WRITE)
    at, first = at[shaped], first[shaped]
    account = columns["account"]
    # The two records written may stand in either order.
    swapped = account[first] != account[first + 2]
    one, other = first + 2 + swapped, first + 3 - swapped
    balance, version = columns["balance"], columns["version"]
    right = balance[first] + balance[first + 1] == balance[one] + balance[other]
    for read, written in ((first, one), (first + 1, other)):
        right &= account[read] == account[written]
        right &= version[written] == version[read] + 1
        right &= columns["previous"][written] == columns["writer"][read]
    return at[~right]


def _accounts_at(history: Any, position: int) -> list[int]:
    return history.rows["account"][history.row_start[position] : history.row_start[position + 1]].tolist()


def _list(accounts: list[int]) -> str:
    return f"account{'s' if len(accounts) > 1 else ''} {', '.join(map(str, accounts))}"


def _told_negative(history: Any, position: int) -> str:
    begin, end = int(history.row_start[position]), int(history.row_start[position + 1])
    row = begin + int(np.argmin(history.rows["balance"][begin:end]))
    account, balance = int(history.rows["account"][row]), int(history.rows["balance"][row])
    return f"account {account} had a balance of {balance}"


def _told_corrupt(history: Any, position: int) -> str:
    value = history.op(position).value
    accounts = [record[0] for record in value.get("corrupt", [])]
    return f"the record of {_list(accounts[:SHOWN_OF_EACH])} was not what had been written"


def _told_arithmetic(history: Any, position: int) -> str:
    value = history.op(position).value
    return f"a transfer read {value['read']} and wrote {value['write']}, which do not fit"
