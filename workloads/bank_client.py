"""Carries out the operations of one bank process: transfers, each one transaction, reads of all accounts, readbacks.

What an operation has seen and tried so far is kept while it runs (``partial``), so that one that is cut off in the
middle still tells the checkers what it read, and what it may have written.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterable
from typing import Any

from cluster.api import Store, Txn
from cluster.errors import StoreError
from harness.op import FAIL, INFO, OK, Op
from workloads.bank_layout import Layout
from workloads.bank_record import CorruptRecord, Record, RecordCodec

ROLLBACK_S = 1.0
# An old snapshot is taken at the oldest of this many remembered timestamps: seconds ago at usual rates.
REMEMBERED = 8

INSUFFICIENT_FUNDS = "insufficient-funds"
CORRUPT = "corrupt"
MISSING = "missing-account"


class BankClient:
    """A process's client. Operations come one at a time."""

    def __init__(self, store: Store, layout: Layout, codec: RecordCodec) -> None:
        self._store = store
        self._layout = layout
        self._codec = codec
        self._timestamps: deque[int] = deque(maxlen=REMEMBERED)
        self._value: dict[str, Any] = {}
        self._commit_sent = False
        self._doing = {"transfer": self._transfer, "read": self._read, "readback": self._read_back}

    async def invoke(self, op: Op) -> Op:
        """Do it. An error before any commit was sent, or a definite one, is ``fail``; any other is ``info``."""
        self._commit_sent = False
        value = self._value = dict(op.value)
        try:
            error = await self._doing[op.f](value)
        except CorruptRecord as corrupt:
            value["corrupt"] = [[corrupt.account, corrupt.data.hex()]]
            return op.replace(type=FAIL, value=value, error=CORRUPT)
        except StoreError as failure:
            certain = failure.definite or not self._commit_sent
            return op.replace(type=FAIL if certain else INFO, value=value, error=_words(failure))
        self._remember(value)
        return op.replace(type=FAIL if error else OK, value=value, error=error)

    def partial(self, op: Op) -> Any:
        """The value of ``op``, which was cut off in the middle, with what is known of it."""
        return dict(self._value) if self._value.get("id") == op.value["id"] else op.value

    async def close(self) -> None:
        """End the connection."""
        await self._store.close()

    # Transfers.

    async def _transfer(self, value: dict[str, Any]) -> str | None:
        txn = await self._store.begin(value["mode"])
        ours = True  # to roll back: until a commit whose outcome is not known to be "no"
        try:
            value["ts"] = txn.start_ts
            error = await self._prepare(txn, value)
            if error is None:
                ours = False
                self._commit_sent = True
                value["commit_ts"] = await txn.commit()
        except StoreError as failure:
            ours = ours or failure.definite
            raise
        finally:
            if ours:
                await _roll_back(txn)
        return error

    async def _prepare(self, txn: Txn, value: dict[str, Any]) -> str | None:
        """Read both accounts and write what they become; or say why not."""
        records = await self._read_both(txn, value)
        source, target = records.get(value["from"]), records.get(value["to"])
        if source is None or target is None:
            return MISSING
        amount = value["amount"]
        if source.balance < amount:
            return INSUFFICIENT_FUNDS
        written = [
            source.successor(source.balance - amount, value["id"]),
            target.successor(target.balance + amount, value["id"]),
        ]
        written.sort(key=lambda record: record.account)
        value["write"] = [record.row() for record in written]
        for record in written:
            await txn.put(self._layout.keys[record.account], self._codec.encode(record))
        return None

    async def _read_both(self, txn: Txn, value: dict[str, Any]) -> dict[int, Record]:
        # Everybody locks in ascending order, so pessimistic transfers cannot wait for each other in a circle.
        read = txn.get_for_update if value["mode"] == "pessimistic" else txn.get
        records: dict[int, Record] = {}
        value["read"] = []
        for account in sorted((value["from"], value["to"])):
            data = await read(self._layout.keys[account])
            if data is not None:
                record = records[account] = self._codec.decode(account, data)
                value["read"].append(record.row())
        return records

    # Reads.

    async def _read_back(self, value: dict[str, Any]) -> None:
        snapshot = await self._store.snapshot(value["ts"])
        pairs = await snapshot.batch_get([self._layout.keys[account] for account in value["accounts"]])
        self._record_read(value, pairs.items())

    async def _read(self, value: dict[str, Any]) -> None:
        if value["via"] in {"batch_get", "scan"}:
            txn = await self._store.begin("optimistic")
            try:
                value["ts"] = txn.start_ts
                if value["via"] == "scan":
                    pairs = await txn.scan(self._layout.start, self._layout.end, len(self._layout.keys) + 1)
                else:
                    pairs = (await txn.batch_get(self._layout.keys)).items()
            finally:
                await _roll_back(txn)
        else:
            snapshot = await self._store.snapshot(await self._snapshot_ts(value))
            pairs = (await snapshot.batch_get(self._layout.keys)).items()
        self._record_read(value, pairs)

    async def _snapshot_ts(self, value: dict[str, Any]) -> int:
        if value["via"] == "old-snapshot" and not self._timestamps:
            value["via"] = "snapshot"
        ts = self._timestamps[0] if value["via"] == "old-snapshot" else await self._store.current_timestamp()
        value["ts"] = ts
        return ts

    def _record_read(self, value: dict[str, Any], pairs: Iterable[tuple[bytes, bytes]]) -> None:
        rows: list[list[int]] = []
        corrupt: list[list[Any]] = []
        for key, data in sorted(pairs):
            account = self._layout.account_of(key)
            try:
                rows.append(self._codec.decode(account, data).row())
            except CorruptRecord:
                corrupt.append([account, data.hex()])
        value["read"] = rows
        if corrupt:
            value["corrupt"] = corrupt

    def _remember(self, value: dict[str, Any]) -> None:
        # A commit_ts makes the sharper test: a snapshot there sees exactly that commit as the newest of its accounts.
        ts = value.get("commit_ts") or value.get("ts")
        if ts is not None and value.get("via") != "old-snapshot" and "of" not in value:
            self._timestamps.append(ts)


async def _roll_back(txn: Txn) -> None:
    """Give the transaction up. Whether that reaches the cluster does not change the operation's outcome."""
    with contextlib.suppress(StoreError, TimeoutError):
        async with asyncio.timeout(ROLLBACK_S):
            await txn.rollback()


def _words(failure: StoreError) -> str | list[Any]:
    details = str(failure)
    return [failure.word, details] if details else failure.word
