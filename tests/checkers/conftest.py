"""Bank histories written by hand, in a line an entry."""

from __future__ import annotations

import pytest

from checkers.bank.columns import BANK_ENCODER
from checkers.bank.strict_serializability import StrictSerializability
from harness.history import History
from harness.op import Op
from harness.protocols import CheckContext


class Bank:
    """Writes a history: each call adds an entry; records of what was set up have version 0."""

    def __init__(self):
        self.ops = []
        self.asked = {}

    def begin(self, process, number, accounts=None, via="batch_get", amount=1, **more):
        value = {"id": number} | more
        if accounts is None:
            value["via"] = via
        else:
            value |= {"from": accounts[0], "to": accounts[1], "amount": amount, "mode": "optimistic"}
        f = "read" if accounts is None else "transfer"
        self.asked[process] = (f, value)
        self._add(process, "invoke", f, value)
        return self

    def end(self, process, kind="ok", error=None, **more):
        f, value = self.asked.pop(process)
        self._add(process, kind, f, value | more, error)
        return self

    def nemesis(self, f, value=None):
        for _ in range(2):
            self._add("nemesis", "info", f, value)
        return self

    def _add(self, process, kind, f, value, error=None):
        self.ops.append(Op(len(self.ops), 1_000_000 * len(self.ops), process, kind, f, value, error))

    def transfer(self, process, number, reads, kind="ok", amount=1, **more):
        """A transfer of its own, that reads these two records and writes what follows from them."""
        self.begin(process, number, [reads[0][0], reads[1][0]], amount=amount)
        return self.end(process, kind, read=reads, write=follow(number, reads, amount), **more)

    def read(self, process, number, records, via="batch_get", **more):
        return self.begin(process, number, via=via).end(process, read=records, **more)

    def readback(self, number, of, ts, records):
        value = {"id": number, "of": of, "ts": ts, "accounts": [0, 1]}
        self._add(99, "invoke", "readback", value)
        self._add(99, "ok", "readback", value | {"read": records})
        return self

    def history(self):
        return History.from_ops(self.ops, BANK_ENCODER)

    def judge(self):
        return StrictSerializability().check(self.history(), CheckContext())


def follow(number, reads, amount=1):
    """What a transfer writes on top of two records."""
    return [
        [account, balance + delta, version + 1, number, writer]
        for (account, balance, version, writer, _), delta in zip(reads, (-amount, amount), strict=True)
    ]


@pytest.fixture
def bank():
    return Bank()
