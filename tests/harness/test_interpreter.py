"""The interpreter, in virtual and in real time, with clients that behave badly in every way."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import generator as gen
from harness.clock import MILLISECOND, SECOND, RealClock
from harness.exit_codes import EnvironmentFailure
from harness.generator_simulation import simulate
from harness.interpreter import Outcome, interpret
from harness.op import FAIL, INFO, INVOKE, NEMESIS, OK, Op
from harness.protocols import PENDING
from harness.rng import Stream, Streams
from harness.virtual_time import VirtualLoop
from tests.harness.histories import assert_complete


class Definite(Exception):
    definite = True
    word = "write-conflict"


class Panic(BaseException):
    """As the Rust client's panics: no Exception."""


class Bench:
    """A run whose clients do what a function says."""

    def __init__(self, behave, *, nemesis=None, loop: VirtualLoop | None = None) -> None:
        self.behave = behave
        self.nemesis = nemesis
        self.loop = loop
        self.clock = loop or RealClock()
        self.history: list[Op] = []
        self.opened: list[int] = []
        self.closed: list[int] = []
        self.refuse_to_open = lambda process: False

    def record(self, op: Op) -> Op:
        op.index = len(self.history)
        self.history.append(op.replace())
        return op

    async def open_client(self, process: int):
        if self.refuse_to_open(process):
            raise ConnectionError("no route")
        self.opened.append(process)
        return Scripted(self, process)

    async def interpret(self, generator, **changes) -> Outcome:
        arguments = {
            "clock": self.clock,
            "generator": generator,
            "open_client": self.open_client,
            "nemesis": self.nemesis and Scripted(self, NEMESIS),
            "concurrency": 3,
            "record": self.record,
            "streams": Streams(1),
            "deadline_ns": 10 * SECOND,
        }
        return await interpret(**{**arguments, **changes})

    def run(self, generator, **changes) -> Outcome:
        if self.loop is not None:
            return self.loop.run_until_complete(self.interpret(generator, **changes))
        return asyncio.run(self.interpret(generator, **changes))

    def completions(self) -> list[Op]:
        return [op for op in self.history if op.type != INVOKE and op.process != NEMESIS]

    def assert_complete(self) -> None:
        assert_complete(self.history)


class Scripted:
    def __init__(self, bench: Bench, process: int | str) -> None:
        self.bench = bench
        self.process = process

    async def invoke(self, op: Op) -> Op:
        behave = self.bench.nemesis if self.process == NEMESIS else self.bench.behave
        return await behave(self.bench, op)

    async def close(self) -> None:
        self.bench.closed.append(self.process)


def virtual(behave, **changes) -> Bench:
    return Bench(behave, loop=VirtualLoop(), **changes)


def takes(ns: int, kind: str = OK):
    async def behave(bench: Bench, op: Op) -> Op:
        await bench.clock.sleep_until(bench.clock.now() + ns)
        return op.replace(type=kind)

    return behave


def reads(count: int):
    return gen.clients(gen.limit(gen.repeat("read"), count))


@pytest.fixture(params=["virtual", "real"])
def make(request) -> Callable[..., Bench]:
    return virtual if request.param == "virtual" else Bench


def test_all_is_recorded_in_order_and_every_client_is_closed(make):
    bench = make(takes(MILLISECOND), nemesis=takes(2 * MILLISECOND, INFO))
    outcome = bench.run(gen.any_of(reads(50), gen.on_nemesis(gen.limit(gen.repeat("kill"), 3))))
    bench.assert_complete()
    assert (outcome.operations, outcome.ok, outcome.nemesis, outcome.interrupted) == (50, 50, 3, False)
    assert sorted(bench.opened) == sorted(bench.closed) == [0, 1, 2]
    assert outcome.ended >= bench.history[-1].time
    assert max(sum(op.type == INVOKE or -1 for op in bench.history[:n] if op.f == "read") for n in range(100)) == 3


