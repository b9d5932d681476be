"""Histories of transactions in short form, and their verdicts."""

from __future__ import annotations

from checkers.txn.kind import LIST_APPEND, RW_REGISTER
from harness.history import History
from harness.op import Op
from harness.protocols import CheckContext

KINDS = {"list-append": LIST_APPEND, "rw-register": RW_REGISTER, "bank": RW_REGISTER}


def load(ops, family):
    return History.from_ops(ops, KINDS[family].encoder())


def judge(ops, family, **context):
    (checker,) = KINDS[family].checkers()
    return checker.check(load(ops, family), CheckContext(**context))


class Txns:
    """Writes a history; each call adds an entry. ``a 1 2``, ``w 1 2``, ``r 1 [1,2]``, one after the other by ``;``."""

    def __init__(self, family="list-append"):
        self.family = family
        self.ops = []
        self.asked = {}

    def begin(self, process, text):
        value = parse(text)
        self.asked[process] = value
        return self._add(process, "invoke", [[f, k, None if f == "r" else v] for f, k, v in value])

    def end(self, process, kind="ok"):
        value = self.asked.pop(process)
        if kind != "ok":
            value = [[f, k, None if f == "r" else v] for f, k, v in value]
        return self._add(process, kind, value)

    def txn(self, process, text, kind="ok"):
        return self.begin(process, text).end(process, kind)

    def _add(self, process, kind, value):
        self.ops.append(Op(len(self.ops), 1_000_000 * len(self.ops), process, kind, "txn", value))
        return self

    def judge(self, **context):
        return judge(self.ops, self.family, **context)


def parse(text):
    value = []
    for each in filter(None, (part.strip() for part in text.split(";"))):
        f, key, *rest = each.split(maxsplit=2)
        what = rest[0] if rest else "nil"
        if what == "nil":
            what = None
        elif what.startswith("["):
            what = [atom(element) for element in what.strip("[]").replace(",", " ").split()]
        else:
            what = atom(what)
        value.append([{"a": "append"}.get(f, f), atom(key), what])
    return value


def atom(text):
    return int(text) if text.lstrip("-").isdigit() else text
