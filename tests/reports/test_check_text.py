"""What ``check`` says of a history to a person."""

import pytest

from checkers.models import CAUSAL, EVENTUAL, LINEARIZABLE, OF_REGISTERS, SEQUENTIAL, rules_out
from harness.results import Results
from harness.verdict import Anomaly, Verdict
from reports.check_text import file_text


def judged(kind, *names, **changes):
    found = [Anomaly(name, [0], f"{name}: so it was.", rules_out=rules_out(name)) for name in names]
    counts = dict.fromkeys(names, 1)
    verdict = Verdict("it", not names, found, counts, note=changes.pop("note", ""))
    code = {True: 0, False: 1, "unknown": 3}
    valid = changes.pop("valid", not names)
    return Results(kind=kind, valid=valid, exit_code=code[valid], verdicts=[verdict], **changes)


def first(results):
    return file_text("a.edn", results).splitlines()[0]


def test_the_first_line_says_it_all():
    asked = {"asked": [LINEARIZABLE], "models": {LINEARIZABLE: True}}
    assert first(judged("register", **asked)) == "a.edn: register history, linearizable (exit code 0)"
    assert first(judged("set")) == "a.edn: set history, nothing wrong found (exit code 0)"
    assert first(judged("register", valid="unknown", asked=[LINEARIZABLE])) == (
        "a.edn: register history, linearizable: unknown (exit code 3)"
    )


def test_what_is_wrong_is_named_and_not_said_twice():
    asked = {"asked": [LINEARIZABLE], "models": {LINEARIZABLE: False}}
    assert first(judged("register", "non-linearizable", **asked)) == (
        "a.edn: register history, not linearizable (exit code 1)"
    )
    assert first(judged("register", "double-cas", **asked)) == (
        "a.edn: register history, not linearizable: double cas (exit code 1)"
    )
    assert first(judged("set", "duplicated", "unexpected", "lost")) == (
        "a.edn: set history, found to be wrong: duplicated, unexpected and lost (exit code 1)"
    )


def test_models_that_were_not_asked_for_and_are_broken_are_not_passed_over():
    models = dict.fromkeys(OF_REGISTERS, True) | {LINEARIZABLE: False}
    results = judged("register", "non-linearizable", valid=True, asked=[SEQUENTIAL, CAUSAL], models=models)
    assert first(results) == "a.edn: register history, sequential and causal, but not linearizable (exit code 0)"
    models |= {SEQUENTIAL: False, CAUSAL: False}
    results = judged("register", "ThinAirRead", asked=[SEQUENTIAL, CAUSAL], models=models)
    assert first(results).startswith("a.edn: register history, not sequential or causal: value out of thin air")


def test_the_operations_of_all_that_was_found_are_named_by_their_indices():
    found = [
        *(Anomaly("lost", [at, at + 1], "lost: it was.") for at in range(10, 70, 10)),
        Anomaly("unexpected", list(range(100, 120)), "unexpected: it was."),
    ]
    verdict = Verdict("it", valid=False, anomalies=found, counts={"lost": 1234, "unexpected": 1})
    lines = file_text("a.edn", Results(kind="set", valid=False, exit_code=1, verdicts=[verdict])).splitlines()
    assert "    1,234 lost: 10 11; 20 21; 30 31; 40 41; ..." in lines
    assert "    1 unexpected: 100 101 102 103 104 105 106 107 ..." in lines
    assert "checker:    it anomaly" in lines


def test_a_note_is_told_apart_from_what_was_found():
    text = file_text("a.edn", judged("register", "double-cas", note="eventual is unknown, since it is"))
    assert "checker:    it anomaly (1 double-cas); eventual is unknown, since it is\n" in text


def test_many_models_without_an_answer_are_left_to_the_table():
    open_ones = dict.fromkeys(OF_REGISTERS, "unknown") | {LINEARIZABLE: False}
    text = file_text("a.edn", judged("kv", "non-linearizable", asked=[LINEARIZABLE], models=open_ones))
    assert "open:       7 models, see the table\n" in text
    text = file_text("a.edn", judged("kv", models={LINEARIZABLE: True, EVENTUAL: "unknown"}))
    assert "open:       eventual\n" in text


@pytest.mark.parametrize("length", range(20, 80))
def test_the_exit_code_is_not_torn_apart(length):
    results = judged("register", "double-cas", asked=[LINEARIZABLE], models={LINEARIZABLE: False})
    text = file_text("x" * length, results)
    assert "(exit code 1)\n" in text
    assert max(map(len, text.splitlines())) <= 100


def test_lines_are_no_wider_than_a_hundred_and_names_stay_whole():
    names = ["non-monotonic-read", "non-monotonic-write", "stale-final-read", "own-write-missed", "WriteCOInitRead"]
    text = file_text("a.edn", judged("register", *names, note="a long note " * 20))
    assert max(map(len, text.splitlines())) <= 100
    assert not any(line.endswith("-") for line in text.splitlines())
