"""What Jepsen's old tests print: ``INFO  jepsen.util - PROCESS :type :f VALUE``, an operation a line, with tabs.

``nil`` is the value of a read that was not answered yet, ``[a b]`` that of a cas from a to b; ``:info`` has
``:timed-out`` where the value would be, which is an error here and no value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from harness.formats.edn_ops import raw_of, settled
from harness.formats.edn_reader import END, Closed, EdnError, Unfinished, read_value
from harness.formats.form import Block, Malformed, block_of, ints
from harness.history_source import Source
from harness.op import Op

BEGINNING: Final = re.compile(rb"\s*INFO\s+jepsen\.util\s+-\s")
_LINE: Final = re.compile(rb"INFO\s+jepsen\.util\s+-\s+(\S+)\s+(:\w+)\s+(:\S+)\s+(.+)\s*")
_NAMES: Final = ("process", "type", "f", "value", "error")


class EtcdLog:
    """Operations from a log; no times, no indices, the order counts."""

    name = "Jepsen's log"
    foreign = True

    def blocks(self, source: Source, start: int = 0, first: int = 0, time: int = 0) -> Iterator[Block]:
        """Read operations, see ``Format``; a torn last line becomes a warning."""
        del time
        for text in source.line_blocks(start):
            ops: list[Op] = []
            lengths: list[int] = []
            error: Malformed | None = None
            at = start
            for line in text.splitlines(keepends=True):
                try:
                    op = self.op(line, first + len(ops))
                except ValueError as problem:
                    if line.endswith(b"\n"):
                        error = Malformed(at, str(problem))
                    else:
                        source.warn_of_torn_line()
                    break
                ops.append(op)
                lengths.append(len(line))
                at += len(line)
            if ops:
                yield block_of(ops, start, ints(lengths))
            if error is not None:
                raise error
            start, first = at, first + len(ops)

    def op(self, text: bytes, index: int) -> Op:
        """The operation of a line.

        Raises:
            ValueError: there is none.
        """
        match = _LINE.fullmatch(text)
        if match is None:
            raise ValueError("not a line of Jepsen's log: INFO jepsen.util - PROCESS, :type, :f and a value")
        parts = [value for column in match.groups() for value in _values(column)]
        if not len(_NAMES) - 1 <= len(parts) <= len(_NAMES):
            raise ValueError("not one value in a column")
        fields = dict(zip(_NAMES, parts, strict=False))
        if fields["type"] == "info" and match[4].startswith(b":") and "error" not in fields:
            fields["error"] = fields.pop("value")
        return settled(raw_of(fields), index)

    def lead(self, text: bytes) -> int:
        """Nothing comes before it."""
        del text
        return 0


def _values(text: bytes) -> list[Any]:
    """The values in a column: one, and in the last an error may follow."""
    values: list[Any] = []
    at = 0
    try:
        while True:
            value, at = read_value(text + b" ", at)
            if value is END:
                return values
            if isinstance(value, Closed):
                raise ValueError("not EDN: a bracket closes nothing")  # noqa: TRY004 (it is the file that is wrong)
            values.append(value)
    except (EdnError, Unfinished) as error:
        raise ValueError(str(error) or "not EDN: a value does not end") from None
