"""Of a history that is not ours, operations are called by the indices that stand in its file."""

import random
import re
from pathlib import Path

import msgspec
import pytest

from harness.formats.convert import convert
from harness.history import History
from harness.history_source import Source
from harness.judge import judge_file
from tests.checkers import bank_sim

CORPUS = Path(__file__).parents[1] / "corpus" / "elle"

# Process, type, f and value of each operation; every kind with something wrong.
BROKEN = {
    "list-append": """
        0 invoke txn [[:append 1 1]]
        0 ok txn [[:append 1 1]]
        1 invoke txn [[:r 1 nil]]
        1 ok txn [[:r 1 []]]
        1 invoke txn [[:r 1 nil]]
        1 ok txn [[:r 1 [1 2]]]""",
    "rw-register": """
        0 invoke txn [[:w 1 1]]
        0 ok txn [[:w 1 1]]
        1 invoke txn [[:r 1 nil] [:w 2 1]]
        1 ok txn [[:r 1 nil] [:w 2 1]]
        0 invoke txn [[:r 2 nil]]
        0 ok txn [[:r 2 7]]""",
    "register": """
        0 invoke write [1 1]
        0 ok write [1 1]
        0 invoke write [1 2]
        0 ok write [1 2]
        1 invoke read [1 nil]
        1 ok read [1 2]
        1 invoke read [1 nil]
        1 ok read [1 1]
        2 invoke read [1 nil]
        2 ok read [1 8]""",
    "kv": """
        0 invoke put ["x" "1"]
        0 ok put ["x" "1"]
        1 invoke get ["x" nil]
        1 ok get ["x" "2"]""",
    "set": """
        0 invoke add 1
        0 ok add 1
        1 invoke read nil
        1 ok read [2 3 3]""",
    "counter": """
        0 invoke add 1
        0 ok add 1
        1 invoke read nil
        1 ok read 5""",
    "queue": """
        0 invoke enqueue 1
        0 ok enqueue 1
        0 invoke enqueue 2
        0 ok enqueue 2
        0 invoke enqueue 3
        0 ok enqueue 3
        1 invoke dequeue nil
        1 ok dequeue 2
        1 invoke dequeue nil
        1 ok dequeue 1
        1 invoke dequeue nil
        1 ok dequeue 1
        1 invoke drain nil
        1 ok drain [9]""",
    "timestamps": """
        0 invoke timestamp nil
        0 ok timestamp 5
        1 invoke timestamp nil
        1 ok timestamp 5
        1 invoke timestamp nil
        1 ok timestamp 3""",
    "bank-totals": """
        0 invoke transfer {:from 0, :to 1, :amount 5}
        0 ok transfer {:from 0, :to 1, :amount 5}
        0 invoke read nil
        0 ok read {0 -5, 1 15}
        1 invoke read nil
        1 ok read {0 nil, 1 15}""",
}


def edn(text):
    """The operations as lines, with ``:index @``."""
    rows = (line.split(maxsplit=3) for line in text.strip().splitlines())
    return [
        f"{{:index @, :time 0, :type :{kind}, :process {process}, :f :{f}, :value {value}}}"
        for process, kind, f, value in rows
    ]


def odd(position):
    return 10 * position + 7


def results_of(folder, lines, number, kind):
    file = folder / "history.edn"
    file.write_text("".join(line.replace("@", str(number(at))) + "\n" for at, line in enumerate(lines)))
    return judge_file(file, kind)[0]


def judged(folder, lines, number, kind):
    found = results_of(folder, lines, number, kind).anomalies()
    assert found
    return found


def indices_in(details):
    """All that is called an index in the details of a verdict."""
    if isinstance(details, list):
        return [index for each in details for index in indices_in(each)]
    if not isinstance(details, dict):
        return []
    own = [details["index"]] if "index" in details else []
    return own + [index for each in details.values() for index in indices_in(each)]


def renumbered(text, *, names):
    """What a text of a history with dense indices says of one with odd ones."""
    pattern = r"(?<![\w])(index |indices |T)(\d+)" if names else r"(?<![\w])(index )(\d+)"
    return re.sub(pattern, lambda match: f"{match[1]}{odd(int(match[2]))}", text)


