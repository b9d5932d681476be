from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkers.txn.columns import DIVERGING, ELEMENT, READ, RECORDED, UNREAD, WRITE, ListAppendEncoder, RegisterEncoder
from checkers.txn.kind import LIST_APPEND, RW_REGISTER
from checkers.txn.micro_ops import micro_ops_of, transactions_of
from checkers.txn.timeline import lists_of
from harness.exit_codes import UsageError
from harness.history import History
from harness.names import NIL
from harness.op import Op
from harness.protocols import CheckContext
from harness.recorder import Recorder
from harness.run_folder import COLUMNS, HISTORY


def op(kind, value, process=0, index=0):
    return Op(index, 0, process, kind, "txn", value)


def rows(encoder, kind, value, process=0):
    fields, flat = encoder.encode(op(kind, value, process))
    assert fields == ()
    return [tuple(flat[at : at + 3]) for at in range(0, len(flat), 3)]


def test_registers():
    encoder = RegisterEncoder()
    value = [["w", 1, 5], ["r", 2, None], ["r", 1, 5]]
    assert rows(encoder, "invoke", [["w", 1, 5], ["r", 2, None], ["r", 1, None]]) == [(WRITE, 1, 5)]
    assert rows(encoder, "ok", value) == [(WRITE, 1, 5), (READ, 2, NIL), (READ, 1, 5)]
    assert rows(encoder, "info", value, 1) == [(WRITE, 1, 5), (UNREAD, 2, 0), (READ, 1, 5)]


def test_only_what_is_new_in_a_list_becomes_rows():
    encoder = ListAppendEncoder()
    assert rows(encoder, "ok", [["r", 1, [4, 5]]]) == [(READ, 1, 2), (ELEMENT, 1, 4), (ELEMENT, 1, 5)]
    assert rows(encoder, "ok", [["r", 1, [4]], ["r", 1, None], ["r", 1, []]]) == [
        (READ, 1, 1),
        (READ, 1, 0),
        (READ, 1, 0),
    ]
    assert rows(encoder, "ok", [["r", 1, [4, 5, 6]]]) == [(READ, 1, 3), (ELEMENT, 1, 6)]
    assert rows(encoder, "ok", [["r", 1, [4, 6]]]) == [(DIVERGING, 1, 2), (ELEMENT, 1, 6)]
    assert rows(encoder, "ok", [["r", 1, [4, 5, 7, 8]]]) == [(DIVERGING, 1, 4), (ELEMENT, 1, 7), (ELEMENT, 1, 8)]
    assert rows(encoder, "info", [["r", 1, [4]], ["r", 2, None]]) == [(RECORDED, 1, 1), (ELEMENT, 1, 4), (UNREAD, 2, 0)]


def test_an_outcome_without_a_value_means_what_was_asked():
    encoder = ListAppendEncoder()
    encoder.encode(op("invoke", [["append", 1, 2], ["r", 1, None]]))
    assert rows(encoder, "info", None) == [(WRITE, 1, 2), (UNREAD, 1, 0)]


def test_names_are_numbers_and_no_integers():
    encoder = ListAppendEncoder()
    ((_, key, value),) = rows(encoder, "invoke", [["append", "x", "one"]])
    assert encoder.names.value(key) == "x"
    assert encoder.names.value(value) == "one"
    assert len({key, value, *(row[1] for row in rows(encoder, "invoke", [["append", 0, 1]], 1))}) == 3


@given(st.lists(st.tuples(st.integers(0, 1), st.sampled_from(["ok", "info"]), st.lists(st.integers(1, 4), max_size=5))))
def test_every_list_can_be_told_from_the_rows(reads):
    ops = []
    for process, (key, kind, value) in enumerate(reads):
        ops += [op("invoke", [["append", 7, process], ["r", key, None]], process)]
        ops += [op(kind, [["append", 7, process], ["r", key, value]], process)]
    # All count, the infos because somebody saw what they wrote.
    ops += [op("invoke", [["r", 7, None]], 999), op("ok", [["r", 7, list(range(len(reads)))]], 999)]
    history = History.from_ops(ops, ListAppendEncoder())
    txns = transactions_of(history)
    table = micro_ops_of(history, txns)
    lists = lists_of(table, txns.status >= 0)
    keys = {int(code): number for number, code in enumerate(table.keys)}
    for txn, (key, _, value) in enumerate(reads):
        at = [row for row in range(len(table.what)) if table.txn[row] == txn and lists.what[row] in (READ, DIVERGING)]
        (row,) = at
        assert table.key[row] == keys[key]
        assert table.value[lists.elements(table, row)].tolist() == value
        if lists.what[row] == DIVERGING:
            start = lists.timelines.start[keys[key]]
            whole = table.value[lists.timelines.element[start : lists.timelines.start[keys[key] + 1]]].tolist()
            assert value != whole[: len(value)]
            assert value[: lists.common[row]] == whole[: lists.common[row]]