def test_the_invocation_is_recorded_before_the_client_is_called():
    async def behave(bench: Bench, op: Op) -> Op:
        assert bench.history[op.index] == op
        return op.replace(type=OK)

    virtual(behave).run(reads(5))


@pytest.mark.parametrize(
    ("error", "kind", "recorded"),
    [
        (Definite("key 3"), FAIL, ["write-conflict", "key 3"]),
        (ValueError("odd"), INFO, ["ValueError", "odd"]),
        (ValueError(), INFO, ["ValueError"]),
        (TimeoutError("its own"), INFO, "timeout"),
        (Panic("unwrap on None"), INFO, ["Panic", "unwrap on None"]),
        (asyncio.CancelledError(), INFO, "cancelled"),
    ],
)
def test_only_what_is_definite_is_a_fail(make, error, kind, recorded):
    async def behave(bench: Bench, op: Op) -> Op:
        await asyncio.sleep(0)
        raise error

    bench = make(behave)
    bench.run(reads(4))
    bench.assert_complete()
    assert [(op.type, op.error) for op in bench.completions()] == [(kind, recorded)] * 4


def test_a_process_ends_by_info_and_the_next_has_a_client_of_its_own():
    bench = virtual(takes(SECOND, INFO))
    bench.run(gen.clients(gen.limit(gen.repeat("read"), 7)), concurrency=2)
    bench.assert_complete()
    assert bench.opened == [0, 1, 2, 3, 4, 5, 6]
    assert bench.closed == bench.opened


def test_an_operation_beyond_its_deadline_is_a_timeout(make):
    bench = make(takes(3600 * SECOND))
    outcome = bench.run(reads(3), deadline_ns=50 * MILLISECOND)
    bench.assert_complete()
    assert [(op.type, op.error) for op in bench.completions()] == [(INFO, "timeout")] * 3
    assert outcome.info == 3
    if bench.loop is not None:
        assert bench.history[-1].time == 50 * MILLISECOND


def test_the_nemesis_has_no_deadline_and_is_never_retired():
    bench = virtual(takes(SECOND), nemesis=takes(100 * SECOND, OK))
    bench.run(gen.on_nemesis(gen.limit(gen.repeat("kill"), 2)))
    assert [(op.process, op.type, op.time) for op in bench.history] == [
        (NEMESIS, INFO, time * SECOND) for time in (0, 100, 100, 200)
    ]


def test_what_the_nemesis_raises_is_in_its_completion():
    async def fails(bench: Bench, op: Op) -> Op:
        raise Definite("docker is gone")

    bench = virtual(takes(SECOND), nemesis=fails)
    bench.run(gen.on_nemesis(gen.limit(gen.repeat("kill", {"id": 1}), 1)))
    assert bench.history[1].error == ["write-conflict", "docker is gone"]
    assert (bench.history[1].type, bench.history[1].value) == (INFO, {"id": 1})


def test_without_a_client_nothing_has_happened():
    bench = virtual(takes(MILLISECOND))
    bench.refuse_to_open = lambda process: bench.clock.now() < SECOND
    bench.run(gen.clients(gen.time_limit(gen.repeat("read"), 2 * SECOND)))
    bench.assert_complete()
    early = [op for op in bench.completions() if op.time <= SECOND]
    assert {(op.type, str(op.error)) for op in early} == {(FAIL, "['no-client', 'ConnectionError', 'no route']")}
    assert 10 <= len(early) <= 40
    assert bench.opened == [0, 1, 2]


def test_what_a_client_had_seen_is_kept():
    class Keeper(Scripted):
        def partial(self, op: Op):
            return {**op.value, "read": [7]}

    bench = virtual(takes(60 * SECOND))

    async def open_keeper(process: int) -> Keeper:
        return Keeper(bench, process)

    bench.run(gen.clients(gen.limit(gen.repeat("read", {"id": 1}), 1)), open_client=open_keeper)
    assert bench.history[1].value == {"id": 1, "read": [7]}
    assert bench.history[0].value == {"id": 1}


