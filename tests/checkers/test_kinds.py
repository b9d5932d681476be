"""The kind of a history is told from its operations: of all the corpus rightly, and never guessed."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkers.bank.columns import BANK_ENCODER
from checkers.kinds import KINDS, SAMPLE, tell
from checkers.run_checks import run_checks
from harness.exit_codes import UsageError
from harness.history import History
from harness.op import INFO, NEMESIS, Op
from harness.protocols import CheckContext
from tests.checkers.bank_sim import Chaos

CORPUS = Path(__file__).resolve().parent.parent / "corpus"
FOLDERS = {"etcd-register/*.log": "register", "kv/*.txt": "kv", "elle/*.edn": "list-append",
           "elle-verdicts/edn/*.edn": "list-append"}  # fmt: skip


@pytest.mark.parametrize(("pattern", "kind"), FOLDERS.items())
def test_files_of_the_corpus(pattern, kind):
    files = sorted(CORPUS.glob(pattern))
    assert files
    assert {tell(History.load(path).ops()).name for path in files} == {kind}


@pytest.mark.parametrize(
    ("name", "kind"), [("list-append", "list-append"), ("rw-register", "rw-register"), ("bank", "rw-register")]
)
def test_histories_of_the_corpus(name, kind):
    with gzip.open(CORPUS / "elle-verdicts" / f"{name}.jsonl.gz") as file:
        for line in file:
            ops = msgspec.convert(msgspec.json.decode(line)["history"], list[Op])
            if {micro[0] for op in ops for micro in op.value} == {"r"} and name == "list-append":
                assert {str(micro[2]) for op in ops for micro in op.value} == {"None"}  # nothing happens at all
                with pytest.raises(UsageError, match="list-append, rw-register"):
                    tell(ops)
            else:
                assert tell(ops).name == kind


def op(f, value, kind="ok", process=0):
    return Op(0, 0, process, kind, f, value)


@pytest.mark.parametrize(
    ("kind", "ops"),
    [
        ("register", [op("read", None), op("write", 3)]),
        ("register", [op("read", [1, None]), op("cas", [1, [2, 3]])]),
        ("kv", [op("get", ["a", ""]), op("put", ["a", "b"])]),
        ("set", [op("add", 3), op("read", [3])]),
        ("counter", [op("add", 3), op("read", 3)]),
        ("queue", [op("enqueue", 3), op("dequeue", 3)]),
        ("list-append", [op("txn", [["r", 1, None]]), op("txn", [["append", 1, 2]])]),
        ("rw-register", [op("txn", [["r", 1, None]]), op("txn", [["w", 1, 2]])]),
    ],
)
def test_small_ones(kind, ops):
    nemesis = Op(0, 0, NEMESIS, INFO, "kill", {"id": 1})
    assert tell([nemesis, *ops]).name == kind
    assert tell(ops[::-1]).name == kind


def test_what_cannot_be_told_is_asked_for():
    for ops in ([], [Op(0, 0, NEMESIS, INFO, "kill", {"id": 1})]):
        with pytest.raises(UsageError, match="it has no operations of clients"):
            tell(ops, "it")
    for ops, done in (([op("dance", 1)], "'dance'"), ([op("write", 1), op("enqueue", 2)], "'enqueue', 'write'")):
        with pytest.raises(
            UsageError, match=f"it, with {done}, is of no kind .*; --kind says it, one of list-append, "
        ):
            tell(ops, "it")
    with pytest.raises(
        UsageError, match=r"it could be of more than one kind \(list-append, rw-register\): say with --kind"
    ):
        tell([op("txn", [["r", 1, None]])], "it")


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("list-append", op("txn", [["append", 1, 2]]), op("txn", [["app", 1, 2]])),
        ("register", op("write", 3), op("wrote", 3)),
        ("set", op("read", [3]), op("read", 3)),
    ],
)
def test_an_operation_that_does_not_belong_does_not_hide_the_kind(kind, good, bad):
    adds = [op("add", 1)] if kind == "set" else []
    assert tell([*adds, good, good, bad]).name == kind
    assert tell([*adds, bad, good, good]).name == kind


def test_only_the_beginning_is_looked_at():
    ops = iter([op("write", 1)] * SAMPLE + [op("dance", 1)])
    assert tell(ops).name == "register"
    assert next(ops).f == "dance"


def test_the_bank_is_told_and_judged():
    chaos = Chaos(random.Random(5), 40, wild=0)
    chaos.draw()
    history = History.from_ops(chaos.log.ops, BANK_ENCODER)
    kind = tell(history.ops())
    assert kind is KINDS["bank"]
    assert kind.encoder().name == BANK_ENCODER.name
    verdicts = run_checks(kind.checkers(), history, CheckContext())
    assert [verdict.checker for verdict in verdicts if verdict.valid is not True] == []
    assert set(verdicts[0].models) <= set(kind.models)


def test_every_kind_is_whole():
    for name, kind in KINDS.items():
        assert kind.name == name
        assert set(kind.default) <= set(kind.models)
        assert kind.checkers()
        assert kind.encoder() is not None
        assert kind.summary


# Whatever stands in an operation.

scalars = st.none() | st.integers(-2, 4) | st.sampled_from(["a", "", True, 2.5, 2**62, 2**63, -(2**63), 10**30])
lists = st.lists(scalars, max_size=3)
micro = st.tuples(st.sampled_from(["append", "r", "w", "x"]), st.integers(0, 2), scalars | lists).map(list)
sound_micro = st.tuples(st.sampled_from(["append", "r", "w"]), st.integers(0, 2), st.integers(0, 9)).map(list)
maps = st.dictionaries(st.sampled_from(["id", "from", "to", "amount", "read", "0"]), scalars, max_size=4)
values = st.one_of(
    scalars, lists, st.lists(micro, max_size=3), st.lists(sound_micro, max_size=3), maps, st.lists(lists)
)
names = st.sampled_from(
    [
        "txn",
        "read",
        "write",
        "cas",
        "get",
        "put",
        "append",
        "add",
        "enqueue",
        "dequeue",
        "drain",
        "transfer",
        "timestamp",
    ]
)
entries = st.lists(st.tuples(names, values, values, st.sampled_from(["ok", "fail", "info"])), min_size=1, max_size=3)


class OneByOne:
    """An encoder without its quick way."""

    def __init__(self, encoder):
        for name in ("name", "version", "fields", "row_fields", "encode"):
            setattr(self, name, getattr(encoder, name))


def outcome(ops, encoder):
    try:
        return History.from_ops(ops, encoder).n
    except UsageError as error:
        return str(error)


@pytest.mark.parametrize("kind", KINDS)
@given(entries)
@settings(derandomize=True, deadline=None, max_examples=150)
def test_an_encoder_takes_it_or_says_why_not(kind, entries):
    ops = []
    for process, (f, asked, done, end) in enumerate(entries):
        ops += [op(f, asked, "invoke", process), op(f, done if process % 2 else asked, end, process)]
    said = outcome(ops, KINDS[kind].encoder())
    assert said == len(ops) or "line " in str(said)
    assert said == outcome(ops, OneByOne(KINDS[kind].encoder()))
