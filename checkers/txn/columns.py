"""Transactions of micro-operations as integers: ``["append", k, v]`` and ``["r", k, [...]]``, or ``["w", k, v]``.

The lists that are read repeat each other: nearly every one is a beginning of the key's longest. So only what is new in
a list becomes rows, and the rest is compared as a slice, which Python does in C. That makes the columns as long as the
writes, not as long as all lists together.

The rows of a completion are what happened; those of an invocation are its writes alone, which count where there is no
completion. The two must name the same micro-operations.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from harness.names import NIL, Names
from harness.op import INVOKE, OK, Op

WRITE: Final = 0  # value: what is written or appended
READ: Final = (
    1  # value: what was read; of a list its length, ELEMENT rows follow: what it adds to the key's longest list
)
UNREAD: Final = 2  # nobody knows what it read
ELEMENT: Final = 3  # an element of the list whose row came before
DIVERGING: Final = 4  # a list that is no beginning of the longest: its length; the elements from the first other one on
RECORDED: Final = 5  # a list read by an operation that is not ok: its length; all its elements

_SHORTEST: Final = 1 << 62  # integers below this in size stand for themselves, and need not be looked up

_OF_ONE_MIND: Final = "the micro-operations of the completion are not those of its invocation"

Rows = list[int]


class _MicroOps:
    """What both kinds share: the shape of operations, and that the two entries of one are of one mind."""

    version = 1
    cumulative = True
    fields: tuple[str, ...] = ()
    row_fields: tuple[str, ...] = ("what", "key", "value")
    name: str
    _write: str
    _initial = 0  # the value of a row that read the initial state
    _of_lists = False

    def __init__(self) -> None:
        self.names = Names()
        self._asked: dict[int | str, Any] = {}

    def encode(self, op: Op) -> tuple[Sequence[int], Sequence[int]]:
        """Return no integers for the operation, and three for each of its rows, flat.

        Raises:
            ValueError: the value is no list of such micro-operations, or not that of the invocation.
        """
        rows: Rows = []
        try:
            self._add(op, rows)
        except (TypeError, ValueError, IndexError) as error:
            self._refuse(op.value)
            raise ValueError(str(error)) from None
        return (), rows

    def encode_many(self, ops: Sequence[Op]) -> tuple[Sequence[Any], Any, Sequence[Any]]:
        """The same of many operations, in columns: how many rows each has, and the three columns of rows.

        Raises:
            ValueError: one of them is not as ``encode`` wants it; then none was encoded. So does a TypeError.
        """
        asked = self._asked.copy()
        rows: Rows = []
        ends = array("q", [0])
        try:
            for op in ops:
                self._add(op, rows)
                ends.append(len(rows))
        except BaseException:
            self._asked = asked
            raise
        table = np.frombuffer(array("q", rows), np.int64).reshape(-1, 3)
        return (), np.diff(ends) // 3, list(table.T)

    def _add(self, op: Op, rows: Rows) -> None:
        if not op.is_client:
            return
        value = op.value
        if op.type == INVOKE:
            self._asked[op.process] = value
            self._add_writes(rows, value)
            return
        asked = self._asked.pop(op.process, value)  # missing where another encoder has read the invocation
        if value is None and op.type != OK:
            value = asked
        if not isinstance(value, list) or len(asked) != len(value):
            raise ValueError(_OF_ONE_MIND)
        self._add_rows(rows, value, asked, recorded=op.type != OK)

    def _add_writes(self, rows: Rows, value: list[Any]) -> None:
        write, code = self._write, self.names.code
        for f, key, given in value:
            if f == write and given is not None:
                number = key if type(key) is int and -_SHORTEST < key < _SHORTEST else self.names.key(key)
                rows += (WRITE, number, code(given))
            elif f != "r":
                raise ValueError("unknown")

    def _add_rows(self, rows: Rows, value: list[Any], asked: list[Any], *, recorded: bool) -> None:
        code, write, of_lists = self.names.code, self._write, self._of_lists
        for (f, key, given), (asked_f, asked_key, asked_value) in zip(value, asked, strict=True):
            if f != asked_f or key != asked_key or (f != "r" and given != asked_value):
                raise ValueError(_OF_ONE_MIND)
            number = key if type(key) is int and -_SHORTEST < key < _SHORTEST else self.names.key(key)
            if f == "r":
                if given is None:
                    rows += (UNREAD, number, 0) if recorded else (READ, number, self._initial)
                elif of_lists:
                    self._add_list(rows, number, given, recorded)
                else:
                    is_small = type(given) is int and -_SHORTEST < given < _SHORTEST
                    rows += (READ, number, given if is_small else code(given))
            elif f == write and given is not None:
                rows += (WRITE, number, code(given))
            else:
                raise ValueError("unknown")

    def _add_list(self, rows: Rows, key: int, given: Any, recorded: bool) -> None:
        raise NotImplementedError

    def _refuse(self, value: Any) -> None:
        """Say what is wrong with the shape, if anything is."""
        if not isinstance(value, list):
            raise ValueError(f"a transaction is a list of micro-operations, not {value!r:.80}")  # noqa: TRY004
        for each in value:
            if not isinstance(each, list | tuple) or len(each) != 3 or each[0] not in ("r", self._write):
                raise ValueError(
                    f'a micro-operation is ["r", key, value] or ["{self._write}", key, value], not {each!r:.80}'
                )
            if each[0] == self._write and each[2] is None:
                raise ValueError(f"{list(each)!r:.80} writes nil, which stands for the initial state")


class RegisterEncoder(_MicroOps):
    """The ``RowEncoder`` of rw-register: a row for each micro-operation; ``NIL`` is the initial state."""

    name = "rw-register"
    _write = "w"
    _initial = NIL


class ListAppendEncoder(_MicroOps):
    """The ``RowEncoder`` of list-append; nil and the empty list are both the initial state."""

    name = "list-append"
    _write = "append"
    _of_lists = True

    def __init__(self) -> None:
        super().__init__()
        self._longest: dict[int, list[Any]] = {}

    def _add_list(self, rows: Rows, key: int, given: Any, recorded: bool) -> None:
        if type(given) is not list:
            raise ValueError(f"a list is read, not {given!r:.80}")
        if recorded:
            rows += (RECORDED, key, len(given))
            _add_elements(rows, key, given, self.names.code)
        else:
            self._add_read(rows, key, given)

    def _add_read(self, rows: Rows, key: int, given: list[Any]) -> None:
        longest = self._longest.get(key)
        if longest is None:
            longest = self._longest[key] = []
        length, known = len(given), len(longest)
        if length <= known and given == (longest if length == known else longest[:length]):
            rows += (READ, key, length)
        elif length > known and given[:known] == longest:
            rows += (READ, key, length)
            _add_elements(rows, key, given[known:], self.names.code)
            self._longest[key] = given
        else:
            rows += (DIVERGING, key, length)
            _add_elements(rows, key, given[_common(given, longest) :], self.names.code)


def _add_elements(rows: Rows, key: int, elements: list[Any], code: Callable[[Any], int]) -> None:
    for each in elements:
        rows += (ELEMENT, key, each if type(each) is int and -_SHORTEST < each < _SHORTEST else code(each))


def _common(one: list[Any], other: list[Any]) -> int:
    """The length of their common beginning, by halving."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
