"""Micro-operations as they stand in the history, when a person is to read of them."""

from __future__ import annotations

import json
from typing import Any, Final

from checkers.txn.columns import ELEMENT
from checkers.txn.facts import Facts

_TOLD: Final = 6  # micro-operations of one transaction
_LIST_TOLD: Final = 12  # elements
_LIST_ENDS: Final = (2, 7)
_ATOM_TOLD: Final = 60  # characters


class Quotes:
    """Finds and words them.

    A transaction is called T and the index of its invocation, since it has no other name.
    """

    def __init__(self, history: Any, facts: Facts) -> None:
        self._history = history
        self.facts = facts

    def name(self, txn: int) -> str:
        """``T40`` for the transaction that was invoked at index 40."""
        return f"T{self._index(txn)}"

    def describe(self, txn: int) -> str:
        """Who did what: ``T40 (index 40, process 3: read key 7 as [1 2], append 3 to key 7)``."""
        txns = self.facts.txns
        told = [told_micro_op(each) for each in self._value(txn)]
        if len(told) > _TOLD:
            told[_TOLD - 1 :] = [f"and {len(told) - _TOLD + 1} more"]
        what = ", ".join(told) or "nothing"
        return f"{self.name(txn)} (index {self._index(txn)}, process {int(txns.process[txn])}: {what})"

    def _index(self, txn: int) -> int:
        return self._history.number(int(self.facts.txns.invocation[txn]))

    def micro_op(self, row: int) -> list[Any]:
        """The micro-operation of a row, as it stands in the history; of an element that of its list."""
        ops = self.facts.ops
        txn = ops.txn[row]
        place = -1
        while row >= 0 and ops.txn[row] == txn:
            place += int(ops.what[row] != ELEMENT)
            row -= 1
        return self._value(int(txn))[place]

    def key(self, row: int) -> str:
        """The key of a row."""
        return f"key {told_value(self.micro_op(row)[1])}"

    def value(self, row: int) -> str:
        """What a row has read or written."""
        return told_value(self.micro_op(row)[2])

    def element(self, row: int) -> str:
        """The element of a row of that kind: its list holds such rows for its last elements."""
        ops = self.facts.ops
        end = row
        while end < len(ops.what) and ops.what[end] == ELEMENT:
            end += 1
        return told_value(self.micro_op(row)[2][row - end])

    def _value(self, txn: int) -> list[Any]:
        """Its micro-operations, with what was read where that is known."""
        txns = self.facts.txns
        completion = int(txns.completion[txn])
        if completion >= 0:
            value = self._history.op(completion).value
            if value is not None:
                return value
        return self._history.op(int(txns.invocation[txn])).value


def told_value(value: Any) -> str:
    """A value in words, a long list without its middle."""
    if value is None:
        return "nil"
    if not isinstance(value, list):
        told = json.dumps(value, ensure_ascii=False)
        return told if len(told) <= _ATOM_TOLD else f"{told[:_ATOM_TOLD]}…"
    first, last = _LIST_ENDS
    if len(value) <= _LIST_TOLD:
        return f"[{' '.join(map(told_value, value))}]"
    return f"[{' '.join([*map(told_value, value[:first]), '…', *map(told_value, value[-last:])])}]"


def told_micro_op(micro_op: list[Any]) -> str:
    """What a transaction was meant to do, and what it read if that is known."""
    f, key, value = micro_op
    if f == "append":
        return f"append {told_value(value)} to key {told_value(key)}"
    if f == "w":
        return f"write {told_value(value)} to key {told_value(key)}"
    return f"read key {told_value(key)} as {told_value(value)}"
