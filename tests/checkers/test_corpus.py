"""Bank-shaped histories of the corpus with verdicts by others (tests/corpus/elle-verdicts/README.md).

Their values are bare version ids. Where every write follows a read of the same key in its transaction, the versions
that the bank's own records carry can be told from that; a history in which the write of an operation with unknown
reads was seen and could replace several versions is left out.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from checkers.bank.columns import BANK_ENCODER
from checkers.bank.strict_serializability import StrictSerializability
from harness.history import History
from harness.op import Op
from harness.protocols import ABSENT, CheckContext

FILE = Path(__file__).parents[1] / "corpus" / "elle-verdicts" / "bank.jsonl.gz"
LINES = [json.loads(line) for line in gzip.decompress(FILE.read_bytes()).splitlines()]


class Rows:
    """Like the bank's encoder, for transactions of any number of accounts."""

    name, version = "corpus", 1
    fields, row_fields = BANK_ENCODER.fields, BANK_ENCODER.row_fields

    def encode(self, op):
        rows = []
        for kind, key in ((0, "read"), (1, "write")):
            for record in op.value.get(key, []):
                rows += [kind, *record]
        return (op.value["id"], ABSENT, ABSENT, 0, ABSENT), rows


class Untold(Exception):
    """The versions cannot be told."""


def translate(line):
    running = {}
    writer, parent = {}, {}  # of (key, value)
    numbers, pending = {}, {}
    for op in line["history"]:
        if op["type"] == "invoke":
            numbers[op["index"]] = running[op["process"]] = len(numbers) + 1
        else:
            numbers[op["index"]] = running.pop(op["process"])
    seen = {
        (key, value)
        for op in line["history"]
        if op["type"] == "ok"
        for what, key, value in op["value"]
        if what == "r" and value is not None
    }
    for op in line["history"]:
        reads = {}
        for what, key, value in op["value"]:
            if what == "r":
                reads[key] = value
            elif op["type"] in ("info", "fail"):
                writer[key, value] = numbers[op["index"]]
                if (key, value) in seen:
                    pending[key, value] = op["type"]
            elif op["type"] == "ok":
                writer[key, value] = numbers[op["index"]]
                assert key in reads
                parent[key, value] = reads[key]
    _place(pending, parent)
    _refuse_circles(parent)
    return [_entry(op, numbers, writer, parent) for op in line["history"]]


def _place(pending, parent):
    """Find what the writes of unknown reads replaced: the only version of their key that nobody else replaced."""
    for key, value in sorted(pending):
        if pending[key, value] == "fail":
            parent[key, value] = None  # aborted, and seen: whatever it replaced, that is G1a
            continue
        if sum(other == key for other, _ in pending) > 1:
            raise Untold
        below = {value}
        while grown := {child for (k, child), of in parent.items() if k == key and of in below} - below:
            below |= grown
        replaced = {of for (k, _), of in parent.items() if k == key}
        known = {child for (k, child) in parent if k == key} | {None}
        free = known - replaced - below
        if len(free) != 1:
            raise Untold
        parent[key, value] = free.pop()


def _refuse_circles(parent):
    """A version that replaces itself in the end has no number."""
    for key, value in parent:
        passed = set()
        while value is not None:
            if value in passed or (key, value) not in parent:
                raise Untold
            passed.add(value)
            value = parent[key, value]  # noqa: PLW2901


def _entry(op, numbers, writer, parent):
    def version(key, value):
        return 0 if value is None else 1 + version(key, parent[key, value])

    def record(key, value):
        if value is None:
            return [key, 0, 0, 0, ABSENT]
        before = parent[key, value]
        return [key, 0, version(key, value), writer[key, value], writer[key, before] if before is not None else 0]

    f = "transfer" if any(what == "w" for what, _, _ in op["value"]) else "read"
    value = {"id": numbers[op["index"]], "read": [], "write": []}
    if op["type"] != "invoke":
        for what, key, of in op["value"]:
            if what == "w" and (key, of) in parent:
                value["write"].append(record(key, of))
            elif what == "r" and op["type"] == "ok":
                value["read"].append(record(key, of))
    return Op(0, op["time"], op["process"], op["type"], f, value)


def _translated():
    for line in LINES:
        try:
            yield line, translate(line)
        except Untold:
            continue


TRANSLATED = list(_translated())


def test_most_histories_can_be_translated():
    assert len(TRANSLATED) >= 20
    assert {line["exact"]["strict-serializable"] for line, _ in TRANSLATED} == {True, False}


@pytest.mark.parametrize(("line", "ops"), TRANSLATED, ids=[line["id"] for line, _ in TRANSLATED])
def test_agrees_with_the_exact_verdict(line, ops):
    verdict = StrictSerializability().check(History.from_ops(ops, Rows()), CheckContext())
    assert verdict.valid is line["exact"]["strict-serializable"]
    if line["elle"]["strict-serializable"]["valid"] is False:
        assert verdict.valid is False
    broken = {model for anomaly in verdict.anomalies for model in anomaly.rules_out}
    for model in ("serializable", "snapshot-isolation", "read-committed"):
        if line["exact"][model]:
            assert model not in broken
