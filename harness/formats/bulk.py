"""Blocks of operations into columns, all at once where the encoder can do that."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from harness.columns import Chunk, Ints, make_chunk, refused_number
from harness.formats.form import Block, ints
from harness.op import Op
from harness.protocols import EncodesMany, RowEncoder

# What an encoder may raise over a stranger's value.
_REFUSALS: Final = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)


class Refused(Exception):
    """The encoder does not take an operation."""

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(reason)
        self.position = position  # in its block
        self.reason = reason


def chunk_of(block: Block, encoder: RowEncoder) -> Chunk:
    """The columns of a block.

    Raises:
        Refused: the encoder does not take an operation.
    """
    ops = block.ops
    fields, counts, rows = _encoded(ops, encoder)
    names = [op.f for op in ops]
    codes = {name: code for code, name in enumerate(dict.fromkeys(names))}
    f = ints(list(map(codes.__getitem__, names)))
    columns = [block.time, block.process, block.type, f, block.lengths, counts, *fields, *rows]
    end = block.start + int(block.lengths.sum())
    return make_chunk(encoder, columns, list(codes), (block.start, end))


def _encoded(ops: Sequence[Op], encoder: RowEncoder) -> tuple[list[Ints], Ints, list[Ints]]:
    """A column for each field, how many rows each operation has, and a column for each field of rows."""
    if isinstance(encoder, EncodesMany):
        try:
            return _whole(encoder, len(ops), *encoder.encode_many(ops))
        except _REFUSALS:
            _one_by_one(ops, encoder)
            raise  # none of them alone is wrong: the encoder contradicts itself
    return _one_by_one(ops, encoder)


def _whole(
    encoder: RowEncoder, ops: int, fields: Sequence[Any], counts: Any, rows: Sequence[Any]
) -> tuple[list[Ints], Ints, list[Ints]]:
    """The same as arrays, if they fit each other."""
    of_ops = [ints(column) for column in (counts, *fields)]
    of_rows = [ints(column) for column in rows]
    total = int(of_ops[0].sum())
    if (
        (len(fields), len(rows)) != (len(encoder.fields), len(encoder.row_fields))
        or any(len(column) != ops for column in of_ops)
        or any(len(column) != total for column in of_rows)
    ):
        raise ValueError(f"the encoder {encoder.name} gave the wrong number of integers")
    return of_ops[1:], of_ops[0], of_rows


def _one_by_one(ops: Sequence[Op], encoder: RowEncoder) -> tuple[list[Ints], Ints, list[Ints]]:
    width, row_width = len(encoder.fields), len(encoder.row_fields)
    fields, counts, rows = array("q"), array("q"), array("q")
    for position, op in enumerate(ops):
        try:
            own, its_rows = encoder.encode(op)
            if len(own) != width or (len(its_rows) % row_width if row_width else its_rows):
                raise ValueError(f"the encoder {encoder.name} gave the wrong number of integers")
            try:
                fields.extend(own)
                rows.extend(its_rows)
            except (OverflowError, TypeError) as error:
                raise refused_number(error) from None
        except _REFUSALS as error:
            raise Refused(position, str(error) or type(error).__name__) from None
        counts.append(len(its_rows) // row_width if row_width else 0)
    of_fields = np.frombuffer(fields, np.int64).reshape(len(ops), width)
    of_rows = np.frombuffer(rows, np.int64).reshape(-1, row_width) if row_width else np.zeros((0, 0), np.int64)
    return list(of_fields.T), ints(counts), list(of_rows.T)