def agree(dense, sparse, *, names):
    assert [one.name for one in sparse] == [one.name for one in dense]
    for one, other in zip(dense, sparse, strict=True):
        assert other.ops == [odd(op) for op in one.ops]
        edges = [(odd(edge.source), odd(edge.target)) for edge in one.cycle]
        assert [(edge.source, edge.target) for edge in other.cycle] == edges
        assert [edge.why for edge in other.cycle] == [renumbered(edge.why, names=names) for edge in one.cycle]
        assert other.explanation == renumbered(one.explanation, names=names)


@pytest.mark.parametrize("kind", BROKEN)
def test_all_kinds_quote_the_indices_of_the_file(tmp_path, kind):
    lines = edn(BROKEN[kind])
    dense, sparse = (judged(tmp_path, lines, number, kind) for number in (lambda at: at, odd))
    agree(dense, sparse, names=True)
    assert any(re.search(r"(index |T)\d", one.explanation) for one in dense)


def test_so_does_the_bank_where_transactions_are_called_by_their_ids(tmp_path):
    seen = 0
    for seed in range(12):
        ops = bank_sim.Chaos(random.Random(seed), 12, 30).draw()
        ours, theirs = tmp_path / f"{seed}.jsonl", tmp_path / f"{seed}.edn"
        ours.write_bytes(b"".join(msgspec.json.encode(op) + b"\n" for op in ops))
        convert(Source.open(ours), str(theirs))
        lines = [re.sub(r":index \d+", ":index @", line) for line in theirs.read_text().splitlines()]
        dense = judge_file(ours, "bank")[0].anomalies()
        if dense:
            agree(dense, judged(tmp_path, lines, odd, "bank"), names=False)
            seen += 1
    assert seen > 3


def test_figures_in_the_details_are_indices_of_the_file_too(tmp_path):
    read = '{:id %d, :via "scan", :read [%s]}'
    lines = edn(f"""
        0 invoke read {read % (1, "")}
        0 ok read {read % (1, "[0 100 0 0 -1] [1 100 0 0 -1]")}
        :nemesis info heal-all nil
        :nemesis info heal-all nil
        0 invoke read {read % (2, "")}
        0 ok read {read % (2, "[0 100 0 0 -1] [1 90 1 5 0]")}""")
    dense, sparse = (results_of(tmp_path, lines, number, "bank") for number in (lambda at: at, odd))
    told = {each.checker: indices_in(each.details) for each in dense.verdicts}
    assert told["balance"] == [5, 5, 5]
    assert told["stats"] == [3]
    assert {each.checker: indices_in(each.details) for each in sparse.verdicts} == {
        name: [odd(index) for index in indices] for name, indices in told.items()
    }


def test_the_example_of_elle_is_told_by_its_own_indices():
    results, history = judge_file(CORPUS / "si-without-g-single.edn")
    first = results.anomalies()[0]
    assert first.name == "G2-item"
    assert sorted(first.ops) == [30, 40]
    assert {(edge.source, edge.target) for edge in first.cycle} == {(30, 40), (40, 30)}
    assert "T40 (index 40, process 9: append 2 to key 6, read key 9 as [2])" in first.explanation
    assert [history.number(at) for at in range(history.n)] == [10, 11, 20, 21, 30, 31, 40, 41]


def test_our_own_histories_count_from_0(tmp_path):
    lines = b'{"index":0,"time":1,"process":0,"type":"invoke","f":"read","ext":{"index":5}}\n'
    (tmp_path / "h.jsonl").write_bytes(lines)
    assert History.load(tmp_path / "h.jsonl").number(0) == 0


def test_a_time_is_only_told_where_there_is_one(tmp_path):
    text = " ".join(one.explanation for one in judged(tmp_path, edn(BROKEN["list-append"]), odd, "list-append"))
    assert "T7 had completed (index 17) before T27 was invoked (index 27)" in text
    assert "0.000000 s" not in text
