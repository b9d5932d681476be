"""An operation as a person reads it: a title, and the facts about accounts and versions that matter."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from harness.history import History
from harness.op import Op
from reports.text import ELLIPSIS, instant, shown

_FACTS = 4


class Record(NamedTuple):
    """An account as an operation saw it or left it."""

    account: int
    balance: int
    version: int
    writer: int
    previous: int


class OpView(msgspec.Struct):
    """An operation, invocation and completion together.

    Attributes:
        index: of its invocation in the history.
        label: its short name: ``T17``.
        process: who did it.
        f: its kind.
        title: what it was to do.
        begin_ns: time of the invocation.
        end_ns: time of the completion, None while pending.
        outcome: ``ok``, ``fail``, ``info``, or ``pending``.
        facts: what it saw and did, in short lines, the most telling first.
        value: the completion's value (the invocation's, if there is none).
        error: of the completion.
    """

    index: int
    label: str
    process: int | str
    f: str
    title: str
    begin_ns: int
    end_ns: int | None
    outcome: str
    facts: list[str]
    value: Any
    error: Any

    @property
    def when(self) -> str:
        """From its invocation to its completion."""
        end = "no completion" if self.end_ns is None else instant(self.end_ns)
        return f"{self.begin_ns / 1e9:.3f} \N{EN DASH} {end}"

    @property
    def value_text(self) -> str:
        """Its value as JSON, in bounds."""
        return shown(self.value)

    @property
    def error_text(self) -> str:
        """Its error, in bounds; empty without one."""
        return "" if self.error is None else shown(self.error, 160)


def views(history: History, indices: Iterable[int]) -> list[OpView]:
    """The operations at ``indices`` (each of an invocation or of a completion), in that order.

    They are called as the checkers call them: T17 is the operation with the id 17; one without an id goes by its index.
    Indices outside the history are left out: a verdict may have been made from another one.
    """
    pairs: dict[int, Op | None] = {}
    for index in indices:
        if 0 <= index < history.n:
            other = int(history.pair[index])
            begin = index if other < 0 else min(index, other)
            end = max(index, other)
            pairs.setdefault(begin, history.op(end) if end > begin else None)
    invocations = {begin: history.op(begin) for begin in pairs}
    touched = _written(op for op in pairs.values() if op is not None)
    return [_view(invocations[begin], completion, touched) for begin, completion in pairs.items()]


def records(value: Any, key: str) -> list[Record]:
    """The records under ``key`` in the value of an operation of the bank; those of another shape are left out."""
    found = value.get(key) if isinstance(value, dict) else None
    if not isinstance(found, list | tuple):
        return []
    return [Record(*item) for item in found if _is_record(item)]


def _is_record(item: Any) -> bool:
    return isinstance(item, list | tuple) and len(item) == 5 and all(type(number) is int for number in item)


def _written(ops: Iterable[Op]) -> frozenset[int]:
    return frozenset(record.account for op in ops for record in records(op.value, "write"))


def _view(invocation: Op, completion: Op | None, touched: frozenset[int]) -> OpView:
    last = completion or invocation
    identity = invocation.value.get("id") if isinstance(invocation.value, dict) else None
    return OpView(
        index=invocation.index,
        label=f"T{identity}" if type(identity) is int else f"#{invocation.index}",
        process=invocation.process,
        f=invocation.f,
        title=_title(invocation),
        begin_ns=invocation.time,
        end_ns=None if completion is None else completion.time,
        outcome="pending" if completion is None else completion.type,
        facts=_facts(last, touched),
        value=last.value,
        error=last.error,
    )


def _title(op: Op) -> str:
    value = op.value if isinstance(op.value, dict) else {}
    if op.f == "transfer" and all(type(value.get(key)) is int for key in ("from", "to", "amount")):
        return f"transfer {value['amount']}: {value['from']} \N{RIGHTWARDS ARROW} {value['to']}"
    if op.f == "read" and isinstance(value.get("via"), str):
        via = {"batch_get": "batch get", "old-snapshot": "old snapshot"}
        return f"{'final read' if value.get('final') is True else 'read'} by {via.get(value['via'], value['via'])}"
    if op.f == "readback" and type(value.get("of")) is int:
        return f"T{value['of']} read back"
    return op.f


def _facts(op: Op, touched: frozenset[int]) -> list[str]:
    read = {record.account: record for record in records(op.value, "read")}
    wrote = {record.account: record for record in records(op.value, "write")}
    if not read and not wrote:
        return [shown(op.value, 42)] if op.value is not None and op.f not in ("read", "transfer", "readback") else []
    if wrote:
        return [_change(account, read.get(account), wrote.get(account)) for account in sorted(read | wrote)][:_FACTS]
    if op.f != "read":
        return [_seen(record) for record in read.values()][:_FACTS]
    return _of_read(list(read.values()), touched)


def _of_read(seen: Sequence[Record], touched: frozenset[int]) -> list[str]:
    """The accounts that the other operations wrote, and the sum of all."""
    total = f"sum {sum(record.balance for record in seen):,} over {len(seen)} accounts"
    telling = [_seen(record) for record in seen if record.account in touched]
    if len(telling) > _FACTS - 1:
        telling = [*telling[: _FACTS - 2], f"{ELLIPSIS} and {len(telling) - _FACTS + 2} more"]
    return [*telling, total]


def _seen(record: Record) -> str:
    return f"account {record.account}: read v{record.version} ({record.balance:,})"


def _change(account: int, read: Record | None, wrote: Record | None) -> str:
    if wrote is None:
        return _seen(read) if read else f"account {account}"
    if read is None:
        return f"account {account}: wrote v{wrote.version} ({wrote.balance:,})"
    arrow = "\N{RIGHTWARDS ARROW}"
    return f"account {account}: v{read.version} {arrow} v{wrote.version} ({read.balance:,} {arrow} {wrote.balance:,})"
