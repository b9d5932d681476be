"""The table of models, in the report and in words."""

import re

import pytest

from checkers.bank.columns import BANK_ENCODER
from checkers.models import LINEARIZABLE, OF_REGISTERS, SERIALIZABLE, TRANSACTIONAL, stronger
from harness.history import History
from reports.html import render_report
from reports.model_table import frontier_sentence, table
from tests.reports import made


@pytest.fixture(scope="module")
def history():
    return History.from_ops(made.bank_run(2).ops(), BANK_ENCODER)


def page(history, **changes):
    return render_report(made.spec(), made.results(**changes), history)


def cells(text):
    """Of each cell: model, classes, and the words before its name."""
    found = re.findall(r'<td class="([^"]*)">(.*?)<br><span class="name">([^<]*)</span></td>', text, flags=re.DOTALL)
    return {model: (classes.split(), re.sub(r"<[^>]*>", "", words)) for classes, words, model in found}


def broken_from(*weakest):
    broken = {model for each in weakest for model in stronger(each)}
    return {model: model not in broken for model in TRANSACTIONAL}


def test_every_cell_says_in_words_and_by_its_colour_what_became_of_the_model(history):
    models = broken_from("snapshot-isolation", "strong-read-committed") | {"read-committed": "unknown"}
    found = cells(page(history, models=models, asked=["strict-serializable"]))
    assert set(found) == set(TRANSACTIONAL)
    for model, (classes, words) in found.items():
        kind, word = {True: ("holds", "holds"), False: ("breaks", "broken"), "unknown": ("open", "unknown")}[
            models[model]
        ]
        assert kind in classes
        assert word in words
        assert ("asked" in classes) is ("asked for" in words) is (model == "strict-serializable")


def test_the_grid_has_the_strongest_models_above_and_to_the_right(history):
    order = list(cells(page(history, models=broken_from(SERIALIZABLE))))
    assert order[:3] == ["serializable", "strong-session-serializable", "strict-serializable"]
    assert order[-1] == "strong-read-uncommitted"


def test_what_was_not_decided_is_said_to_be_that(history):
    classes, words = cells(page(history, models={SERIALIZABLE: False}))["snapshot-isolation"]
    assert classes == ["none"]
    assert words == "not decided"


def test_models_of_registers_are_a_list_with_what_each_promises(history):
    models = dict.fromkeys(OF_REGISTERS, True) | {LINEARIZABLE: False, "sequential": "unknown"}
    text = page(history, models=models)
    found = cells(text)
    assert list(found) == list(OF_REGISTERS)[::-1]
    assert found[LINEARIZABLE][0] == ["breaks"]
    assert found["sequential"][0] == ["open"]
    assert "A process sees its own writes." in text
    assert "in real time" not in text


@pytest.mark.parametrize("models", [{}, {"a-model-of-tomorrow": True}])
def test_without_models_there_is_no_section(history, models):
    assert "Consistency models" not in page(history, models=models)


def test_the_sentence_names_the_frontier():
    models = broken_from("snapshot-isolation")
    assert frontier_sentence(models) == (
        "The strongest model that holds is strong-read-committed; "
        "the weakest model that is broken is snapshot-isolation."
    )
    assert frontier_sentence(dict.fromkeys(TRANSACTIONAL, True)) == (
        "The strongest model that holds is strict-serializable."
    )
    assert frontier_sentence({"monotonic-reads": False, "read-your-writes": False, "causal": "unknown"}) == (
        "The weakest models that are broken are monotonic-reads and read-your-writes; nothing is known of causal."
    )
    assert frontier_sentence({}) == ""


def test_the_table_as_text():
    lines = table(broken_from(SERIALIZABLE))
    assert lines[0].split() == ["model", "in", "any", "order", "by", "session", "in", "real", "time"]
    assert lines[1].split() == ["serializable", "broken", "broken", "broken"]
    assert lines[4].split() == ["read-uncommitted", "holds", "holds", "holds"]
    assert table({LINEARIZABLE: False, "eventual": True}) == ["linearizable  broken", "eventual      holds"]
    assert table({}) == []
