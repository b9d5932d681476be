"""Histories that Porcupine has judged."""

import json
from pathlib import Path

import pytest

from checkers.kind import Kind
from checkers.kinds import tell
from checkers.register.kind import KV, REGISTER
from harness.history import History
from harness.protocols import CheckContext

CORPUS = Path(__file__).resolve().parents[2] / "corpus"
ETCD = json.loads((CORPUS / "etcd-register" / "expected.json").read_text())
KV_LOGS = sorted((CORPUS / "kv").glob("*.txt"))


def judge(path, kind: Kind):
    history = History.load(path, kind.encoder())
    assert tell(history.ops()) is kind
    (checker,) = kind.checkers()
    return checker.check(history, CheckContext(models=kind.default))


@pytest.mark.parametrize("name", ETCD)
def test_the_register_of_etcd(name):
    verdict = judge(CORPUS / "etcd-register" / name, REGISTER)
    assert verdict.valid is ETCD[name]
    assert bool(verdict.anomalies) is not ETCD[name]


@pytest.mark.parametrize("path", KV_LOGS, ids=lambda path: path.name)
def test_the_key_value_store(path):
    verdict = judge(path, KV)
    assert verdict.valid is ("ok" in path.name)
    for anomaly in verdict.anomalies:
        assert "no order of the operations on key" in anomaly.explanation
        assert len(anomaly.explanation) < 2000
