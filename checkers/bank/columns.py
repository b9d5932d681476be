"""The bank's operations as integers, so that checking a million of them never touches JSON.

The shapes are strict: a history that does not have them is refused with a sentence, since a checker that guesses
can be fooled. What is not a matter of shape (a wrong sum, a version that fits nothing) passes, and is judged later.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Literal

import msgspec

from harness.op import INVOKE, OK, Op
from harness.protocols import ABSENT

FINAL: Final = 1  # a read after everything was healed
OLD_SNAPSHOT: Final = 2  # a read at a timestamp that was drawn before the operation began
CORRUPT: Final = 4  # it met a record that was not what had been written
INSUFFICIENT: Final = 8  # there was not enough money
READBACK: Final = 16  # what a commit had written, read at its commit_ts when all was over

READ: Final = 0
WRITE: Final = 1


_Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_Natural = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_Id = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
_Previous = Annotated[int, msgspec.Meta(ge=ABSENT, le=2**63 - 1)]
_Record = tuple[_Natural, _Int64, _Natural, _Natural, _Previous]  # account, balance, version, writer, previous
_Corrupt = list[tuple[_Natural, str]]


class _Transfer(msgspec.Struct, rename={"from_": "from"}):
    id: _Id
    from_: _Natural
    to: _Natural
    amount: _Natural
    mode: Literal["optimistic", "pessimistic"] = "optimistic"
    ts: _Natural | None = None
    read: list[_Record] = []
    write: list[_Record] = []
    commit_ts: _Natural | None = None
    corrupt: _Corrupt = []


class _Read(msgspec.Struct):
    id: _Id
    via: Literal["batch_get", "scan", "snapshot", "old-snapshot"] = "batch_get"
    final: bool = False
    ts: _Natural | None = None
    read: list[_Record] = []
    corrupt: _Corrupt = []


class _Readback(msgspec.Struct):
    id: _Id
    of: _Id
    ts: _Natural
    accounts: list[_Natural]
    read: list[_Record] = []
    corrupt: _Corrupt = []


class BankEncoder:
    """The ``RowEncoder`` of the bank.

    Fields of an operation: its id, the timestamp it read at, its commit timestamp, ``FINAL``, ``OLD_SNAPSHOT``,
    ``CORRUPT``, ``INSUFFICIENT``, ``READBACK`` as bits, and the id of the transfer that it reads back. A row is one
    record read or written. Invocations have no rows.
    """

    name = "bank"
    version = 2
    fields: tuple[str, ...] = ("id", "ts", "commit_ts", "flags", "of")
    row_fields: tuple[str, ...] = ("kind", "account", "balance", "version", "writer", "previous")

    def encode(self, op: Op) -> tuple[Sequence[int], Sequence[int]]:
        """Return the four integers of the operation, and six for each of its records, flat.

        Raises:
            ValueError: the value has not the bank's shape.
        """
        try:
            if op.f == "read":
                return _encode_read(op, msgspec.convert(op.value, _Read))
            if op.f == "transfer":
                return _encode_transfer(op, msgspec.convert(op.value, _Transfer))
            if op.f == "readback":
                return _encode_readback(op, msgspec.convert(op.value, _Readback))
        except msgspec.ValidationError as error:
            raise ValueError(
                f"not a {op.f} of a bank with versions (without them it is --kind bank-totals): {error}"
            ) from None
        if not op.is_client:
            return (ABSENT, ABSENT, ABSENT, 0, ABSENT), ()
        raise ValueError(f"the bank knows transfer, read and readback, not {op.f!r}")


def _encode_read(op: Op, value: _Read) -> tuple[Sequence[int], Sequence[int]]:
    flags = (
        (FINAL if value.final else 0)
        | (OLD_SNAPSHOT if value.via == "old-snapshot" else 0)
        | (CORRUPT if value.corrupt else 0)
    )
    ts = ABSENT if value.ts is None else value.ts
    rows = () if op.type == INVOKE else _rows_read(value.read)
    return (value.id, ts, ABSENT, flags, ABSENT), rows


def _encode_readback(op: Op, value: _Readback) -> tuple[Sequence[int], Sequence[int]]:
    flags = READBACK | OLD_SNAPSHOT | (CORRUPT if value.corrupt else 0)
    rows = () if op.type == INVOKE else _rows_read(value.read)
    if not {record[0] for record in value.read} <= set(value.accounts):
        raise ValueError("a readback reads the accounts it names")
    return (value.id, value.ts, ABSENT, flags, value.of), rows


def _rows_read(records: list[_Record]) -> list[int]:
    rows: list[int] = []
    last = -1
    for account, balance, version, writer, previous in records:
        if account <= last:
            raise ValueError("the records of a read are not in ascending order of accounts, each once")
        last = account
        rows += (READ, account, balance, version, writer, previous)
    return rows


def _encode_transfer(op: Op, value: _Transfer) -> tuple[Sequence[int], Sequence[int]]:
    if value.from_ == value.to:
        raise ValueError("a transfer goes from an account to another")
    flags = (CORRUPT if value.corrupt else 0) | (INSUFFICIENT if op.error_word == "insufficient-funds" else 0)
    ts = ABSENT if value.ts is None else value.ts
    commit_ts = ABSENT if value.commit_ts is None else value.commit_ts
    if op.type == INVOKE:
        return (value.id, ts, commit_ts, flags, ABSENT), ()
    if op.type == OK and not len(value.read) == len(value.write) == 2:
        raise ValueError("a transfer that is ok has read two records and written two")
    rows: list[int] = []
    for kind, records in ((READ, value.read), (WRITE, value.write)):
        last = -1
        for account, balance, version, writer, previous in records:
            if account not in (value.from_, value.to) or account == last:
                raise ValueError("a transfer reads and writes the two accounts it names, each once")
            last = account
            rows += (kind, account, balance, version, writer, previous)
    for record in value.write:
        if record[2] < 1 or record[3] != value.id:
            raise ValueError("what a transfer writes has a version of at least 1 and the transfer's own id as writer")
    return (value.id, ts, commit_ts, flags, ABSENT), rows


BANK_ENCODER: Final = BankEncoder()
