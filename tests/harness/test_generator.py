"""Generators, simulated without a cluster."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import generator as gen
from harness.clock import MILLISECOND, SECOND
from harness.generator_simulation import simulate
from harness.op import FAIL, INFO, INVOKE, NEMESIS, OK, Op
from harness.protocols import PENDING, Context
from harness.rng import Stream, Streams
from tests.harness.histories import assert_complete


def invocations(history: list[Op]) -> list[Op]:
    seen: set[int | str] = set()
    found: list[Op] = []
    for op in history:
        if op.process in seen:
            seen.discard(op.process)
        else:
            seen.add(op.process)
            found.append(op)
    return found


def fs(history: list[Op]) -> list[str]:
    return [op.f for op in invocations(history)]


def slow(ns: int, kind: str = OK):
    return lambda op: (ns, op.replace(type=kind))


def context(free: tuple[int | str, ...] = (0, 1, NEMESIS), time: int = 0) -> Context:
    return Context(time, free, {0: 0, 1: 1, NEMESIS: NEMESIS}, Streams(1))


def test_fill_leaves_the_nemesis_alone():
    assert gen.fill(context((NEMESIS,)), "read") is PENDING
    answer = gen.fill(context((NEMESIS, 1)), "read", 5)
    assert isinstance(answer, Op)
    assert (answer.process, answer.type, answer.value) == (1, INVOKE, 5)


def test_only_the_nemesis_does_what_is_on_nemesis():
    history = simulate(gen.any_of(gen.on_nemesis(gen.limit(gen.repeat("kill"), 4)), gen.limit(gen.repeat("read"), 20)))
    assert {(op.f, op.process == NEMESIS) for op in history} == {("kill", True), ("read", False)}
    assert Counter(fs(history)) == {"kill": 4, "read": 20}
    assert all(op.type == INFO for op in history if op.f == "kill")


def test_work_goes_round_all_processes():
    history = simulate(gen.stagger(gen.limit(gen.repeat("read"), 30), SECOND), concurrency=3)
    assert Counter(op.process for op in invocations(history)) == {0: 10, 1: 10, 2: 10}


def test_a_phase_begins_when_all_of_the_one_before_is_complete():
    history = simulate(
        gen.phases(
            gen.any_of(gen.limit(gen.repeat("a"), 7), gen.on_nemesis(gen.limit(gen.repeat("fault"), 1))),
            gen.limit(gen.repeat("b"), 5),
        ),
        complete=lambda op: ((9 if op.f == "fault" else op.time % 3 + 1) * SECOND, op.replace(type=OK)),
    )
    first_b = next(op.index for op in history if op.f == "b")
    assert all(op.index < first_b for op in history if op.f != "b")
    assert sum(op.f == "fault" for op in history[:first_b]) == 2
    assert sum(op.f == "a" for op in history[:first_b]) == 14


def test_a_sequence_does_not_wait():
    history = simulate(
        gen.sequence(gen.limit(gen.repeat("a"), 1), gen.limit(gen.repeat("b"), 1)), complete=slow(SECOND)
    )
    assert [op.f for op in history] == ["a", "b", "a", "b"]


def test_the_time_limit_is_exact_and_counts_from_the_first_question():
    inner = gen.time_limit(gen.stagger(gen.repeat("read"), 10 * MILLISECOND), SECOND)
    history = simulate(gen.phases(gen.limit(gen.repeat("wait"), 1), inner), complete=slow(5 * SECOND))
    reads = [op for op in invocations(history) if op.f == "read"]
    assert reads
    assert all(5 * SECOND <= op.time < 6 * SECOND for op in reads)
    last = simulate(gen.time_limit(gen.repeat("read"), SECOND), complete=slow(MILLISECOND), concurrency=1)
    assert len(invocations(last)) == 1000


def test_a_future_beyond_the_limit_does_not_end_what_goes_on_beside_it():
    schedule = gen.on_nemesis(gen.at_times([(5 * SECOND, Op(0, 0, NEMESIS, INFO, "kill"))]))
    history = simulate(
        gen.time_limit(gen.any_of(schedule, gen.clients(gen.repeat("read"))), SECOND),
        complete=slow(300 * MILLISECOND),
        concurrency=1,
    )
    assert fs(history) == ["read"] * 4


def test_stagger_keeps_its_rate_and_is_the_same_for_the_same_seed():
    def run(seed: int) -> list[int]:
        history = simulate(
            gen.time_limit(gen.stagger(gen.repeat("read"), 20 * MILLISECOND), 60 * SECOND),
            concurrency=10,
            complete=slow(7 * MILLISECOND),
            seed=seed,
        )
        return [op.time for op in invocations(history)]

    times = run(1)
    assert 2700 < len(times) < 3300
    assert times == run(1) != run(2)
    assert all(0 <= b - a <= 40 * MILLISECOND for a, b in pairwise(times))


def test_an_outage_is_not_made_up_for_by_a_burst():
    history = simulate(
        gen.time_limit(gen.stagger(gen.repeat("read"), 10 * MILLISECOND), 20 * SECOND),
        concurrency=1,
        complete=lambda op: (10 * SECOND if op.time == 0 else MILLISECOND, op.replace(type=OK)),
    )
    after = [op.time for op in invocations(history) if op.time >= 10 * SECOND]
    assert sum(time < 10 * SECOND + 100 * MILLISECOND for time in after) < 20


def test_times_of_a_schedule_count_from_the_first_question_and_wait_for_the_nemesis():
    def kill(name: str) -> Op:
        return Op(0, 0, NEMESIS, INFO, name)

    schedule = [(3 * SECOND, kill("c")), (1 * SECOND, kill("a")), (1 * SECOND + 1, kill("b"))]
    history = simulate(
        gen.phases(gen.limit(gen.repeat("read"), 1), gen.at_times(schedule)),
        complete=lambda op: ((10 * SECOND if op.f == "read" else SECOND), op),
    )
    assert [(op.f, op.time) for op in invocations(history)][1:] == [
        ("a", 11 * SECOND),
        ("b", 12 * SECOND),
        ("c", 13 * SECOND),
    ]


def test_each_process_has_its_own_and_a_successor_begins_anew():
    def crash_first(op: Op) -> tuple[int, Op]:
        return MILLISECOND, op.replace(type=INFO if op.process == 0 else OK)

    history = simulate(
        gen.clients(gen.each_process(lambda: gen.limit(gen.repeat("read"), 3))), complete=crash_first, concurrency=3
    )
    assert Counter(op.process for op in invocations(history)) == {0: 1, 3: 3, 1: 3, 2: 3}


def test_until_ok_stops_at_the_first_ok_of_its_own():
    tries = defaultdict(int)

    def third_time(op: Op) -> tuple[int, Op]:
        tries[op.process] += 1
        return MILLISECOND, op.replace(type=OK if op.f == "other" or tries[op.process] == 3 else FAIL)

    each = gen.clients(gen.each_process(lambda: gen.until_ok(gen.repeat("read"))))
    assert Counter(op.process for op in invocations(simulate(each, complete=third_time))) == {0: 3, 1: 3, 2: 3}

    tries.clear()
    both = gen.any_of(gen.until_ok(gen.repeat("read")), gen.limit(gen.repeat("other"), 5))
    history = simulate(both, complete=third_time, concurrency=2)
    assert "other" in fs(history)
    assert sum(op.f == "read" and op.type == OK for op in history) >= 1


def test_a_mix_gives_all_of_each_and_draws_by_process():
    history = simulate(gen.mix(gen.limit(gen.repeat("a"), 50), gen.limit(gen.repeat("b"), 30)), concurrency=2)
    assert Counter(fs(history)) == {"a": 50, "b": 30}

    def first_draws(took: int) -> list[str]:
        history = simulate(
            gen.limit(gen.mix(gen.repeat("a"), gen.repeat("b")), 300),
            concurrency=3,
            complete=lambda op: (took if op.process == 2 else MILLISECOND, op.replace(type=OK)),
        )
        return [op.f for op in invocations(history) if op.process == 0][:80]

    draws = first_draws(MILLISECOND)
    assert draws == first_draws(77 * MILLISECOND)
    assert 20 < draws.count("a") < 60


def test_any_of_starves_nobody():
    history = simulate(gen.limit(gen.any_of(gen.repeat("a"), gen.repeat("b")), 100))
    assert Counter(fs(history)) == {"a": 50, "b": 50}


def test_a_generator_that_waits_for_nothing_is_found_out():
    with pytest.raises(RuntimeError, match="nothing would ever happen"):
        simulate(gen.each(lambda ctx: PENDING))
    with pytest.raises(RuntimeError, match="not free"):
        simulate(gen.each(lambda ctx: Op(0, ctx.time, 7, INVOKE, "read")))


# Whatever is put together keeps the rules.

leaves = st.builds(lambda f, n: ("limit", n, ("repeat", f)), st.sampled_from("abc"), st.integers(0, 6))
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(st.just("mix"), st.lists(inner, min_size=1, max_size=3)),
        st.tuples(st.just("any_of"), st.lists(inner, min_size=1, max_size=3)),
        st.tuples(st.just("phases"), st.lists(inner, max_size=3)),
        st.tuples(st.just("sequence"), st.lists(inner, max_size=3)),
        st.tuples(st.just("stagger"), st.integers(1, 50), inner),
        st.tuples(st.just("clients"), inner),
        st.tuples(st.just("until_ok"), inner),
        st.tuples(st.just("each_process"), leaves),
        st.tuples(st.just("time_limit"), st.integers(1, 300), inner),
    ),
    max_leaves=6,
)


def build(tree):
    kind, *args = tree
    if kind == "repeat":
        return gen.repeat(args[0])
    if kind in {"mix", "any_of", "phases", "sequence"}:
        return getattr(gen, kind)(*(build(part) for part in args[0]))
    if kind == "each_process":
        return gen.each_process(lambda: build(args[0]))
    if kind in {"clients", "until_ok"}:
        return getattr(gen, kind)(build(args[0]))
    if kind == "limit":
        return gen.limit(build(args[1]), args[0])
    return getattr(gen, kind)(build(args[1]), args[0] * MILLISECOND)


def planned(tree) -> int:
    """How many operations it would give if nothing cut it short."""
    kind, *args = tree
    if kind == "limit":
        return args[0]
    if kind in {"mix", "any_of", "phases", "sequence"}:
        return sum(planned(part) for part in args[0])
    return planned(args[-1])


def contains(tree, *kinds: str) -> bool:
    return tree[0] in kinds or any(
        contains(part, *kinds)
        for arg in tree[1:]
        for part in (arg if isinstance(arg, list) else [arg])
        if isinstance(part, tuple)
    )


def outcomes(seed: int):
    stream = Stream(seed)

    def complete(op: Op) -> tuple[int, Op]:
        return stream.between(0, 30) * MILLISECOND, op.replace(type=stream.choice((OK, OK, FAIL, INFO)))

    return complete


@settings(deadline=None, max_examples=300, derandomize=True)
@given(tree=trees, seed=st.integers(0, 1000))
def test_any_combination_ends_and_takes_turns(tree, seed):
    history = simulate(gen.clients(build(tree)), concurrency=3, complete=outcomes(seed))
    assert_complete(history)
    if not contains(tree, "time_limit", "until_ok", "each_process"):
        assert len(history) == 2 * planned(tree)
    assert history == simulate(gen.clients(build(tree)), concurrency=3, complete=outcomes(seed))
