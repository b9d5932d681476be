"""Reading histories: sound ones exactly, damaged ones as far as they go, and anything else refused in one sentence."""

from __future__ import annotations

import contextlib
import gc
import gzip
import os
import tempfile
import threading
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.columns import NEMESIS_CODE, ChunkBuilder
from harness.exit_codes import ExitCode, UsageError
from harness.history import History
from harness.op import FAIL, INFO, INVOKE, NEMESIS, OK, Op
from harness.recorder import LINE_LIMIT
from tests.harness.histories import RegisterEncoder, assert_same, random_ops, record_all

ENCODER = RegisterEncoder()


def line(index: int, kind: str = INVOKE, process: int | str = 0, f: str = "read", value=(1,), **more) -> bytes:
    op = Op(index, more.pop("time", index), process, kind, f, list(value) if isinstance(value, tuple) else value)
    return msgspec.json.encode(op.replace(**more)) + b"\n"


def load(tmp_path: Path, content: bytes, encoder=ENCODER) -> History:
    path = tmp_path / "some.jsonl"
    path.write_bytes(content)
    return History.load(path, encoder)


def refuses(tmp_path: Path, content: bytes, *words: str) -> None:
    with pytest.raises(UsageError) as caught:
        load(tmp_path, content)
    said = str(caught.value)
    assert caught.value.code == ExitCode.USAGE
    assert all(word in said for word in words), said
    assert said.isprintable()
    assert len(said) < 400 + len(str(tmp_path))


GOOD = line(0) + line(1, process=1) + line(2, OK) + line(3, INFO, 1)

# What is not a history.


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["has no operations"]),
        (b"\n", ["line 1", "not JSON"]),
        (b"# a readme\n", ["line 1", "not JSON"]),
        (GOOD + b"\n" + line(4), ["line 5", "not JSON"]),
        (GOOD + b"[]\n", ["line 5", "not an operation", "is a list, not a map"]),
        (GOOD + b'{"index":4}\n', ["line 5", "not an operation", "time"]),
        (GOOD.replace(b'"index":2', b'"index":"2"'), ["line 3", "not an operation", "index"]),
        (GOOD.replace(b'"type":"ok"', b'"type":"maybe"'), ["line 3", "maybe"]),
        (bytes(range(256)) * 10, ["line 1", "not JSON"]),
        (b"\x7fELF\x02\x01\x01" + bytes(1000), ["line 1", "not JSON"]),
        (GOOD.replace(b'"read"', b'"re\xff\xfe"'), ["line 1", "not JSON"]),
        (GOOD.replace(b'"read"', b'"\\ud800"'), ["line 1", "not JSON"]),
        (b"[" * 100_000 + b"\n", ["line 1"]),
        (line(0).replace(b"[1]", b"[" * 5000 + b"]" * 5000), ["line 1"]),
        (line(0).replace(b"[1]", b"[1e999]"), ["line 1"]),
        (line(0, value=(2**63,)), ["line 1", "beyond 64 bits"]),
        (line(0, value=(1, -(2**64))), ["line 1", "beyond 64 bits"]),
        (line(0, process=2**63), ["line 1", "process"]),
        (line(0, time=2**70), ["line 1", "time"]),
        (line(0, process=-1), ["line 1", "process"]),
        (line(0, process="someone"), ["line 1", "process"]),
        (line(0, process=NEMESIS), ["line 1", "nemesis", "info"]),
        (line(0, time=-5), ["line 1", "time"]),
        (line(0, time=7) + line(1, OK, time=6), ["line 2", "goes back", "7", "6"]),
        (line(0, value={"a": 1}), ["line 1", "list of numbers"]),
        (line(0, value=(1,)) + line(1, OK, value=()), ["line 2", "no key"]),
        (line(1), ["line 1", "index", "0"]),
        (GOOD + line(3, process=5), ["line 5", "index", "3", "4"]),
        (line(0) + line(2, OK), ["line 2", "index"]),
        (line(0, OK), ["line 1", "never invoked"]),
        (GOOD + line(4, OK), ["line 5", "never invoked"]),
        (line(0) + line(1, process=1) + line(2), ["line 3", "open"]),
        (GOOD + line(4, process=1), ["line 5", "ended by an info"]),
        (line(0) + line(1, OK, f="write"), ["line 2", "something else"]),
        (line(0, INFO, NEMESIS) + line(1, INFO, NEMESIS, "write"), ["line 2", "something else"]),
        (line(0, OK, 3) + line(1, OK, 2), ["line 1", "never invoked"]),
        (line(0, f="\x1b[31m\n", value={}), ["line 1"]),
        (line(0, OK, f="\x1b[31m\n"), ["line 1"]),
        (line(0).replace(b'"invoke"', b'"\\u001b[31m' + b"x" * 5000 + b'"'), ["line 1"]),
    ],
)
def test_what_is_not_a_history_is_refused_in_one_sentence(tmp_path, content, words):
    refuses(tmp_path, content, *words)


