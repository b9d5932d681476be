"""What the reads of a bank saw, from the columns beside the history: totals, and a bounded line for each account."""

from __future__ import annotations

import msgspec
import numpy as np
import numpy.typing as npt

from checkers.bank.columns import OLD_SNAPSHOT, READ
from harness.columns import OK_CODE
from harness.history import History
from reports.overview import Completions, Ints

_STEPS = 300
_LANES = 24


class Balances(msgspec.Struct):
    """Balances over time.

    Attributes:
        at: completion times of the ok reads, ns, ascending.
        total: sum of the balances each of them saw.
        accounts: numbers of the accounts drawn, ascending; the first ones where there are many.
        lane_at: times of the steps, ns.
        lanes: by account, its balance at each step, NaN before the first read of it.
        left_out: how many accounts are not drawn.
    """

    at: Ints
    total: Ints
    accounts: list[int]
    lane_at: Ints
    lanes: list[npt.NDArray[np.float64]]
    left_out: int


def balances(history: History, done: Completions) -> Balances | None:
    """Read them, or None if the columns are not a bank's or nothing was read."""
    if "balance" not in history.rows or "flags" not in history.fields:
        return None
    reads = [code for code, name in enumerate(history.f_names) if name == "read"]
    index = done.index[(done.type == OK_CODE) & np.isin(done.f, reads)]
    start = np.asarray(history.row_start)
    index = index[start[index + 1] > start[index]]
    if not len(index):
        return None
    rows = history.rows
    kind, account, balance = (np.asarray(rows[name]) for name in ("kind", "account", "balance"))
    begin, end = start[index], start[index + 1]
    which = np.repeat(np.arange(len(index)), end - begin)  # the read that each row belongs to
    place = np.arange(len(which)) + np.repeat(begin - np.concatenate(([0], np.cumsum(end - begin)[:-1])), end - begin)
    total = np.zeros(len(index), dtype=np.int64)
    np.add.at(total, which, np.where(kind[place] == READ, balance[place], 0))
    at = np.asarray(history.time)[index]
    current = (np.asarray(history.fields["flags"])[index] & OLD_SNAPSHOT) == 0
    fresh = current[which] & (kind[place] == READ)
    accounts = np.unique(account[place][fresh])
    lane_at, lanes = _lanes(at[which][fresh], account[place][fresh], balance[place][fresh], accounts[:_LANES])
    return Balances(
        at=at,
        total=total,
        accounts=accounts[:_LANES].tolist(),
        lane_at=lane_at,
        lanes=lanes,
        left_out=max(len(accounts) - _LANES, 0),
    )


def _lanes(at: Ints, account: Ints, balance: Ints, accounts: Ints) -> tuple[Ints, list[npt.NDArray[np.float64]]]:
    if not len(at):
        return at, []
    steps = np.unique(np.linspace(int(at.min()), int(at.max()), _STEPS).astype(np.int64))
    lanes: list[npt.NDArray[np.float64]] = []
    for number in accounts:
        mine = account == number
        last = np.searchsorted(at[mine], steps, side="right") - 1
        seen = balance[mine].astype(np.float64)
        lanes.append(np.where(last >= 0, seen[np.maximum(last, 0)], np.nan))
    return steps, lanes
