from __future__ import annotations

from pathlib import Path

import hypothesis.strategies as st
import msgspec
from hypothesis import given, settings

from harness.clock import SECOND
from harness.leader_watch import LeaderChange, changes
from reports.faults import Fault
from reports.leader_figure import leader_figure
from reports.leaders import Reign, leader_moves, leaderless, leaders_words, read_leaders, reigns

LOOKS = st.lists(
    st.dictionaries(st.sampled_from(["pd", "region 1", "region 2"]), st.sampled_from(["a", "b", "c"])), max_size=12
)


def written(looks: list[dict[str, str]]) -> list[LeaderChange]:
    """As the watch writes it, one look a second."""
    found: list[LeaderChange] = []
    for second, (before, now) in enumerate(zip([{}, *looks], looks, strict=False)):
        found += changes(before, now, second * SECOND)
    return found


@settings(deadline=None, derandomize=True, max_examples=200)
@given(LOOKS)
def test_reigns_say_at_every_look_who_led(looks: list[dict[str, str]]) -> None:
    rows = reigns(written(looks))
    for second, look in enumerate(looks):
        at = second * SECOND
        found = {
            what: reign.node
            for what, row in rows.items()
            for reign in row
            if reign.begin <= at and (reign.end is None or at < reign.end)
        }
        assert found == look
    moves = leader_moves(rows, [])
    assert sum(map(len, rows.values())) - len(rows) == sum(move.target is not None for move in moves)
    gone = {what for what, row in rows.items() if row[-1].end is not None}
    assert {move.what for move in moves if move.target is None} == gone
    leader_figure(rows, [], max(len(looks), 1) * SECOND)


def test_a_move_names_the_fault_it_came_with() -> None:
    kill = Fault("kill", 3 * SECOND, 8 * SECOND, True, True, ["pd1"], {}, {}, True)
    late = Fault("pause", 12 * SECOND, 13 * SECOND, True, True, ["kv1"], {}, {}, True)
    seen = [LeaderChange(0, "pd", "pd1"), LeaderChange(4 * SECOND, "pd", None), LeaderChange(6 * SECOND, "pd", "pd3")]
    (move,) = leader_moves(reigns(seen), [kill, late])
    assert (move.source, move.target, move.lost, move.at) == ("pd1", "pd3", 4 * SECOND, 6 * SECOND)
    assert (move.faults, leaderless(move)) == ((kill,), 2 * SECOND)
    assert leaders_words([move]) == "1 of PD; for up to 2 s nobody was seen to lead"
    moment = 3 * SECOND + SECOND // 2  # within the second before it was seen
    (move,) = leader_moves(reigns(seen), [Fault("pd-transfer", moment, moment, False, True, ["pd1"], {}, {}, True)])
    assert [fault.kind for fault in move.faults] == ["pd-transfer"]
    (move,) = leader_moves(reigns(seen[:2]), [])
    assert (move.target, leaderless(move)) == (None, None)


def test_lines_that_are_none_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "leaders.jsonl"
    assert read_leaders(path) == []
    good = LeaderChange(5, "pd", "pd1")
    junk = [b"\xff\xfe", b"[]", b'{"time":"x","what":1}', b'{"time":1}', b"{" * 50_000, b'{"time":7,"what":"pd","node"']
    path.write_bytes(b"\n".join([junk[0], msgspec.json.encode(good), *junk[1:]]))
    assert read_leaders(path) == [good]
    path.unlink()
    path.mkdir()
    assert read_leaders(path) == []


def test_what_does_not_fit_the_figure_is_counted() -> None:
    rows = {f"region {n}": [Reign(f"region {n}", "<b>&$x$</b>", 0, None)] for n in range(40)}
    figure, left_out = leader_figure({"pd": [Reign("pd", "pd1", 0, None)], **rows}, [], 10 * SECOND)
    assert left_out == 41 - 12
    assert "<b>" not in figure
    assert "&lt;b&gt;" in figure
