"""The column families: versions against a plain list, and the journal against having stopped at the flush."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.sim.mvcc import DEFAULT, LOCK, WRITE, Batch, Lock, Mvcc, Write

KEYS = (b"a", b"b", b"c", b"d")


def contents(mvcc: Mvcc) -> tuple[Any, ...]:
    """Everything a reader can tell; a key that has neither records nor a lock is as good as absent."""
    visible = [key for key in mvcc.keys(b"", b"") if mvcc.write[key] or key in mvcc.lock]
    return dict(mvcc.default), dict(mvcc.lock), {k: list(r) for k, r in mvcc.write.items() if r}, visible


timestamps = st.integers(1, 12)
keys = st.sampled_from(KEYS)
locks = st.builds(Lock, st.sampled_from(["put", "lock"]), keys, timestamps, st.just(3000))


@st.composite
def records(draw: st.DrawFn) -> Write:
    commit_ts = draw(timestamps)
    kind = draw(st.sampled_from(["put", "delete", "lock", "rollback"]))
    start_ts = commit_ts if kind == "rollback" else draw(st.integers(0, commit_ts - 1))
    return Write(commit_ts, kind, start_ts, draw(st.booleans()))


changes = st.one_of(
    st.tuples(st.just(DEFAULT), st.tuples(keys, st.integers(0, 12)), st.none() | st.binary(max_size=2)),
    st.tuples(st.just(LOCK), keys, st.none() | locks),
    st.tuples(st.just(WRITE), keys, records()),
)
batches = st.lists(changes, max_size=5).map(tuple)


@settings(deadline=None, derandomize=True)
@given(st.lists(batches, max_size=8), keys, timestamps)
def test_reads_are_those_of_a_plain_list_of_records(written: list[Batch], key: bytes, ts: int) -> None:
    mvcc = Mvcc()
    plain: dict[int, Write] = {}
    for batch in written:
        mvcc.apply(batch)
        for family, k, value in batch:
            if family == WRITE and k == key:
                plain[value.commit_ts] = value
    visible = [r for _, r in sorted(plain.items()) if r.commit_ts <= ts and r.kind in ("put", "delete")]
    if visible and visible[-1].kind == "put":
        mvcc.apply(((DEFAULT, (key, visible[-1].start_ts), b"seen"),))
        assert mvcc.value(key, ts) == b"seen"
    else:
        assert mvcc.value(key, ts) is None
    assert mvcc.record_at(key, ts) == plain.get(ts)
    assert mvcc.newest(key) == (plain[max(plain)] if plain else None)


@settings(deadline=None, derandomize=True)
@given(st.lists(batches, max_size=6), st.lists(batches | keys | st.just(None), max_size=6))
def test_a_kill_falls_back_to_the_flush_exactly_and_the_log_leads_to_the_same_again(
    before: list[Batch], after: list[Batch | bytes | None]
) -> None:
    """``after`` mixes batches, splits (a key) and restored snapshots (None); it is lost, applied again, lost again."""
    mvcc = Mvcc()
    for batch in before:
        mvcc.apply(batch)
    mvcc.flush()
    other = Mvcc()
    other.apply(((DEFAULT, (b"z", 1), b"other"), (WRITE, b"z", Write(2, "put", 1))))
    flushed = copy.deepcopy(contents(mvcc))

    def run() -> tuple[Any, ...]:
        for step in after:
            if step is None:
                mvcc.restore(other.snapshot())
            elif isinstance(step, bytes):
                mvcc.split(step).apply(((DEFAULT, (step, 99), b"in the child only"),))
            else:
                mvcc.apply(step)
        return copy.deepcopy(contents(mvcc))

    straight = run()
    mvcc.lose_unflushed()
    assert contents(mvcc) == flushed
    assert run() == straight
    mvcc.lose_unflushed()
    assert contents(mvcc) == flushed
    run()
    mvcc.flush()
    mvcc.lose_unflushed()
    assert contents(mvcc) == straight


@settings(deadline=None, derandomize=True)
@given(st.lists(batches, max_size=8), keys)
def test_a_split_moves_out_what_lies_right_of_the_key_and_nothing_is_shared(written: list[Batch], at: bytes) -> None:
    whole, left = Mvcc(), Mvcc()
    for batch in written:
        whole.apply(batch)
        left.apply(batch)
    right = left.split(at)
    parts = contents(left), contents(right)
    assert all(key < at for key in left.keys(b"", b""))
    assert all(key >= at for key in right.keys(b"", b""))
    assert tuple({**a, **b} for a, b in zip(*(part[:3] for part in parts), strict=True)) == contents(whole)[:3]
    assert parts[0][3] + parts[1][3] == contents(whole)[3]
    for key in KEYS:
        (left if key < at else right).apply(((WRITE, key, Write(50, "delete", 49)), (LOCK, key, None)))
    left.lose_unflushed()
    assert all(record.commit_ts < 50 for found in left.write.values() for record in found)


@settings(deadline=None, derandomize=True)
@given(st.lists(batches, max_size=8), batches)
def test_a_snapshot_is_a_copy_of_its_moment(written: list[Batch], later: Batch) -> None:
    mvcc = Mvcc()
    for batch in written:
        mvcc.apply(batch)
    snapshot, then = mvcc.snapshot(), copy.deepcopy(contents(mvcc))
    mvcc.apply(later)
    first, second = Mvcc(), Mvcc()
    first.restore(snapshot)
    first.apply(later)
    second.restore(snapshot)
    assert contents(first) == contents(mvcc)
    assert contents(second) == then


def test_keys_are_in_order_and_within_their_bounds() -> None:
    mvcc = Mvcc()
    for key in (b"m", b"a", b"z", b"mm", b"b"):
        mvcc.apply(((WRITE, key, Write(2, "put", 1)),))
    mvcc.apply(((LOCK, b"locked only", Lock("put", b"a", 5, 3000)),))
    assert mvcc.keys(b"", b"") == [b"a", b"b", b"locked only", b"m", b"mm", b"z"]
    assert mvcc.keys(b"b", b"mm") == [b"b", b"locked only", b"m"]
    assert mvcc.keys(b"n", b"") == [b"z"]
    assert mvcc.locked_keys(5) == [b"locked only"]
