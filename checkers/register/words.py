"""What operations on registers are called when a person is to read of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from checkers.register.operations import Operations
from harness.op import Op

_SHOWN: Final = 60  # characters of a value
_LISTED: Final = 6


class Narrator:
    """Operations in words; they are numbered as in ``Operations``."""

    def __init__(self, history: Any, ops: Operations) -> None:
        self._history = history
        self.ops = ops

    def op(self, number: int) -> str:
        """``the write of 5 to key 2 by process 3 (index 40)``."""
        invoked = int(self.ops.invoked[number])
        op = self._history.op(invoked)
        if op.f in ("read", "get"):
            completion = self._history.op(int(self._history.pair[invoked]))
            return f"the {op.f} of {self.value(number)}{self._of(completion, 'from')} by {self._who(number)}"
        if op.f == "cas":
            old, new = self._proper(op)
            return f"the cas from {_text(old)} to {_text(new)}{self._of(op, 'of')} by {self._who(number)}"
        return f"the {op.f} of {self.value(number)}{self._of(op, 'to')} by {self._who(number)}"

    def value(self, number: int) -> str:
        """The value that was read or written."""
        invoked = int(self.ops.invoked[number])
        op = self._history.op(invoked)
        told = op if op.f not in ("read", "get") else self._history.op(int(self._history.pair[invoked]))
        value = self._proper(told)
        return _text(value[1] if op.f == "cas" else value)

    def expected(self, number: int) -> str:
        """The value that a read or a cas observed."""
        op = self._history.op(int(self.ops.invoked[number]))
        return _text(self._proper(op)[0]) if op.f == "cas" else self.value(number)

    def key(self, number: int) -> str:
        """``key 2``, or ``the register`` where there is one only."""
        op = self._history.op(int(self.ops.invoked[number]))
        return f"key {_text(op.value[0])}" if self._keyed(op) else "the register"

    def indices(self, numbers: Sequence[int]) -> list[int]:
        """Where in the history they were invoked."""
        return [int(self.ops.invoked[number]) for number in numbers]

    def begun(self, number: int) -> str:
        """``was invoked at index 12``."""
        return f"was invoked at {self.place(int(self.ops.invoked[number]))}"

    def done(self, number: int) -> str:
        """``had completed at index 14``."""
        return f"had completed at {self.place(int(self.ops.completed[number]))}"

    def listed(self, numbers: Sequence[int], most: int = _LISTED) -> str:
        """Several operations, some of them left out."""
        told = [self.op(number) for number in numbers[:most]]
        more = len(numbers) - len(told)
        return "; ".join(told) + (f"; and {more} more" if more > 0 else "")

    def place(self, position: int) -> str:
        """``index 12``, as it stands in the file."""
        return f"index {self._history.number(position)}"

    def _who(self, number: int) -> str:
        return f"process {int(self.ops.process[number])} ({self.place(int(self.ops.invoked[number]))})"

    def _keyed(self, op: Op) -> bool:
        value = op.value
        if not isinstance(value, list):
            return False
        return op.f != "cas" or isinstance(value[1], list)

    def _proper(self, op: Op) -> Any:
        return op.value[1] if self._keyed(op) else op.value

    def _of(self, op: Op, preposition: str) -> str:
        return f" {preposition} key {_text(op.value[0])}" if self._keyed(op) else ""


def _text(value: Any) -> str:
    text = "nil" if value is None else str(value) if not isinstance(value, str) else repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
