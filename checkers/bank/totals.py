"""A bank whose records tell no versions, as in Jepsen's own test: only what reads add up to can be judged.

``transfer`` of ``{"from", "to", "amount"}``, and ``read`` of the balances of all accounts, by account or in a list.
Transfers keep the total, so under snapshot isolation all reads show the same one. What it should be is not in the
history; the total that most reads show is taken for it. One of two that differ is wrong in any case. Balances below
zero count as Jepsen's checker counts them unless it is told otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from checkers.arrays import running_total
from checkers.evidence import Evidence
from checkers.models import rules_out
from harness.columns import OK_CODE
from harness.names import NIL, Names
from harness.op import INVOKE, OK, Op
from harness.protocols import CheckContext
from harness.verdict import Verdict

_PARTS: Final = {"from", "to", "amount"}
_MOST: Final = 1 << 53  # of a balance, so that sums stay within 64 bits
_NOTE: Final = "without versions in the records nothing but totals and balances can be judged"


class TotalsEncoder:
    """The ``RowEncoder`` of such a bank: what a read found, a row for each account."""

    name = "bank-totals"
    version = 1
    fields: tuple[str, ...] = ()
    row_fields: tuple[str, ...] = ("account", "balance")

    def __init__(self) -> None:
        self._names = Names()

    def encode(self, op: Op) -> tuple[Sequence[int], Sequence[int]]:
        """Return accounts and balances of an acknowledged read, ``NIL`` for what it did not find.

        Raises:
            ValueError: it is no operation of such a bank.
        """
        if not op.is_client:
            return (), ()
        if op.f == "transfer":
            if op.type == INVOKE and not (isinstance(op.value, dict) and op.value.keys() == _PARTS):
                raise ValueError(f"a transfer has from, to and amount, not {op.value!r:.80}")
            return (), ()
        if op.f != "read":
            raise ValueError(f"a bank knows transfer and read, not {op.f!r}")
        if op.type == INVOKE and op.value is not None:
            raise ValueError("a read of all accounts asks for nothing else")
        return (), self._balances(op.value) if op.type == OK else ()

    def _balances(self, value: Any) -> list[int]:
        found = dict(enumerate(value)) if isinstance(value, list) else value
        if not isinstance(found, dict):
            raise ValueError(f"{value!r:.80} is no map of balances")  # noqa: TRY004 (encoders raise nothing else)
        rows: list[int] = []
        for account, balance in found.items():
            if balance is not None and (type(balance) is not int or abs(balance) > _MOST):
                raise ValueError(f"{balance!r:.80} is no balance")
            rows += (self._names.key(account), NIL if balance is None else balance)
        return rows


class SameTotal:
    """The checker; linear."""

    name = "totals"

    def check(self, history: Any, context: CheckContext) -> Verdict:
        """Judge a ``harness.history.History`` with the columns of ``TotalsEncoder``."""
        del context
        read = [code for code, name in enumerate(history.f_names) if name == "read"]
        at = np.flatnonzero((history.process >= 0) & (history.type == OK_CODE) & np.isin(history.f, read))
        if not len(at):
            return Verdict(self.name, "unknown", note="no read of the balances was acknowledged")
        balance = history.rows["balance"]
        missing = balance == NIL
        running = running_total(np.where(missing, 0, balance))
        sums = running[history.row_start[at + 1]] - running[history.row_start[at]]
        totals, first, times = np.unique(sums, return_index=True, return_counts=True)
        usual = np.lexsort((first, -times))[0]
        evidence = Evidence()
        for place in np.flatnonzero(sums != totals[usual]).tolist():
            against = _Usual(int(totals[usual]), f"{times[usual]} of {len(at)}", int(at[first[usual]]))
            evidence.add("wrong-total", _wrong, history, int(at[place]), int(sums[place]), against)
        owner = np.searchsorted(history.row_start, np.arange(len(balance)), side="right") - 1
        for row in np.flatnonzero(missing).tolist():
            evidence.add("missing-account", _missing, history, owner[row], row)
        for row in np.flatnonzero(balance < 0).tolist():
            evidence.add("negative-balance", _negative, history, owner[row], row)
        broken = {model for name in evidence.counts for model in rules_out(name)}
        return Verdict(
            self.name,
            not evidence.counts,
            evidence.anomalies,
            dict(evidence.counts),
            models=dict.fromkeys(sorted(broken), False),
            details={"reads": len(at), "total": int(totals[usual])},
            note=_NOTE,
        )


class _Usual(NamedTuple):
    """The total that most reads found, how many did, and the completion of the first of them."""

    total: int
    share: str
    first: int


def _wrong(history: Any, at: int, total: int, usual: _Usual) -> tuple[list[int], str]:
    invoked = [int(history.pair[at]), int(history.pair[usual.first])]
    return invoked, (
        f"{_read(history, at)} found {total} in all accounts together, {total - usual.total:+d} against the "
        f"{usual.total} that {usual.share} reads found, {_read(history, usual.first)} first of all."
    )


def _missing(history: Any, at: int, row: int) -> tuple[list[int], str]:
    return [int(history.pair[at])], f"{_read(history, at)} found nil for account {_account(history, at, row)}."


def _negative(history: Any, at: int, row: int) -> tuple[list[int], str]:
    found = f"{int(history.rows['balance'][row])} in account {_account(history, at, row)}"
    return [int(history.pair[at])], f"{_read(history, at)} found {found}."


def _read(history: Any, at: int) -> str:
    """``the read by process 3 (index 40)``: that of its invocation, as of all operations."""
    return f"the read by process {int(history.process[at])} (index {history.number(int(history.pair[at]))})"


def _account(history: Any, at: int, row: int) -> str:
    value = history.op(int(at)).value
    place = int(row - history.row_start[at])
    return str(place) if isinstance(value, list) else f"{list(value)[place]!s:.60}"
