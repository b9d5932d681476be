"""The part of a bank history that is still kept, as a history in its own right: its past is its initial state."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from checkers.arrays import running_total
from checkers.bank.transactions import INITIAL_ID
from harness.columns import INVOKE_CODE, TYPES
from harness.op import Op
from harness.protocols import ABSENT

Ints = NDArray[np.int64]

# Columns of a table of operations.
INVOKED, COMPLETED, STATUS, F, ID, TS, COMMIT_TS, FLAGS, PROCESS, WIDTH = range(10)
# Columns of a table of rows: the position of the invocation, then as in ``BankEncoder.row_fields``.
OWNER, KIND, ACCOUNT, BALANCE, VERSION, WRITER, PREVIOUS, ROW_WIDTH = range(8)

F_NAMES: Final = ["transfer", "read"]
NOBODY_ID: Final = -7  # an id that no operation has


class Floor(NamedTuple):
    """The newest version of an account that was folded away.

    Attributes:
        told: whether balance and previous are known.
    """

    version: int
    writer: int
    balance: int = 0
    previous: int = ABSENT
    told: bool = False


class Floors(NamedTuple):
    """The floors of the accounts that rows name, in the order of the rows; ``known`` where there is one."""

    known: NDArray[np.bool_]
    version: Ints
    writer: Ints
    balance: Ints
    previous: Ints
    told: NDArray[np.bool_]

    @staticmethod
    def of(rows: Ints, floors: dict[int, Floor]) -> Floors:
        """Look them up."""
        accounts, at = np.unique(rows[:, ACCOUNT], return_inverse=True)
        found = [floors.get(account) for account in accounts.tolist()]
        table = np.array([floor or Floor(0, 0) for floor in found], np.int64).reshape(-1, 5)[at]
        known = np.array([floor is not None for floor in found], bool)[at]
        return Floors(known, table[:, 0], table[:, 1], table[:, 2], table[:, 3], table[:, 4] == 1)


def rebased(rows: Ints, floors: dict[int, Floor]) -> Ints:
    """Rows whose versions count from the floors, which are the set-up's; none may be below."""
    own = Floors.of(rows, floors)
    rows = rows.copy()
    at = own.known & (rows[:, VERSION] == own.version)
    above = own.known & (rows[:, VERSION] > own.version)
    on_top = above & (rows[:, VERSION] == own.version + 1) & (rows[:, PREVIOUS] == own.writer)
    for column in (WRITER, PREVIOUS):
        rows[above & (rows[:, column] == INITIAL_ID), column] = NOBODY_ID
    rows[on_top, PREVIOUS] = INITIAL_ID
    rows[at, WRITER], rows[at, PREVIOUS] = INITIAL_ID, ABSENT
    rows[own.known, VERSION] -= own.version[own.known]
    return rows


class Window:
    """As much of ``harness.history.History`` as the bank's facts need, from tables of operations and rows.

    Attributes:
        table: the operations, by their invocations.
        raw: the rows as they were recorded, in the order of ``rows``.
        position: of each entry, its place in the whole history.
    """

    def __init__(self, table: Ints, rows: Ints, floors: dict[int, Floor]) -> None:
        self.table = table = table[np.argsort(table[:, INVOKED])]
        done = np.flatnonzero(table[:, COMPLETED] >= 0)
        count = len(table)
        entries = np.concatenate((table[:, INVOKED], table[done, COMPLETED]))
        order = np.argsort(entries)
        self.position = entries[order]
        self.n = len(order)
        place = np.empty(self.n, np.int64)
        place[order] = np.arange(self.n)
        of = np.concatenate((np.arange(count), done))[order]
        is_invocation = order < count
        self.f_names = F_NAMES
        self.f = table[of, F].astype(np.int32)
        self.type = np.where(is_invocation, INVOKE_CODE, table[of, STATUS]).astype(np.int8)
        self.process = table[of, PROCESS]
        self.time = np.zeros(self.n, np.int64)  # positions tell the order
        self.pair = np.full(self.n, -1, np.int64)
        self.pair[place[done]], self.pair[place[count:]] = place[count:], place[done]
        names = {"id": ID, "ts": TS, "commit_ts": COMMIT_TS, "flags": FLAGS}
        self.fields = {name: table[of, column] for name, column in names.items()}
        self.fields["of"] = np.full(self.n, ABSENT)
        at = self.pair[place[np.searchsorted(table[:, INVOKED], rows[:, OWNER])]]
        row_order = np.argsort(at, kind="stable")
        self.raw = rows[row_order]
        self.row_start = running_total(np.bincount(at, minlength=self.n))
        based = rebased(self.raw, floors)
        names = ("kind", "account", "balance", "version", "writer", "previous")
        self.rows = {name: based[:, column] for column, name in enumerate(names, KIND)}

    def number(self, index: int) -> int:
        """The index of an entry in the whole history."""
        return int(self.position[index])

    def op(self, index: int) -> Op:
        """An entry as far as it is known here, for words."""
        process, kind = int(self.process[index]), TYPES[self.type[index]]
        return Op(int(self.position[index]), 0, process, kind, F_NAMES[self.f[index]], {})


def owned_by(rows: Ints, owners: Any) -> NDArray[np.bool_]:
    """Which rows are of these operations, told by the positions of their invocations."""
    return np.isin(rows[:, OWNER], owners)


def who(one: Any) -> str:
    """An operation of a table in words: ``T17 (index 40, process 3, transfer)``."""
    return f"T{one[ID]} (index {one[INVOKED]}, process {one[PROCESS]}, {F_NAMES[one[F]]})"