@pytest.mark.parametrize(
    "answer",
    [
        lambda op: None,
        lambda op: op.replace(type=INVOKE),
        lambda op: op.replace(type=OK, process=op.process + 1),
        lambda op: op.replace(type=OK, f="other"),
    ],
)
def test_a_client_that_answers_something_else_leaves_info(answer):
    async def behave(bench: Bench, op: Op) -> Op:
        return answer(op)

    bench = virtual(behave)
    bench.run(reads(2))
    bench.assert_complete()
    assert [op.type for op in bench.completions()] == [INFO, INFO]


def test_a_completion_that_cannot_be_recorded_is_info():
    bench = virtual(takes(MILLISECOND))

    def record(op: Op) -> Op:
        if op.type == OK and op.process == 1:
            raise ValueError("a number is beyond 64 bits")
        return bench.record(op)

    bench.run(reads(9), record=record)
    bench.assert_complete()
    refused = [op for op in bench.completions() if op.type == INFO]
    assert [(op.process, op.error) for op in refused] == [
        (1, ["unrecordable", "ValueError", "a number is beyond 64 bits"])
    ]
    assert 4 in {op.process for op in bench.history}


def test_stopping_lets_what_is_nearly_done_finish_and_cancels_the_rest(make):
    async def behave(bench: Bench, op: Op) -> Op:
        await asyncio.sleep(0.3 if op.process == 0 else 3600)
        return op.replace(type=OK)

    bench = make(behave)
    outcome = bench.run(reads(100), should_stop=lambda: bench.clock.now() >= 100 * MILLISECOND)
    bench.assert_complete()
    assert outcome.interrupted
    assert len(bench.completions()) == 3
    if bench.loop is not None:
        ends = [(op.type, op.error, op.time // SECOND) for op in bench.completions()]
        assert ends == [(OK, None, 0), (INFO, "cancelled", 1), (INFO, "cancelled", 1)]
    assert sorted(bench.closed) == [0, 1, 2]


def test_a_client_that_will_not_be_cancelled_is_given_up():
    async def behave(bench: Bench, op: Op) -> Op:
        until = bench.clock.now() + 500 * SECOND
        while bench.clock.now() < until:
            try:
                await bench.clock.sleep_until(until)
            except asyncio.CancelledError:
                continue
        return op.replace(type=OK)

    bench = virtual(behave)
    outcome = bench.run(reads(9), should_stop=lambda: bench.clock.now() >= SECOND)
    bench.assert_complete()
    assert {(op.type, op.error) for op in bench.completions()} == {(INFO, "cancelled")}
    assert outcome.ended < 10 * SECOND
    assert len(bench.history) == 6


def test_a_generator_that_raises_is_a_crash_after_the_completions(make):
    def broken(ctx):
        if len(bench.history) >= 9:
            raise ZeroDivisionError("planted")
        return gen.fill(ctx, "read")

    bench = make(takes(7 * MILLISECOND))
    with pytest.raises(ZeroDivisionError, match="planted"):
        bench.run(gen.clients(gen.each(broken)))
    bench.assert_complete()
    assert len(bench.history) >= 9
    assert sorted(bench.closed) == [0, 1, 2]


def test_an_observer_or_an_update_that_raises_is_a_crash_too():
    def observe(op: Op) -> None:
        if op.index == 10:
            raise ZeroDivisionError

    bench = virtual(takes(MILLISECOND))
    with pytest.raises(ZeroDivisionError):
        bench.run(reads(100), observe=observe)
    bench.assert_complete()
    assert 10 < len(bench.history) < 20


def test_when_nothing_can_be_written_any_more_the_run_ends_at_once():
    bench = virtual(takes(MILLISECOND))

    def record(op: Op) -> Op:
        if len(bench.history) == 9:
            raise EnvironmentFailure("the disk is full")
        return bench.record(op)

    with pytest.raises(EnvironmentFailure, match="the disk is full"):
        bench.run(reads(100), record=record)
    assert len(bench.history) == 9
    assert bench.clock.now() < SECOND


def test_a_cancelled_run_still_completes_what_is_open(make):
    bench = make(takes(3600 * SECOND))

    async def main() -> None:
        task = asyncio.ensure_future(bench.interpret(reads(9)))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    (bench.loop.run_until_complete if bench.loop else asyncio.run)(main())
    bench.assert_complete()
    assert {(op.type, op.error) for op in bench.completions()} == {(INFO, "cancelled")}


def test_a_generator_that_waits_for_nothing_is_found_out():
    with pytest.raises(RuntimeError, match="nothing would ever happen"):
        virtual(takes(SECOND)).run(gen.each(lambda ctx: PENDING))
    with pytest.raises(RuntimeError, match="not free"):
        virtual(takes(SECOND)).run(gen.each(lambda ctx: Op(0, ctx.time, 7, INVOKE, "read")))
    with pytest.raises(RuntimeError, match="not free"):
        virtual(takes(SECOND)).run(gen.on_nemesis(gen.each(lambda ctx: Op(0, ctx.time, NEMESIS, INFO, "kill"))))


def test_the_generator_is_asked_when_it_wants_to_be():
    asked: list[int] = []

    def make(ctx):
        asked.append(ctx.time)
        return None if ctx.time >= 5 * SECOND else gen.later(ctx, ctx.time + SECOND)

    bench = virtual(takes(SECOND))
    outcome = bench.run(gen.each(make))
    assert asked == [second * SECOND for second in range(6)]
    assert outcome.ended == 5 * SECOND


@settings(deadline=None, max_examples=60, derandomize=True)
@given(seed=st.integers(0, 10_000), concurrency=st.integers(1, 4))
def test_the_simulation_of_generators_tells_the_truth(seed, concurrency):
    faults = [(n * 100 * MILLISECOND, Op(0, 0, NEMESIS, INFO, "f")) for n in (1, 2, 7)]

    def test():
        return gen.phases(
            gen.any_of(
                gen.clients(
                    gen.time_limit(
                        gen.stagger(gen.mix(gen.repeat("a"), gen.limit(gen.repeat("b"), 9)), 30 * MILLISECOND), SECOND
                    )
                ),
                gen.on_nemesis(gen.at_times(faults)),
            ),
            gen.clients(gen.each_process(lambda: gen.limit(gen.until_ok(gen.repeat("final")), 5))),
        )

    def fate(stream: Stream, op: Op) -> tuple[int, Op]:
        # Odd times, so that no two things happen in the same instant, where only the order of asking would decide.
        return 2 * stream.below(90_000_000) + 1, op.replace(type=stream.choice((OK, OK, FAIL, INFO)))

    plan = Stream(seed)
    expected = simulate(test(), concurrency=concurrency, complete=lambda op: fate(plan, op), seed=seed)
    actual = Stream(seed)

    async def behave(bench: Bench, op: Op) -> Op:
        took, completion = fate(actual, op)
        await bench.clock.sleep_until(bench.clock.now() + took)
        return completion

    async def break_things(bench: Bench, op: Op) -> Op:
        return await behave(bench, op)

    bench = virtual(behave, nemesis=break_things)
    bench.run(test(), concurrency=concurrency, streams=Streams(seed))
    bench.assert_complete()
    assert bench.history == expected


def test_memory_does_not_grow_with_the_history():
    count = 0

    def record(op: Op) -> Op:
        nonlocal count
        op.index = count
        count += 1
        return op

    def grown(operations: int) -> int:
        bench = virtual(takes(MILLISECOND))
        gc.collect()
        tracemalloc.start()
        try:
            bench.run(gen.clients(gen.limit(gen.repeat("read"), operations)), record=record, deadline_ns=SECOND)
            gc.collect()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    grown(100)
    assert grown(12_000) < 1.5 * grown(3_000)