def test_a_gigabyte_on_one_line_is_not_read(tmp_path):
    path = tmp_path / "long.jsonl"
    path.write_bytes(GOOD + b"{")
    os.truncate(path, 1 << 30)
    with pytest.raises(UsageError, match="line 5: it is longer than 16 MiB"):
        History.load(path)
    with pytest.raises(UsageError, match="longer than 16 MiB"):
        History.load(Path("/dev/zero"))
    packed = tmp_path / "long.jsonl.gz"
    with gzip.open(packed, "wb", compresslevel=1) as file:
        for _ in range(64):
            file.write(bytes(1 << 20) + b"\n" * (_ == 0))
    with pytest.raises(UsageError, match="line 2: it is longer than 16 MiB"):
        History.load(packed)


def test_the_longest_line_that_may_be_is_read(tmp_path):
    spare = LINE_LIMIT - len(line(0, value=("",)))
    assert load(tmp_path, line(0, value=("x" * spare,)), None).n == 1
    refuses(tmp_path, line(0, value=("x" * (spare + 1),)), "longer than 16 MiB")


def test_places_without_a_history_are_refused(tmp_path):
    with pytest.raises(UsageError, match="directory without a history"):
        History.load(tmp_path)
    with pytest.raises(UsageError, match="No such file"):
        History.load(tmp_path / "none.jsonl")
    with pytest.raises(UsageError, match="no operations"):
        History.load(Path("/dev/null"))


# What is forgiven.


def test_a_history_cut_anywhere_keeps_all_whole_lines(tmp_path):
    ops = random_ops(1, 12)
    record_all(tmp_path, ops, ENCODER)
    content = (tmp_path / "history.jsonl").read_bytes()
    starts = [0, *(at + 1 for at, byte in enumerate(content) if byte == 10)]
    for size in range(len(content)):
        # A line that is whole but for its end was written whole.
        whole = max(index for index, start in enumerate(starts) if start <= size + (content[size] == 10))
        (tmp_path / "history.jsonl").write_bytes(content[:size])  # columns.bin covers more than there is
        if whole == 0:
            with pytest.raises(UsageError, match="no operations"):
                History.load(tmp_path, ENCODER)
            continue
        history = History.load(tmp_path, ENCODER)
        assert list(history.ops()) == [op.replace(index=index) for index, op in enumerate(ops[:whole])]
        torn = size not in starts and content[size] != 10
        assert any("torn" in warning for warning in history.warnings) == torn
        assert_same(history, load(tmp_path, content[:size]))


def test_what_is_still_open_is_only_a_warning(tmp_path):
    history = load(tmp_path, GOOD + line(4, process=7) + line(5, INFO, NEMESIS, "kill"))
    assert history.pair.tolist() == [2, 3, 0, 1, -1, -1]
    assert history.warnings == ["2 operations were still open at the end: nobody knows their outcome"]
    assert load(tmp_path, GOOD).warnings == []


# The columns beside it.


@pytest.fixture
def small_chunks(monkeypatch) -> None:
    monkeypatch.setattr("harness.columns.CHUNK_OPS", 16)


@pytest.mark.usefixtures("small_chunks")
def test_columns_cut_or_damaged_anywhere_change_nothing(tmp_path):
    record_all(tmp_path, random_ops(2, 100), ENCODER)
    columns = (tmp_path / "columns.bin").read_bytes()
    expected = load(tmp_path, (tmp_path / "history.jsonl").read_bytes())
    for at in range(0, len(columns), 29):
        damaged = bytearray(columns)
        damaged[at] ^= 1 << at % 8
        for content in (columns[:at], bytes(damaged), columns[at:], columns + columns[:at]):
            (tmp_path / "columns.bin").write_bytes(content)
            assert_same(History.load(tmp_path, ENCODER), expected)


