"""Nothing a checker can say is without words."""

import re
from pathlib import Path

import pytest

from checkers.models import _WEAKEST_BROKEN, ALL_MODELS, OF_REGISTERS
from reports.vocabulary import CLAIMS, anomaly_words

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "checking.md").read_text()


def names_of_the_page():
    """The first cells of the tables of anomalies."""
    tables = re.findall(r"^\| name \|.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE, flags=re.MULTILINE)
    return {name for table in tables for line in table.splitlines() for name in re.findall(r"`([^`]+)`",
            line.split("|")[1])}  # fmt: skip


def names_of_the_checkers():
    """All that is literally handed to what collects evidence."""
    text = "".join(path.read_text() for path in (ROOT / "checkers").rglob("*.py"))
    called = re.findall(r'(?:evidence\.add|_evidence\.add|\breport|\bAnomaly)\(\s*"([A-Za-z0-9-]+)"', text)
    return {*called, *_WEAKEST_BROKEN}


NAMES = sorted(names_of_the_page() | names_of_the_checkers())


def test_the_names_were_found():
    assert {"half-commit", "wrong-arithmetic", "missing-account", "G2-item-process", "lost", "out-of-bounds",
            "CyclicCO", "not-converged", "no-version-order", "dirty-update"} <= set(NAMES)  # fmt: skip


def test_the_page_leaves_no_name_out():
    assert names_of_the_checkers() - names_of_the_page() == set()


@pytest.mark.parametrize("name", NAMES)
def test_every_anomaly_has_a_heading_and_a_sentence(name):
    heading, sentence = anomaly_words(name)
    assert heading[0].isupper()
    assert sentence[0].isupper()
    assert sentence.endswith(".")
    if name in _WEAKEST_BROKEN and name != "wrong-total":
        assert not re.search(r"\b(accounts?|transfers?|money)\b", sentence)


@pytest.mark.parametrize("model", ALL_MODELS)
def test_every_model_is_said_in_a_sentence_of_its_own(model):
    assert CLAIMS[model][0].isupper()
    assert CLAIMS[model].endswith(".")
    assert [other for other in ALL_MODELS if CLAIMS[other] == CLAIMS[model]] == [model]
    if model in OF_REGISTERS:
        assert "transaction" not in CLAIMS[model]


def test_what_nobody_knows_keeps_its_name():
    assert anomaly_words("odd-thing") == ("odd-thing", "")
    assert anomaly_words("odd-thing-realtime") == ("odd-thing-realtime", "")
