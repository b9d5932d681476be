"""A history as EDN, as Jepsen writes it: operations one after the other, or in one list or vector.

Lines that hold an operation each are read many at once, whatever else token by token. Which of them it is does not
show in the outcome.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from harness.formats.edn_fast import FastLines, is_plain
from harness.formats.edn_ops import UNSET, Raw, Whole, op_of, raw_of, settled
from harness.formats.edn_reader import END, Closed, EdnError, Unfinished, read_value, skip
from harness.formats.form import Block, Malformed, block_of, ints, is_in_order
from harness.history_source import Source
from harness.op import Op
from harness.recorder import LINE_LIMIT

_AT_ONCE: Final = 1 << 20  # bytes
_TEACHERS: Final = 16  # operations that are read token by token first, so that their keywords are known
_PATIENCE: Final = 1000  # operations read one by one, before that is taken for the rule
_BRACKETS: Final = {b"[": b"]", b"(": b")"}
_NEXT: Final = re.compile(rb"\n[\s,]*+(?:#jepsen[^\s{]*+)?\{")


class Edn:
    """Maps with ``:type``, ``:process``, ``:f``, ``:value`` and so on; see ``edn_ops`` for what may be missing."""

    name = "EDN"
    foreign = True

    def blocks(self, source: Source, start: int = 0, first: int = 0, time: int = 0) -> Iterator[Block]:
        """Read operations, see ``Format``."""
        del time
        return _Reader(source, start, first).blocks()

    def op(self, text: bytes, index: int) -> Op:
        """The operation of a span that was read before."""
        return op_of(text, index)

    def lead(self, text: bytes) -> int:
        """How many bytes come before it."""
        return skip(text)


class _Reader:
    """Reads one file."""

    def __init__(self, source: Source, start: int, first: int) -> None:
        self._source = source
        self._at = start  # where the next span begins
        self._next = first  # the place of the next operation
        self._last = UNSET  # the index that was given last
        self._fast = FastLines()
        self._learned = 0  # operations read one by one
        self._quick = 0  # operations read many at once
        self._closing = b""  # the bracket that ends the history
        self._done = False
        # Operations that were read, and where their spans end, counted from ``_at``.
        self._raws: list[Raw | Whole] = []
        self._ends: list[int] = []
        self._error: Malformed | None = None

    def blocks(self) -> Iterator[Block]:
        self._open()
        size = _AT_ONCE
        while not self._done:
            text = self._source.read(self._at, self._at + size)
            final = len(text) < size
            if not self._lines(text) or not self._ends:
                self._tokens(text, self._ends[-1] if self._ends else 0, final=final)
            block = self._settle(text)
            if block is not None:
                yield block
            if self._error is not None:
                raise self._error
            if block is None and not self._done:
                if size > LINE_LIMIT:
                    raise Malformed(self._at + skip(text), f"an operation is longer than {LINE_LIMIT >> 20} MiB")
                size = LINE_LIMIT + 1
            else:
                size = _AT_ONCE

    def _open(self) -> None:
        """Step into the list that all operations are in, if there is one."""
        text = self._source.read(self._at, self._at + _AT_ONCE)
        begin = skip(text)
        self._closing = _BRACKETS.get(text[begin : begin + 1], b"")
        if self._closing:
            self._at += begin + 1

    # Line by line, many at once.

    def _lines(self, text: bytes) -> bool:
        """Read operations as long as each has a line of its own; return whether all have."""
        if self._closing:
            text = _on_lines(text)
        ends = (np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n")) + 1).tolist()
        starts = [0, *ends]
        plain = is_plain(text[: starts[-1]])
        low = 0
        while low < len(ends):
            high = low + 1
            line = text[starts[low] : ends[low]]
            if self._learned < _TEACHERS or self._is_in_vain() or not (plain or is_plain(line)):
                if not self._line(line, ends[low]):
                    return False
            else:
                while high < len(ends) and (plain or is_plain(text[starts[high] : ends[high]])):
                    high = len(ends) if plain else high + 1
                if not self._run(text, starts, low, high):
                    return False
            low = high
        return True

    def _is_in_vain(self) -> bool:
        """Whether most lines had to be read one by one all the same."""
        return self._learned > max(_PATIENCE, self._quick)

    def _run(self, text: bytes, starts: list[int], low: int, high: int) -> bool:
        """Read plain lines, as many at once as possible; return whether each held an operation, or none."""
        raws = self._fast.decode(text[starts[low] : starts[high]], high - low)
        if raws is not None:
            self._raws += raws
            self._ends += starts[low + 1 : high + 1]
            self._quick += high - low
            return True
        if high - low == 1:
            return self._line(text[starts[low] : starts[high]], starts[high])
        if self._is_in_vain():
            return all(self._line(text[starts[at] : starts[at + 1]], starts[at + 1]) for at in range(low, high))
        middle = (low + high) // 2
        return self._run(text, starts, low, middle) and self._run(text, starts, middle, high)

    def _line(self, line: bytes, end: int) -> bool:
        """Read one line; return whether it held an operation, or none."""
        try:
            value, at = read_value(line)
            if value is not END and (isinstance(value, Closed) or read_value(line, at)[0] is not END):
                return False
            if value is not END:
                self._take(value, end)
                self._fast.learn(line, value)
                self._learned += 1
        except (Unfinished, EdnError, ValueError):
            return False  # token by token it comes out what it is
        return True

    # Token by token.

    def _tokens(self, text: bytes, at: int, *, final: bool) -> None:
        """Read operations wherever they are, until the text ends."""
        try:
            while True:
                begin = skip(text, at)
                value, end = read_value(text, at)
                if isinstance(value, Closed):
                    if value is not END:
                        self._close(text, end)
                    elif final:
                        self._finish(text, at)
                    return
                try:
                    self._take(value, end)
                except ValueError as error:
                    self._error = Malformed(self._at + begin, str(error))
                    return
                at = end
        except EdnError as error:
            self._error = Malformed(self._at + error.at, str(error))
        except Unfinished:
            if final:
                self._finish(text, at)

    def _close(self, text: bytes, end: int) -> None:
        """A bracket closes that no operation opened: that of the list of all, and so the file must end."""
        at = self._at + end
        behind = self._source.read(at, at + LINE_LIMIT)
        if text[end - 1 : end] != self._closing:
            self._error = Malformed(at - 1, f"not EDN: {text[end - 1 : end].decode()} closes nothing")
        elif skip(behind) < len(behind):
            self._error = Malformed(at + skip(behind), "not EDN: something follows the end of the list")
        self._done = True

    def _finish(self, text: bytes, at: int) -> None:
        """The file ends; perhaps in the middle of an operation, of its last line."""
        begin = skip(text, at)
        if begin < len(text) and _NEXT.search(text, begin):
            self._error = Malformed(self._at + begin, "not EDN: what begins here does not end")
        elif begin < len(text):
            self._source.warn_of_torn_line()
        elif self._closing:
            self._source.warnings.append(f"{self._source.name} ends before its list does")
        self._done = True

    # What was read.

    def _take(self, value: Any, end: int) -> None:
        self._raws.append(raw_of(value))
        self._ends.append(end)

    def _settle(self, text: bytes) -> Block | None:
        """Make a block of what was read; an error cuts it short."""
        raws, ends = self._raws, self._ends
        self._raws, self._ends = [], []
        block = self._as_it_is(raws, ends)
        if block is None:
            ops: list[Op] = []
            for raw, begin in zip(raws, [0, *ends], strict=False):
                try:
                    self._follow(raw.index)
                    ops.append(settled(raw, self._next + len(ops)))
                except ValueError as error:
                    self._error = Malformed(self._at + skip(text, begin), str(error))
                    break
            if not ops:
                return None
            block = block_of(ops, self._at, np.diff(ints(ends[: len(ops)]), prepend=0))
        self._next += len(block.ops)
        self._at += ends[len(block.ops) - 1]
        return block

    def _as_it_is(self, raws: list[Raw | Whole], ends: list[int]) -> Block | None:
        """The block, if nothing is missing in it and nothing out of place."""
        if not raws or {type(raw) for raw in raws} != {Whole} or self._last >= self._next:
            return None
        try:
            block = block_of(raws, self._at, np.diff(ints(ends), prepend=0))
        except (OverflowError, TypeError):
            return None
        if not is_in_order(block, self._next):
            return None
        self._last = raws[-1].index
        return block

    def _follow(self, index: int) -> None:
        """Doubt an index: those that are given rise."""
        if index == UNSET:
            return
        if index <= self._last:
            raise ValueError(f"the index is {index} where one above {self._last} should be")
        self._last = index


def _on_lines(text: bytes) -> bytes:
    """The same text, as long as before, with operations on lines of their own where all stood on one.

    Maps in a list within an operation are torn apart too. What begins on such a line does not end there, and so is read
    token by token, from the text as it was.
    """
    between = text.count(b"} {:") + text.count(b"} #")
    if text.count(b"\n") >= between or not is_plain(text):
        return text
    return text.replace(b"} {:", b"}\n{:").replace(b"} #", b"}\n#")