@pytest.mark.usefixtures("small_chunks")
def test_an_edited_history_is_read_without_the_columns_from_there_on(tmp_path):
    ops = random_ops(3, 100)
    record_all(tmp_path, ops, ENCODER)
    path = tmp_path / "history.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    at = next(index for index, op in enumerate(ops) if index > 50 and op.type == OK)
    lines[at] = msgspec.json.encode(ops[at].replace(index=at, value=[77, 5])) + b"\n"
    path.write_bytes(b"".join(lines))
    history = History.load(tmp_path, ENCODER)
    assert history.fields["key"][at] == 77
    assert_same(history, load(tmp_path, path.read_bytes()))
    assert any(f"does not belong to this history: it is not used from line {at // 16 * 16 + 1}" in warning
               for warning in history.warnings)  # fmt: skip


@pytest.mark.usefixtures("small_chunks")
def test_columns_of_another_encoder_or_version_are_not_used(tmp_path):
    record_all(tmp_path, random_ops(4, 60), ENCODER)

    class Newer(RegisterEncoder):
        version = 2

        def encode(self, op: Op):
            fields, rows = super().encode(op)
            return [field + 1000 for field in fields], rows

    class Other(Newer):
        name = "other"

    for encoder in (Newer(), Other()):
        history = History.load(tmp_path, encoder)
        clients = history.process >= 0
        assert (history.fields["key"][clients] >= 1000).all()
    assert History.load(tmp_path).fields == {}


def test_a_forged_chunk_that_does_not_fit_itself_is_not_used(tmp_path):
    record_all(tmp_path, random_ops(5, 40), ENCODER)
    expected = load(tmp_path, (tmp_path / "history.jsonl").read_bytes())
    from harness.columns import Chunk, pack, read_chunks

    (chunk,) = read_chunks(tmp_path / "columns.bin", ENCODER)
    forgeries = {"type": 9, "f": 100, "rows": -1, "length": 0}
    for name, value in forgeries.items():
        column = chunk.columns[name].copy()
        column[3] = value
        forged = Chunk(chunk.header, {**chunk.columns, name: column})
        (tmp_path / "columns.bin").write_bytes(pack(forged))
        assert_same(History.load(tmp_path, ENCODER), expected)


# Other forms.


def test_a_compressed_history_is_read_too(tmp_path):
    ops = random_ops(6, 500)
    record_all(tmp_path, ops, ENCODER)
    content = (tmp_path / "history.jsonl").read_bytes()
    packed = tmp_path / "packed.jsonl.gz"
    packed.write_bytes(gzip.compress(content))
    history = History.load(packed, ENCODER)
    assert_same(history, History.load(tmp_path, ENCODER))
    assert history.op(77) == ops[77].replace(index=77)
    assert history.sha256() == History.load(tmp_path, ENCODER).sha256()

    packed.write_bytes(gzip.compress(content)[:-200])
    shorter = History.load(packed, ENCODER)
    assert 0 < shorter.n < 500
    assert any("middle of its compression" in warning for warning in shorter.warnings)

    packed.write_bytes(gzip.compress(content)[:100] + b"garbage" * 50)
    with pytest.raises(UsageError):
        History.load(packed, ENCODER)


def test_a_history_can_come_through_a_pipe(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(GOOD))
    writer.start()
    history = History.load(pipe, ENCODER)
    writer.join()
    assert history.n == 4
    assert history.op(3).type == INFO


def test_no_file_is_left_open(tmp_path):
    gc.collect()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        load(tmp_path, GOOD).op(2)
        with contextlib.suppress(UsageError):
            load(tmp_path, b"garbage")
    gc.collect()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


# What it offers.


def test_pairs_fields_rows_and_frame():
    history = History.from_ops(
        [
            Op(0, 5, 4, INVOKE, "write", [9]),
            Op(0, 6, NEMESIS, INFO, "kill", {"id": 1}),
            Op(0, 7, 2, INVOKE, "read", [8]),
            Op(0, 8, 4, OK, "write", [9, 30, 40]),
            Op(0, 9, NEMESIS, INFO, "kill", {"id": 1, "targets": ["kv1"]}),
            Op(0, 9, 2, FAIL, "read", [8], "no-client"),
            Op(0, 10, 4, INVOKE, "write", [9]),
            Op(0, 11, NEMESIS, INFO, "heal", None),
        ],
        ENCODER,
    )
    assert len(history) == history.n == 8
    assert history.f_names == ["write", "kill", "read", "heal"]
    assert history.pair.tolist() == [3, 4, 5, 0, 1, 2, -1, -1]
    assert history.type.tolist() == [0, 3, 0, 1, 3, 2, 0, 3]
    assert history.process.tolist() == [4, NEMESIS_CODE, 2, 4, NEMESIS_CODE, 2, 4, NEMESIS_CODE]
    assert history.row_start.tolist() == [0, 0, 0, 0, 2, 2, 2, 2, 2]
    assert history.rows["number"].tolist() == [30, 40]
    assert [op.index for op in history.nemesis_ops()] == [1, 4, 7]
    with pytest.raises(IndexError):
        history.op(8)
    frame = history.to_frame()
    assert frame.loc[3].to_dict() == {"time": 8, "process": 4, "type": "ok", "f": "write", "pair": 0, "key": 9}


