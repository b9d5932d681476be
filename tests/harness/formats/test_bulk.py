"""Reading many operations at once gives what reading them one by one gives, errors and their lines included."""

from __future__ import annotations

from array import array

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.exit_codes import UsageError
from harness.formats.json_lines import JsonLines, _at_once, _LineByLine
from harness.history import History
from harness.history_source import Source
from harness.op import INVOKE, NEMESIS, OK, Op
from tests.harness.histories import RegisterEncoder, assert_same, random_ops


class Bulk(RegisterEncoder):
    """The same encoder, for many operations at once; counts how often it was asked for one."""

    def __init__(self) -> None:
        self.single = 0

    def encode(self, op: Op):
        self.single += 1
        return super().encode(op)

    def encode_many(self, ops):
        rows = [op.value[1:] if op.process != NEMESIS else [] for op in ops]
        keys = [op.value[0] if op.process != NEMESIS else -1 for op in ops]
        positions = [position for row in rows for position in range(len(row))]
        numbers = array("q", [number for row in rows for number in row])
        return [keys], np.array([len(row) for row in rows], np.int16), [positions, numbers]


def text_of(ops) -> bytes:
    return b"".join(msgspec.json.encode(op.replace(index=index)) + b"\n" for index, op in enumerate(ops))


@pytest.mark.parametrize("seed", range(5))
def test_an_encoder_of_many_gives_the_same_columns(seed):
    ops = random_ops(seed, 500)
    bulk = Bulk()
    assert_same(History.from_ops(ops, bulk), History.from_ops(ops, RegisterEncoder()))
    assert bulk.single == 0


@pytest.mark.parametrize("value", [["a"], [], 5, None, [1, 2**63], {"a": 1}, [1, 2.5], [1, "2"]])
def test_what_one_operation_has_wrong_is_told_with_its_line(value):
    ops = [op for op in random_ops(3, 300) if op.process != NEMESIS]
    ops[222] = ops[222].replace(value=value)
    said = []
    for encoder in (Bulk(), RegisterEncoder()):
        with pytest.raises(UsageError, match="line 223: ") as caught:
            History.from_ops(ops, encoder)
        said.append(str(caught.value))
    assert said[0] == said[1]


@pytest.mark.parametrize(
    "wrong",
    [
        ([], [0], []),
        ([[1]], [0], [[]]),
        ([[1]], b"\0" * 8, [[], []]),
        ([[1]], [1], [[1], []]),
        ([[1, 2]], [0], [[], []]),
        ([[1.5]], [0], [[], []]),
    ],
)
def test_an_encoder_that_contradicts_itself_is_no_fault_of_the_file(wrong):
    class Wrong(Bulk):
        def encode_many(self, ops):
            return wrong

    with pytest.raises((ValueError, TypeError), match=r"wrong number|not one of integers|float"):
        History.from_ops([Op(0, 0, 0, INVOKE, "read", [1])], Wrong())


def test_long_histories_are_the_same_over_many_blocks(monkeypatch):
    monkeypatch.setattr("harness.history_source._BLOCK", 1000)
    ops = random_ops(7, 400)
    history = History.from_ops(ops, Bulk())
    monkeypatch.undo()
    assert_same(history, History.from_ops(ops, Bulk()))
    assert list(history.ops()) == [op.replace(index=index) for index, op in enumerate(ops)]
    assert history.op(399) == ops[399].replace(index=399)


FIRST, SECOND, THIRD = (
    msgspec.json.encode(Op(index, index, 0, kind, "read", [1])) for index, kind in enumerate((INVOKE, OK, INVOKE))
)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (FIRST + SECOND + b"\n" + THIRD + b"\n", 1),
        (FIRST + b"\n" + SECOND + b" " + THIRD + b"\n", 2),
        (FIRST + b"\n" + SECOND + b"\n\n" + THIRD + b"\n", 3),
        (FIRST + b"\n" + SECOND.replace(b",", b",\n") + b"\n", 2),
        (FIRST + SECOND + b"\n" + THIRD.replace(b",", b",\n", 1) + b"\n", 1),
        (b"\n" + FIRST + b"\n", 1),
    ],
)
def test_one_operation_a_line_and_no_other_way(content, line):
    with pytest.raises(UsageError, match=f"line {line}: not JSON"):
        History.load(Source.of(content, "it"))


def test_blanks_around_an_operation_are_read_as_before():
    content = b" " + FIRST + b"\r\n" + SECOND + b"\t\n" + THIRD + b"\n"
    history = History.load(Source.of(content, "it"))
    assert [history.op(index) for index in range(3)] == list(history.ops())
    assert history.n == 3


def test_blocks_are_what_lines_one_by_one_say(monkeypatch):
    text = text_of(random_ops(9, 400))
    (at_once,) = JsonLines().blocks(Source.of(text, "it"))
    by_line = _LineByLine(0, 0, 0).block(text)
    assert at_once.ops == by_line.ops
    for name in ("time", "process", "type", "lengths"):
        np.testing.assert_array_equal(getattr(at_once, name), getattr(by_line, name))


PARTS = st.sampled_from(
    [
        b"\n",
        b"}\n{",
        b"{",
        b"}",
        b",",
        b'"',
        b" ",
        b"\r",
        b"-1",
        b'"nemesis"',
        b'"info"',
        b"null",
        b"1e3",
        b"9" * 20,
        b"\xff",
    ]
)


@given(st.integers(0, 20), st.data())
@settings(derandomize=True, deadline=None, max_examples=400)
def test_a_damaged_block_is_never_taken_at_once(seed, data):
    text = text_of(random_ops(seed, 6))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        text = text[:at] + data.draw(PARTS) + text[at + data.draw(st.integers(0, 3)) :]
    at_once = _at_once(text, 0, 0, 0) if text else None
    if at_once is not None:
        reader = _LineByLine(0, 0, 0)
        by_line = reader.block(text)
        assert (reader.error, reader.torn) == (None, False)
        assert list(at_once.ops) == list(by_line.ops)
        for name in ("time", "process", "type", "lengths"):
            np.testing.assert_array_equal(getattr(at_once, name), getattr(by_line, name))