SHAPES = [
    (5, "a transaction is a list"),
    ({"a": 1}, "a transaction is a list"),
    ([["append", 1]], "a micro-operation is"),
    ([["cas", 1, 2]], "a micro-operation is"),
    ([5], "a micro-operation is"),
    ([["r", 1, 5]], "a list is read"),
    ([["append", 1, [2]]], "neither a number nor a name"),
    ([["append", 1, 2**70]], "beyond 64 bits"),
    ([["append", 1, None]], "writes nil"),
]


@pytest.mark.parametrize(("value", "why"), SHAPES)
def test_other_shapes_are_refused_in_words(value, why):
    encoder = ListAppendEncoder()
    with pytest.raises(ValueError, match=why):
        encoder.encode(op("ok", value))


@pytest.mark.parametrize("kind", [LIST_APPEND, RW_REGISTER])
@pytest.mark.parametrize(
    "completed",
    [
        [["r", 1, None]],
        [["r", 1, None], ["X", 2, 4]],
        [["r", 2, None], ["X", 2, 3]],
        [["X", 2, 3], ["r", 1, None]],
        [["r", 1, None], ["X", 2, 3], ["X", 2, 4]],
    ],
)
def test_a_completion_must_be_that_of_its_invocation(kind, completed):
    write = "append" if kind is LIST_APPEND else "w"

    def named(value):
        return [[write if f == "X" else f, key, what] for f, key, what in value]

    asked = named([["r", 1, None], ["X", 2, 3]])
    History.from_ops([op("invoke", asked), op("ok", asked)], kind.encoder())
    with pytest.raises(UsageError, match=r"line 2: the micro-operations of the completion are not those of its invo"):
        History.from_ops([op("invoke", asked), op("ok", named(completed))], kind.encoder())


def test_kinds_are_recognised():
    lists, registers = LIST_APPEND.recognises, RW_REGISTER.recognises
    for value, of_lists, of_registers in [
        ([["append", 1, 2]], True, False),
        ([["r", 1, [2]]], True, False),
        ([["r", 1, []], ["r", 2, None]], True, False),
        ([["w", 1, 2]], False, True),
        ([["r", 1, 2]], False, True),
        ([["r", 1, None]], None, None),
        ([], None, None),
        ([1, 2], False, False),
        ([["cas", 1, 2]], False, False),
        (3, False, False),
        (None, False, False),
    ]:
        assert lists(op("ok", value)) is of_lists
        assert registers(op("ok", value)) is of_registers


def test_columns_that_end_before_the_history_are_made_anew_as_a_whole(tmp_path):
    """The next encoder knows nothing of the lists that the first one had seen."""
    with Recorder(tmp_path / HISTORY, tmp_path / COLUMNS, ListAppendEncoder()) as recorder:
        for asked, done in [
            ([["append", 1, 1], ["append", 1, 2]], None),
            ([["r", 1, None]], [["r", 1, [1, 2]]]),
            ([["append", 1, 3]], None),
        ]:
            recorder.record(op("invoke", asked))
            recorder.record(op("ok", done or asked))
    with (tmp_path / HISTORY).open("ab") as file:
        for index, kind, value in [(6, "invoke", None), (7, "ok", [1, 2, 3])]:
            file.write(msgspec.json.encode(op(kind, [["r", 1, value]], index=index)) + b"\n")
    history = History.load(tmp_path, ListAppendEncoder())
    assert history.rows["value"].tolist() == History.from_ops(history.ops(), ListAppendEncoder()).rows["value"].tolist()
    (checker,) = LIST_APPEND.checkers()
    assert checker.check(history, CheckContext()).valid is True


def test_many_operations_at_once_are_the_same_as_one_after_the_other():
    ops = [op("invoke", [["append", 1, 2], ["r", "x", None]]), op("ok", [["append", 1, 2], ["r", "x", ["a", "b"]]])]
    ops += [op("info", None, "nemesis"), op("invoke", [["r", 1, None]]), op("info", None)]
    single, many = ListAppendEncoder(), ListAppendEncoder()
    _, counts, columns = many.encode_many(ops)
    expected = [single.encode(each)[1] for each in ops]
    assert [len(rows) // 3 for rows in expected] == list(counts)
    assert [number for rows in expected for number in rows] == [
        int(x) for row in zip(*columns, strict=True) for x in row
    ]
    # What is refused leaves no trace: the operations before it can be encoded again, up to the one that is wrong.
    bad = [op("ok", [["r", 1, None]]), op("invoke", [["r", 1, None]]), op("ok", [["r", 2, None]])]
    many.encode_many([op("invoke", [["r", 1, None]])])
    for _ in range(2):
        with pytest.raises(ValueError, match="not those of its invocation"):
            many.encode_many(bad)
    many.encode_many(bad[:2])