def test_pairing_is_what_a_simple_loop_says():
    for seed in range(20):
        history = History.from_ops(random_ops(seed, 300), ENCODER)
        opened: dict[int | str, int] = {}
        expected = [-1] * history.n
        for op in history.ops():
            if op.process in opened:
                first = opened.pop(op.process)
                expected[first], expected[op.index] = op.index, first
            else:
                opened[op.process] = op.index
        assert history.pair.tolist() == expected


# Whatever comes: a history or one sentence.

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
strange_ops = st.fixed_dictionaries(
    {},
    optional={
        "index": st.integers(-1, 3) | values,
        "time": st.integers(-2, 9) | values,
        "process": st.sampled_from([0, 1, NEMESIS]) | values,
        "type": st.sampled_from([INVOKE, OK, FAIL, INFO]) | values,
        "f": st.sampled_from(["read", "kill"]) | values,
        "value": st.lists(st.integers()) | values,
        "error": values,
        "ext": values,
    },
)


def survives(content: bytes, columns: bytes | None = None) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "history.jsonl").write_bytes(content)
        if columns is not None:
            (folder / "columns.bin").write_bytes(columns)
        try:
            history = History.load(folder, ENCODER)
        except UsageError as error:
            assert str(error).isprintable()  # noqa: PT017 (either outcome is right)
            return
        assert [op.index for op in history.ops()] == list(range(history.n))
        assert history.row_start[-1] == len(history.rows["number"])


@settings(deadline=None, max_examples=200, derandomize=True)
@given(st.binary(max_size=300))
def test_garbage_is_no_history(content):
    survives(content)


@settings(deadline=None, max_examples=300, derandomize=True)
@given(st.lists(strange_ops, max_size=4))
def test_strange_operations_are_refused(ops):
    survives(b"".join(msgspec.json.encode(op) + b"\n" for op in ops))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> tuple[bytes, bytes]:
    folder = tmp_path_factory.mktemp("recorded")
    record_all(folder, random_ops(7, 30), ENCODER)
    return (folder / "history.jsonl").read_bytes(), (folder / "columns.bin").read_bytes()


@settings(deadline=None, max_examples=300, derandomize=True)
@given(data=st.data())
def test_a_mutated_history_is_a_history_or_refused(recorded, data):
    content, columns = bytearray(recorded[0]), bytearray(recorded[1])
    for target in data.draw(st.lists(st.sampled_from([content, columns]), min_size=1, max_size=3)):
        at = data.draw(st.integers(0, max(len(target) - 1, 0)))
        length = data.draw(st.integers(0, 20))
        target[at : at + length] = data.draw(st.binary(max_size=12) | st.sampled_from([b"-", b"9" * 19, b"\n", b"{}"]))
    survives(bytes(content), bytes(columns))


def test_an_encoder_that_falls_over_is_a_wrong_shape(tmp_path):
    class Careless(RegisterEncoder):
        def encode(self, op: Op):
            return (op.value["key"],), ()

    for value in ((1,), None, {}, "text"):
        path = tmp_path / "some.jsonl"
        path.write_bytes(line(0, value=value))
        with pytest.raises(UsageError, match="line 1"):
            History.load(path, Careless())


def test_a_builder_gives_what_was_put_in_and_begins_anew():
    builder = ChunkBuilder(ENCODER)
    for start in (0, 6):
        for text in (b"abc", b"def"):
            op = Op(0, 5, 1, OK, "read", [1, 2])
            builder.add(op, text, builder.encode(op))
        chunk, text = builder.take()
        assert (chunk.header.start, chunk.header.end, chunk.header.ops, text) == (start, start + 6, 2, b"abcdef")
