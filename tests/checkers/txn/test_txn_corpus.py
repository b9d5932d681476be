"""The corpus's small histories with verdicts by Elle and by exact search (tests/corpus/elle-verdicts/README.md)."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import msgspec
import pytest

from checkers.kinds import tell
from harness.history import History
from harness.op import Op
from harness.protocols import CheckContext
from tests.checkers.txn.txns import judge

FOLDER = Path(__file__).parents[2] / "corpus" / "elle-verdicts"
LINES = [
    json.loads(line)
    for family in ("list-append", "rw-register", "bank")
    for line in gzip.decompress((FOLDER / f"{family}.jsonl.gz").read_bytes()).splitlines()
]
MODELS = ("strict-serializable", "serializable", "snapshot-isolation", "read-committed")
# What Elle names and we do, wherever the anomaly is; others it names only where nothing worse is in the component, or
# it counts what we tell more exactly.
TOLD_ALIKE = ("G1a", "internal", "duplicate-elements", "incompatible-order", "cyclic-versions")


def ops_of(line):
    return [msgspec.convert(op, Op) for op in line["history"]]


@pytest.mark.parametrize("line", LINES, ids=[line["id"] for line in LINES])
def test_agrees_with_the_exact_verdict(line):
    verdict = judge(ops_of(line), line["family"])
    assert {model: verdict.models[model] for model in MODELS} == line["exact"]
    assert verdict.valid is line["exact"]["strict-serializable"]
    told = set(line["elle"]["strict-serializable"]["anomalies"])
    assert {name for name in TOLD_ALIKE if name in verdict.counts} == told.intersection(TOLD_ALIKE)
    for model, elle in line["elle"].items():
        if elle["valid"] is False:
            assert verdict.models[model] is False


def test_the_corpus_is_there():
    assert len(LINES) == 439
    for model in MODELS:
        assert {line["exact"][model] for line in LINES} == {True, False}


@pytest.mark.parametrize("line", LINES[::7], ids=[line["id"] for line in LINES[::7]])
def test_each_anomaly_is_told_with_operations_and_words(line):
    ops = ops_of(line)
    verdict = judge(ops, line["family"])
    assert set(verdict.counts) == {anomaly.name for anomaly in verdict.anomalies}
    for anomaly in verdict.anomalies:
        assert anomaly.ops
        assert all(ops[index].type == "invoke" for index in anomaly.ops)
        assert anomaly.explanation.startswith(anomaly.name)
        assert anomaly.rules_out
        assert not any(verdict.models.get(model) for model in anomaly.rules_out)
        for edge, following in zip(anomaly.cycle, [*anomaly.cycle[1:], *anomaly.cycle[:1]], strict=True):
            assert edge.target == following.source
            assert edge.why in anomaly.explanation


# As Jepsen writes them.


def judged(path):
    kind = tell(History.load(path).ops())
    assert kind.name == "list-append"
    (checker,) = kind.checkers()
    return checker.check(History.load(path, kind.encoder()), CheckContext())


EDN = json.loads((FOLDER / "edn" / "expected.json").read_text())


@pytest.mark.parametrize("name", sorted(EDN))
def test_agrees_on_edn(name):
    line = next(line for line in LINES if name.startswith(line["id"]))
    verdict = judged(FOLDER / "edn" / f"{line['id']}.edn")
    assert {model: verdict.models[model] for model in MODELS} == line["exact"]
    assert verdict.models == judge(ops_of(line), "list-append").models


def test_elles_example_of_write_skew_is_snapshot_isolation():
    """Elle's own tests expect G2-item of its dependencies alone; all times are equal, so the order of lines counts."""
    verdict = judged(FOLDER.parent / "elle" / "si-without-g-single.edn")
    assert verdict.models["strong-session-snapshot-isolation"] is True
    assert verdict.models["serializable"] is False
    assert set(verdict.counts) == {"G2-item", "G-single-realtime"}


def test_elles_paper_example_is_read_skew():
    """Figure 2 of the paper: T2 appends 8 to 255, T3 reads that and its 4 on 256 precedes T1's 3, T1 missed the 8."""
    verdict = judged(FOLDER.parent / "elle" / "paper-example.edn")
    assert verdict.counts == {"G-single": 1}
    (anomaly,) = verdict.anomalies
    assert [edge.label for edge in anomaly.cycle] == ["wr", "ww", "rw"]
