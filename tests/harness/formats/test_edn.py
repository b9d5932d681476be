"""EDN is read as Clojure means it, fast or slowly, and what is written is read again as the same."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from harness.exit_codes import UsageError
from harness.formats import edn_history
from harness.formats.edn_fast import FastLines, is_plain
from harness.formats.edn_history import Edn
from harness.formats.edn_ops import op_of
from harness.formats.edn_reader import END, EdnError, Unfinished, read_value
from harness.formats.edn_writer import edn_line
from harness.formats.form import Malformed
from harness.formats.json_lines import JsonLines
from harness.history import History
from harness.history_source import Source
from harness.op import Op
from tests.harness.formats.edn_texts import edn_histories, edn_ops, edn_values, json_ops
from tests.harness.histories import random_ops

THOROUGH = settings(derandomize=True, deadline=None, max_examples=400)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("nil", None),
        ("true", True),
        (":append", "append"),
        (":a/b", "a/b"),
        ("foo/bar", "foo/bar"),
        ("-12", -12),
        ("+12", 12),
        ("12N", 12),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
        ("9223372036854775808", 2**63),
        ("null", None),
        ("0x1F", 31),
        ("1.5", 1.5),
        ("2.50M", 2.5),
        ("-1e-3", -0.001),
        ("1/2", 0.5),
        ("##Inf", None),
        ("##NaN", None),
        ("\\a", "a"),
        ("\\newline", "\n"),
        ("\\space", " "),
        ("\\u00e9", "é"),
        ("\\é", "é"),
        ("\\{", "{"),
        ('"a\\n\\t\\"\\\\b"', 'a\n\t"\\b'),
        ('"two\nlines"', "two\nlines"),
        ('"\\ud83d\\ude00 \\101"', "😀 A"),
        ('#"a\\.b"', "a\\.b"),
        ("[1 [2 :x] (3 nil)]", [1, [2, "x"], [3, None]]),
        ("(1, 2,,3)", [1, 2, 3]),
        ("[1[2]:a]", [1, [2], "a"]),
        ("#{3 1 2}", [1, 2, 3]),
        ('#{"b" :a 2 [1]}', [2, "a", "b", [1]]),
        ('{:a 1, b 2 "c" 3}', {"a": 1, "b": 2, "c": 3}),
        ("{0 10, 1 5}", {"0": 10, "1": 5}),
        ("{nil 1 true 2 [1] 3}", {"null": 1, "true": 2, "[1]": 3}),
        ('#inst "2020-01-01"', "2020-01-01"),
        ("#jepsen.history.Op{:a 1}", {"a": 1}),
        ("#jepsen.independent.Tuple{:key 3 :value [1 2]}", [3, [1, 2]]),
        ("#jepsen.independent/tuple [3 4]", [3, 4]),
        ("#:db{:a 1 :b/c 2}", {"db/a": 1, "b/c": 2}),
        ('#object[java.lang.Foo 0x1a "x"]', ["java.lang.Foo", 26, "x"]),
        ("#a #b 5", 5),
        ("[1 #_2 3]", [1, 3]),
        ("[1 #_ #_ 2 3 4]", [1, 4]),
        ("[#_[1 {:a 2}]]", []),
        ("{:a #_b 1}", {"a": 1}),
        ("; first\n #_x ,[1 ; one\n 2]", [1, 2]),
    ],
)  # fmt: skip
def test_values(text, value):
    for behind in ("\n", " 5", "]"):
        found, end = read_value((text + behind).encode())
        assert found == value
        assert type(found) is type(value)
        assert end == len(text.encode())


@pytest.mark.parametrize("text", ["", "  ,\n", "; nothing", "#_ 5 ", "#_[1 2] ; nothing"])
def test_nothing_is_the_end(text):
    assert read_value(text.encode())[0] is END


@pytest.mark.parametrize(
    "text",
    ["[1}", "(1]", "{:a}", "007", "1x", "[1e999]", "1/0", "1" * 5000, "-" + "1" * 4400 + "N",
     "@x", "`x", "^a", '"\\q"', "\\foo", "\\ud800", '"\\ud800"', "[#_]", "[#a]", "#=(x)", "#<x>", "[" * 501 + "]" * 501,
     "1/" + "9" * 4400]
)  # fmt: skip
def test_what_is_not_edn_is_refused(text):
    with pytest.raises(EdnError):
        read_value(text.encode() + b" ")


@pytest.mark.parametrize("text", [b'"\xff"', b"[\xff]", b"\\\xff "])
def test_what_is_not_utf8_is_refused(text):
    with pytest.raises(EdnError):
        read_value(text)


@pytest.mark.parametrize(
    "text",
    [
        b'{:a [1 #_2 "x\\n" \\u0041] #tag #{:b} (3) #"r" ; c\n :k/w ##Inf 1.5e3 nil #:n{x 1}}',
        '["é" :é \\é]'.encode(),
    ],
)
def test_a_value_cut_anywhere_is_unfinished(text):
    for size in range(1, len(text)):
        with pytest.raises(Unfinished):
            read_value(text[:size])


def test_a_string_without_an_end_takes_no_time():
    with pytest.raises(Unfinished):
        read_value(b'"' + b"a\\n" * 300_000)
    with pytest.raises(Unfinished):
        read_value(b"[" + b";;;\n" * 300_000)


@given(edn_values)
@THOROUGH
def test_all_values_are_json(text):
    try:
        value, _ = read_value(text.encode() + b" ")
    except EdnError:
        return
    assert msgspec.json.decode(msgspec.json.encode(value)) == value or "1/3" in text


# Fast and slow.


@given(st.data())
@THOROUGH
def test_the_fast_path_gives_what_the_slow_one_gives(data):
    lines = [data.draw(edn_ops(index)).replace("\n", " ").encode() + b"\n" for index in range(3)]
    fast = FastLines()
    for line in lines:  # whatever was learned, and from whom
        try:
            value, _ = read_value(line)
        except EdnError:
            continue
        if isinstance(value, dict):
            fast.learn(line, value)
    for line in lines:
        raws = fast.decode(line, 1) if is_plain(line) else None
        if raws is not None:
            assert msgspec.to_builtins(settle(raws[0])) == msgspec.to_builtins(op_or_reason(line))


@pytest.mark.parametrize(
    "value",
    [
        '{"a":nil}',
        '{"a":5}',
        '{"a":true}',
        '{"a":"b"}',
        "{:a:nil}",
        '["a":r ]',
        "[null]",
        '["}\n{"]',
        "[:ok:5]",
        '{"a" :ok}',
        '["nil :r , "]',
        '["#jepsen.history.Op{"]',
        '[" " "" "a:b"]',
        "[1 ,, 2]",
        "{:value {:f :value :r :w}}",
        "[nil :nilly]",
        "{0 1}5",
        "[{0 1}:r]",
        "{{0 1} 5}",
        "{-0 1}",
        "{:r{0 1}}",
        "{0 1, 0 2}",
        '{"\x01" "\x02"}',
    ],
)
def test_what_looks_like_json_is_not_taken_for_it(value):
    teacher = b"{:index 3, :time 5, :type :ok, :process 0, :f :read, :value [[:r 1 nil] {:a 1, :b [2]}]}\n"
    line = b"{:index 4, :time 5, :type :ok, :process 0, :f :read, :value %b}\n" % value.encode()
    fast = FastLines()
    fast.learn(teacher, read_value(teacher)[0])
    for lines in (line, teacher + line):
        raws = fast.decode(lines, lines.count(b"\n")) if is_plain(lines) else None
        if raws is not None:
            assert raws[-1].value == op_of(line, 4).value


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("{0 10, 1 -20}", {"0": 10, "1": -20}),
        ("{0 10 1 20}", {"0": 10, "1": 20}),
        ("[{-3 nil}, {4 5}]", [{"-3": None}, {"4": 5}]),
        ('[{1 2} "{3 4} :r"]', [{"1": 2}, "{3 4} :r"]),
    ],
)
def test_maps_of_integers_are_read_fast(value, told):
    line = b"{:index 4, :time 5, :type :ok, :process 0, :f :read, :value %b}\n" % value.encode()
    fast = FastLines()
    fast.learn(line, read_value(line)[0])
    [first, second] = fast.decode(line + line, 2) or [None, None]
    assert first is not None
    assert first.value == second.value == told == op_of(line, 4).value


def settle(raw):
    from harness.formats.edn_ops import settled

    try:
        return settled(raw, 4)
    except ValueError as error:
        return str(error)


def op_or_reason(line):
    try:
        return op_of(line, 4)
    except ValueError as error:
        return str(error)


def all_of(text: bytes):
    """The operations, the error if there is one, the warnings, and where spans begin and end."""
    source = Source.of(text, "it")
    ops, spans, error = [], [], None
    try:
        for block in Edn().blocks(source):
            ops += map(msgspec.to_builtins, block.ops)
            at = block.start
            for length in block.lengths.tolist():
                spans.append((at, at + length))
                at += length
    except Malformed as problem:
        error = (problem.at, problem.reason)
    return ops, spans, error, source.warnings


def only_tokens(monkeypatch):
    monkeypatch.setattr(edn_history._Reader, "_lines", lambda *_: False)


@given(edn_histories().map(str.encode))
@THOROUGH
@example(b"{:type :invoke :value [[:r 1 nil]]}\n")
def test_lines_give_what_tokens_give(text):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(edn_history, "_TEACHERS", 1)
        fast = all_of(text)
        only_tokens(patch)
        slow = all_of(text)
    assert fast[0] == slow[0]
    assert fast[2] == slow[2]
    assert fast[3] == slow[3] or fast[2] is not None
    form = Edn()
    for index, ((start, end), op) in enumerate(zip(fast[1], fast[0], strict=True)):
        assert msgspec.to_builtins(form.op(text[start:end], index)) == op
        assert text[start:end][form.lead(text[start:end]) :][:1] in (b"{", b"#")


@pytest.mark.parametrize("seed", range(3))
def test_all_on_one_line_is_read_as_on_many(seed):
    lines = [edn_line(op).rstrip() for op in History.from_ops(random_ops(seed, 200)).ops()]
    lines[150] = lines[150].replace(b":value ", b":value [{:a 1} {:b 2} {:index 3}], :was ")
    many = all_of(b"\n".join(lines))
    assert len(many[0]) == len(lines)
    for one in (b"[" + b" ".join(lines) + b"]", b"(#jepsen.history.Op" + b" #jepsen.history.Op".join(lines) + b" )\n"):
        assert all_of(one)[0] == many[0]
        assert all_of(one)[2:] == many[2:]


def test_keywords_without_number_end_the_attempt_to_be_fast():
    lines = [b"{:type :invoke, :process %d, :f :f%d, :value :v%d}\n" % (at, at, at) for at in range(3000)]
    ops = all_of(b"".join(lines))[0]
    assert [op["value"] for op in ops] == [f"v{at}" for at in range(3000)]


@given(edn_histories().map(str.encode))
@THOROUGH
def test_small_reads_give_what_large_ones_give(text):
    with pytest.MonkeyPatch.context() as patch:
        large = all_of(text)
        patch.setattr(edn_history, "_AT_ONCE", 40)
        small = all_of(text)
    assert small[0] == large[0]
    assert small[2] == large[2]


# Our own, as EDN and back.


@given(json_ops())
@THOROUGH
def test_from_json_to_edn_and_back(ops):
    text = b"".join(map(edn_line, ops))
    found = [op for block in Edn().blocks(Source.of(text, "it")) for op in block.ops]
    assert [msgspec.json.encode(op) for op in found] == [msgspec.json.encode(op) for op in ops]
    again = b"".join(msgspec.json.encode(op) + b"\n" for op in found)
    assert [op for block in JsonLines().blocks(Source.of(again, "it")) for op in block.ops] == ops


def test_what_is_written_is_as_jepsen_writes_it():
    op = Op(3, 17, 4, "ok", "txn", [["append", 9, 2], ["r", 9, [1, 2]], ["w", "x", None]], ["timeout", "1 s"], "n1")
    assert edn_line(op.replace(ext={"clock-skew": 1.5, "b": True})) == (
        b"{:index 3, :time 17, :type :ok, :process 4, :f :txn, "
        b':value [[:append 9 2] [:r 9 [1 2]] [:w "x" nil]], :error [:timeout "1 s"], :node "n1", '
        b":clock-skew 1.5, :b true}\n"
    )
    nemesis = Op(0, 0, "nemesis", "info", "start-network", {"0": 10, "-1": 5, "007": 1, "a b": [], "c": "d"})
    assert edn_line(nemesis) == (
        b"{:index 0, :time 0, :type :info, :process :nemesis, :f :start-network, "
        b':value {0 10, -1 5, "007" 1, "a b" [], :c "d"}}\n'
    )
    assert b":ext {:index 5}" in edn_line(op.replace(ext={"index": 5}))
    with pytest.raises(ValueError, match="no JSON value"):
        edn_line(op.replace(value={1}))
    assert math.pi == op_of(edn_line(op.replace(value=math.pi)), 3).value


def test_an_error_is_refused_as_usage():
    with pytest.raises(UsageError, match="line 1: not an operation"):
        History.load(Source.of(b"{:a 1}", "it"))
