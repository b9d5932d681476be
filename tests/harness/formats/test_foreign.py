"""Histories of others: what they leave out, what they do differently, and what is refused all the same."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.columns import NEMESIS_CODE
from harness.exit_codes import UsageError
from harness.formats.edn_writer import edn_line
from harness.history import History
from harness.history_reader import first_ops
from harness.history_source import Source
from harness.op import NEMESIS, Op
from harness.recorder import LINE_LIMIT
from tests.harness.formats.edn_texts import edn_histories
from tests.harness.histories import RegisterEncoder, assert_same, random_ops

CORPUS = Path(__file__).resolve().parents[2] / "corpus"
FILES = sorted(
    path for path in CORPUS.rglob("*") if path.suffix in {".edn", ".log", ".txt"} and "elle-verdicts" not in path.parts
)


def load(text: str | bytes, encoder=None) -> History:
    return History.load(Source.of(text.encode() if isinstance(text, str) else text, "it"), encoder)


def refuses(text: str | bytes, *words: str) -> None:
    with pytest.raises(UsageError) as caught:
        load(text)
    said = str(caught.value)
    assert said.startswith("it is not a history: ")
    assert said.isprintable()
    assert all(word in said for word in words), said


# The corpus.


@pytest.mark.parametrize(
    "path", [*FILES, *sorted((CORPUS / "elle-verdicts" / "edn").glob("*.edn"))], ids=lambda p: p.name
)
def test_the_corpus_is_read_whole(path):
    history = History.load(path)
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith(";")]
    assert history.n == len(lines)
    assert history.warnings == []
    ops = list(history.ops())
    assert ops == [history.op(index) for index in range(history.n)]
    for op, line in zip(ops, lines, strict=True):
        assert f":{op.type}" in line
        assert f":{op.f}" in line or "elle" in path.parts


@pytest.mark.parametrize("path", [CORPUS / "elle" / "paper-example.edn", CORPUS / "etcd-register" / "etcd_000.log"])
def test_the_first_operations_can_be_had_alone(path):
    source = Source.open(path)
    assert first_ops(source, 3) == list(History.load(path).ops())[:3]
    assert len(first_ops(source, 10**6)) == History.load(source).n
    with pytest.raises(UsageError, match="line 1"):
        first_ops(Source.of(b"{:a 1}", "it"), 1)


def test_there_is_a_corpus():
    assert len(FILES) == 51 + 4 + 2


def test_registers_of_etcd():
    ops = list(History.load(CORPUS / "etcd-register" / "etcd_001.log").ops())
    by_form = {(op.type, op.f, op.value is None, op.error) for op in ops}
    assert ("info", "cas", True, "timed-out") in by_form
    assert ("info", "write", True, "timed-out") in by_form
    assert ("invoke", "read", True, None) in by_form
    assert {type(op.value) for op in ops if op.f == "cas" and op.type == "ok"} == {list}
    assert {type(op.value) for op in ops if op.f == "write" and op.type == "ok"} == {int}


def test_logs_may_have_errors_and_nemeses():
    history = load(
        "INFO  jepsen.util - 0\t:invoke\t:cas\t[1 2]\n"
        'INFO  jepsen.util - :nemesis\t:info\t:start\t"cut"\n'
        "INFO  jepsen.util - 0\t:fail\t:cas\t[1 2]\t[:refused 5]\n"
    )
    assert list(history.ops())[1:] == [
        Op(1, 0, NEMESIS, "info", "start", "cut"),
        Op(2, 0, 0, "fail", "cas", [1, 2], ["refused", 5]),
    ]


@pytest.mark.parametrize("absent", ["", ":index nil, :time nil, ", ":index -1, :time -1, "])
def test_indices_and_times_may_be_missing_in_any_way(absent):
    history = load(f"{{{absent}:type :invoke, :process 0, :f :read, :value nil}}\n")
    assert list(history.ops()) == [Op(0, 0, 0, "invoke", "read", None)]


def test_kv_values_have_their_key():
    ops = list(History.load(CORPUS / "kv" / "c01-bad.txt").ops())
    assert [(op.process, op.type, op.f, op.value) for op in ops[:4]] == [
        (0, "invoke", "append", ["0", "x 0 0 y"]),
        (0, "ok", "append", ["0", "x 0 0 y"]),
        (0, "invoke", "get", ["7", None]),
        (0, "ok", "get", ["7", ""]),
    ]


def test_elle_leaves_out_processes_and_numbers_with_gaps():
    paper = History.load(CORPUS / "elle" / "paper-example.edn")
    assert paper.pair.tolist() == [1, 0, 3, 2, 5, 4, 7, 6]
    assert paper.process.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert paper.f_names == ["txn"]
    gaps = History.load(CORPUS / "elle" / "si-without-g-single.edn")
    assert gaps.op(3) == Op(3, 0, 4, "ok", "txn", [["append", 8, 1], ["r", 9, None]], ext={"index": 21})


# What may be missing or different.

INVOKE = "{:type :invoke, :process 0, :f :read, :value nil}\n"
OK = "{:type :ok, :process 0, :f :read, :value 5}\n"


@pytest.mark.parametrize(
    "text",
    [
        INVOKE + OK,
        f"[{INVOKE}{OK}]",
        f"({INVOKE}{OK})\n\n; the end\n",
        f"[{INVOKE}{OK}]".replace("\n", " "),
        f"[{INVOKE}{OK}]".replace("\n", " ").replace("{", "#jepsen.history.Op{"),
        f"; a comment\n\n{INVOKE}; another\n\n;{{:type :ok}}\n{OK}\n",
        (INVOKE + OK).replace("\n", ""),
        (INVOKE + OK).replace("\n", " "),
        (INVOKE + OK).replace(", ", "\n ,"),
        (INVOKE + OK).replace("{", "#jepsen.history.Op{"),
        (INVOKE + OK).replace("{", "{:index -1 :time -1 "),
        f"#_{INVOKE}{INVOKE}#_\n{INVOKE}{OK}",
        INVOKE + OK.replace("\n", ""),
        (INVOKE + OK).replace("\n", "\r\n"),
        "INFO  jepsen.util - 0\t:invoke\t:read\tnil\nINFO  jepsen.util - 0\t:ok\t:read\t5\n",
        "INFO  jepsen.util - 0   :invoke :read   nil\r\nINFO  jepsen.util - 0   :ok     :read   5",
    ],
)
def test_the_layout_does_not_matter(text, tmp_path):
    packed = tmp_path / "packed"
    packed.write_bytes(gzip.compress(text.encode()))
    for history in (load(text), History.load(packed)):
        assert list(history.ops()) == [Op(0, 0, 0, "invoke", "read"), Op(1, 0, 0, "ok", "read", 5)]
        assert history.op(1).value == 5
        assert history.pair.tolist() == [1, 0]
        assert history.warnings == []


def test_times_may_go_back_but_columns_do_not():
    text = "".join(
        f"{{:index {index} :time {time} :type {kind} :process 0 :f :read :value nil}}\n"
        for index, (time, kind) in enumerate([(5, ":invoke"), (9, ":ok"), (7, ":invoke"), (8, ":ok")])
    )
    history = load(text)
    assert history.time.tolist() == [5, 9, 9, 9]
    assert [op.time for op in history.ops()] == [5, 9, 7, 8]


def test_nemeses_of_others_do_as_they_like():
    text = "".join(
        f"{{:type {kind} :process {process} :f {f} :value {value}}}\n"
        for kind, process, f, value in [
            (":info", ":nemesis", ":start", "nil"),
            (":info", ":nemesis", ":start", '{"n1" #{:n2 :n1}}'),
            (":info", ":nemesis", ":stop", "nil"),
            (":invoke", "0", ":read", "nil"),
            (":invoke", ":checker", ":look", "nil"),
            (":info", ":nemesis", ":start", "nil"),
            (":ok", ":checker", ":look", "[1]"),
            (":ok", "0", ":read", "1"),
        ]
    )
    history = load(text)
    assert history.pair.tolist() == [1, 0, -1, 7, 6, -1, 4, 3]
    assert history.process.tolist() == [NEMESIS_CODE] * 3 + [0] + [NEMESIS_CODE] * 3 + [0]
    assert [op.type for op in history.nemesis_ops()] == ["info"] * 6
    assert history.op(1).value == {"n1": ["n1", "n2"]}
    assert history.op(4) == Op(4, 0, NEMESIS, "info", "look", ext={"process": "checker"})


def test_a_list_of_all_on_one_line_may_be_longer_than_any_operation(tmp_path):
    one = '{:type :invoke, :process %d, :f :write, :value "' + "x" * (1 << 20) + '"} '
    path = tmp_path / "long.edn"
    path.write_text("[" + "".join(one % process for process in range(20)) + "]")
    assert path.stat().st_size > LINE_LIMIT
    assert History.load(path).n == 20
    packed = tmp_path / "long.gz"
    packed.write_bytes(gzip.compress(path.read_bytes(), 1))
    assert History.load(packed).n == 20


@pytest.mark.parametrize("seed", range(4))
def test_a_history_of_ours_is_the_same_as_edn(seed):
    ops = random_ops(seed, 300)
    ours = History.from_ops(ops, RegisterEncoder())
    theirs = load(b"".join(edn_line(op) for op in ours.ops()), RegisterEncoder())
    assert_same(theirs, ours)
    assert list(theirs.ops()) == list(ours.ops())


# What is forgiven.


def test_a_torn_last_line_is_a_warning():
    text = "".join(
        f'{{:index {index}, :time {index}, :type :invoke, :process {index}, :f :write, :value ["a\\n" :b {index}]}}\n'
        for index in range(3)
    )
    whole = list(load(text).ops())
    for opening in ("", "["):
        for size in range(1, len(text)):
            cut = text[:size]
            expected = cut.count("}")
            if not expected:
                with pytest.raises(UsageError, match="has no operations"):
                    load(opening + cut)
                continue
            history = load(opening + cut)
            assert list(history.ops()) == whole[:expected]
            torn = not cut.rstrip().endswith("}")
            assert any("torn" in warning for warning in history.warnings) == torn
            assert any("before its list" in warning for warning in history.warnings) == (not torn and opening == "[")


def test_a_torn_line_of_a_log_is_a_warning():
    text = (CORPUS / "etcd-register" / "etcd_000.log").read_bytes()
    assert "torn" in load(text[:-20]).warnings[0]


# What is not.


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (INVOKE + "{:a 1}\n", ["line 2", "not an operation: it has no type"]),
        (INVOKE + "5\n", ["line 2", "not an operation", "map"]),
        (INVOKE + OK.replace("5", "[1 2}"), ["line 2", "not EDN", "]"]),
        (INVOKE + OK.replace("5", "@x"), ["line 2", "not EDN", "@"]),
        (INVOKE + OK.replace(":f", ":time 9223372036854775808 :f"), ["line 2", "time"]),
        (INVOKE + OK.replace(":process 0", ":process 9223372036854775808"), ["line 2", "process"]),
        (INVOKE + OK.replace(":process 0", ":process -1"), ["line 2", "process"]),
        (INVOKE + OK.replace(":process 0", ":process 1.5"), ["line 2", "its process is a fraction, not an integer"]),
        (INVOKE + OK.replace(":process 0", ":process [1]"), ["line 2", "process"]),
        (INVOKE + OK.replace(":ok", ":maybe"), ["line 2", "its type is 'maybe', none of invoke, ok, fail, info"]),
        (INVOKE + OK.replace(":f :read", ":f nil"), ["line 2", ":f"]),
        (INVOKE + OK.replace(":f", ":index 5.5 :f"), ["line 2", "index"]),
        (INVOKE + OK.replace(":f", ":index -7 :f"), ["line 2", "index"]),
        (INVOKE + OK.replace(":f", ":time -7 :f"), ["line 2", "time"]),
        (INVOKE.replace(":f", ":index 3 :f") + "; it\n" + OK.replace(":f", ":index 3 :f"), ["line 3", "index", "3"]),
        (INVOKE.replace(":f", ":index 3 :f") + OK.replace(":f", ":index 2 :f"), ["line 2", "index", "2"]),
        (OK, ["line 1", "never invoked"]),
        ("\n; x\n" + INVOKE + "\n" + INVOKE, ["line 5", "open"]),
        (INVOKE + OK.replace(":ok", ":info") + ";\n" + INVOKE, ["line 4", "ended by an info"]),
        (INVOKE + OK.replace("read", "write"), ["line 2", "something else"]),
        ("{:type :ok :value [[:r 1 2]]}", ["line 1", "alternate, so it should be an invocation"]),
        (INVOKE + "{:type :ok, :value [\n" + OK + OK, ["line 2", "does not end"]),
        (INVOKE + "]", ["line 2", "closes nothing"]),
        (f"[{INVOKE}] {OK}", ["line 2", "follows"]),
        (f"[{INVOKE}) {OK}", ["line 2", "closes nothing"]),
        (INVOKE + OK.replace("5", "[" * 600 + "]" * 600), ["line 2", "nested"]),
        (INVOKE + OK.replace("5", '"\\q"'), ["line 2", "string"]),
        (INVOKE.encode() + OK.encode().replace(b"5", b'"\xff"'), ["line 2", "UTF-8"]),
        ("INFO jepsen.util - 0\t:invoke\t:read\tnil\nfoo\n", ["line 2", "Jepsen's log"]),
        ("INFO jepsen.util - 0\t:invoke\t:read\tnil\nINFO jepsen.util - 0\t:ok\t:read\t5]\n", ["line 2"]),
        ("INFO jepsen.util - 0\t:invoke\t:read\tnil\nINFO jepsen.util - 0\t:ok\t:read\t[5\n", ["line 2"]),
        ("INFO jepsen.util - 0\t:invoke\t:read\tnil\nINFO jepsen.util - x\t:ok\t:read\t[5\n", ["line 2"]),
        ("INFO jepsen.util - 0\t:invoke\t:read\tnil 5 6\n", ["line 1", "one value"]),
        ("INFO jepsen.util - 0\t:invoke\t:read\t;\n", ["line 1", "one value"]),
        ("# a readme\n", ["line 1", "not JSON"]),
        ("0\t:invoke\t:read\tnil\n", ["line 1", "history.edn"]),  # history.txt
        (":nemesis\t:info\t:start\tnil\n", ["line 1", "history.edn"]),
        ("2023-03-01 10:11:12,123{GMT}\tINFO\t[jepsen worker 0] jepsen.util: 0\t:invoke\n", ["line 1", "history.edn"]),
        ("JEPSEN\0\1", ["line 1", "history.edn"]),
        ('[{"index":0,"type":"invoke"}]', ["line 1", "with an operation on each"]),
        ("\n\nindex,type\n", ["line 3", "nor any other format"]),
        ("\ufeff" + INVOKE, ["line 1", "nor any other format"]),
        ("[]", []),
    ],
)  # fmt: skip
def test_what_is_no_history_is_refused_with_its_line(text, words):
    if text == "[]":
        with pytest.raises(UsageError, match="no operations"):
            load(text)
        return
    refuses(text, *words)


def test_numbers_beyond_64_bits_are_refused_by_whoever_takes_them():
    text = "{:type :invoke, :process 0, :f :write, :value [1]}\n{:type :ok, :process 0, :f :write, :value [1 %d]}\n"
    assert load(text % (2**63 - 1), RegisterEncoder()).rows["number"].tolist() == [2**63 - 1]
    for number in (2**63, -(2**63) - 1, 10**50):
        with pytest.raises(UsageError, match="line 2: a number is beyond 64 bits"):
            load(text % number, RegisterEncoder())


@pytest.mark.parametrize("seed", range(3))
def test_the_line_is_told_in_long_files_too(seed):
    lines = [edn_line(op) for op in History.from_ops(random_ops(seed, 300)).ops()]
    lines[200] = lines[200].replace(b":index 200", b":index 199")
    refuses(b"".join(lines), "line 201: the index is 199 where one above 199 should be")
    refuses(b"; why\n" * 1000 + b"".join(lines), "line 1201: the index is 199")


def test_a_gigabyte_in_one_operation_is_not_read(tmp_path):
    path = tmp_path / "long.edn"
    path.write_bytes(b'{:type :invoke, :value "')
    with path.open("r+b") as file:
        file.truncate(1 << 30)
    with pytest.raises(UsageError, match="line 1: an operation is longer than 16 MiB"):
        History.load(path)


# Whatever comes.

STRANGE = st.binary(max_size=60) | st.sampled_from(
    [b"{", b"}", b"[", b'"', b"\n", b":", b"#", b"\\", b"1e999", b";", b"-"]
)


@given(
    edn_histories().map(str.encode) | st.sampled_from([path.read_bytes() for path in FILES[:2] + FILES[-6:]]), st.data()
)
@settings(derandomize=True, deadline=None, max_examples=300)
def test_whatever_is_read_is_a_history_or_refused_in_a_sentence(text, data):
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(text)))
        text = text[:at] + data.draw(STRANGE) + text[at + data.draw(st.integers(0, 4)) :]
    try:
        history = load(text)
    except UsageError as error:
        said = str(error)
    else:
        said = "a history"
        ops = list(history.ops())
        assert len(ops) == history.n
        assert [op.index for op in ops] == list(range(history.n))
    assert said.isprintable()
    assert len(said) < 400


@given(st.sampled_from([b"", b"{:", b"[{:type", b"INFO jepsen.util - ", b'{"index":0', b";"]), st.binary(max_size=300))
@settings(derandomize=True, deadline=None, max_examples=300)
def test_bytes_are_refused(beginning, text):
    with pytest.raises(UsageError):
        load(beginning + text)
