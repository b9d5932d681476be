"""The order of time, whatever order the news come in. The world of the property takes times as client processes do."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.clock import RealClock
from harness.exit_codes import EnvironmentFailure
from harness.history import History
from harness.op import INFO, INVOKE, NEMESIS, OK, Op
from harness.recorder import Recorder
from harness.sequencer import Sequencer

PROCESSES = 6
SOURCES = 2


class Clock(RealClock):
    def __init__(self) -> None:
        self.time = 1000

    def now(self) -> int:
        return self.time

    def of_monotonic(self, reading: int) -> int:
        return reading


class Truth(msgspec.Struct):
    """What really happened to an operation, and whether that was told."""

    process: int
    handed: int
    began: int | None = None
    ended: int | None = None
    said_beginning: bool = False  # on its way
    told_beginning: bool = False
    told_end: bool = False
    completed: bool = False


class Process:
    """A logical process, and its place in the life of an operation: each method is one step of it."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.number = number
        self.source = number % SOURCES
        self.state = "idle"
        self.last = 0
        self.op = 0

    @property
    def truth(self) -> Truth:
        return self.world.truth[self.op]

    def step(self) -> None:
        getattr(self, self.state)()

    def record(self, kind: str) -> Op:
        return self.world.sequencer.record(Op(0, self.world.clock.time, self.number, kind, "f", self.op))

    def idle(self) -> None:
        self.op = next(self.world.numbers)
        self.world.truth[self.op] = Truth(self.number, self.world.clock.time)
        self.record(INVOKE)
        self.world.sequencer.handed(self.number, self.world.sources[self.source])
        self.state = "handed"

    def handed(self) -> None:
        self.truth.began = self.world.clock.time = max(self.world.clock.time, self.last + 1)
        self.state = "running"

    def running(self) -> None:
        self.truth.ended = self.last = self.world.clock.time
        self.world.news[self.source].append(("ended", self))
        self.state = "ended"

    def ended(self) -> None:
        """Nothing but a message goes on from here."""

    def told(self) -> None:
        self.truth.completed = True
        assert self.record(OK).time == self.truth.ended
        self.state = "idle"

    def lost(self) -> None:
        self.truth.completed = True
        self.record(INFO)
        self.number += PROCESSES
        self.last = 0
        self.state = "idle"


class World:
    """Two client processes with three logical ones each, news on their way, and an interpreter."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self.path = folder / "history.jsonl"
        self.recorder = Recorder(self.path)
        self.sequencer = Sequencer(self.recorder, self.clock)
        self.truth: dict[int, Truth] = {}
        self.news: list[list[tuple]] = [[] for _ in range(SOURCES)]
        self.numbers = itertools.count()
        self.sources = list(range(SOURCES))  # the number of the client process in each place
        self.faults = 0
        self.processes = [Process(self, number) for number in range(PROCESSES)]

    def step(self, at: int) -> None:
        self.processes[at].step()

    def report(self, source: int, beat: bool) -> None:
        mark = self.clock.time
        for process in self.processes:
            if process.source == source and process.state == "running" and not process.truth.said_beginning:
                if beat:
                    process.truth.said_beginning = True
                    self.news[source].append(("began", process))
                else:
                    mark = min(mark, process.truth.began)
        self.news[source].append(("heard", mark))

    def deliver(self, source: int, count: int) -> None:
        for what, about in self.news[source][:count]:
            if what == "heard":
                self.sequencer.heard(self.sources[source], about)
            elif what == "began":
                self.sequencer.began(about.number, about.truth.began)
                about.truth.told_beginning = True
            else:
                self.sequencer.ended(about.number, about.truth.began, about.truth.ended)
                about.truth.told_end = about.truth.told_beginning = True
                about.state = "told"
        del self.news[source][:count]

    def lose(self, source: int) -> None:
        """A client process is killed, and with it what it had said and nobody had read."""
        self.news[source].clear()
        self.sources[source] += SOURCES
        for process in self.processes:
            if process.source == source and process.state in {"handed", "running", "ended"}:
                process.state = "lost"

    def nemesis(self) -> None:
        self.faults += 1
        self.sequencer.record(Op(0, self.clock.time, NEMESIS, INFO, "kill"))

    def written(self) -> list[Op]:
        return list(History.load(self.path).ops()) if self.recorder.ops else []


actions = st.one_of(
    st.tuples(st.just("step"), st.integers(0, PROCESSES - 1)),
    st.tuples(st.just("step"), st.integers(0, PROCESSES - 1)),
    st.tuples(st.just("report"), st.integers(0, SOURCES - 1), st.booleans()),
    st.tuples(st.just("deliver"), st.integers(0, SOURCES - 1), st.integers(1, 9)),
    st.tuples(st.just("lose"), st.integers(0, SOURCES - 1)),
    st.tuples(st.just("nemesis")),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), actions), max_size=150))
def test_any_order_of_news_gives_the_order_of_time(happenings):
    with tempfile.TemporaryDirectory() as name:
        world = World(Path(name))
        for passed, (what, *rest) in happenings:
            world.clock.time += passed
            getattr(world, what)(*rest)
            assert_nothing_is_missing_before_the_last(world)
        world.sequencer.finish()
        world.recorder.close()
        assert_is_the_truth(world)


def assert_nothing_is_missing_before_the_last(world: World) -> None:
    """If the harness died now: what is in the file can have seen nothing that is not in it."""
    ops = world.written()
    begun = {op.value for op in ops if op.type == INVOKE}
    last = max((op.time for op in ops), default=0)
    for number, truth in world.truth.items():
        assert number in begun or truth.began is None or truth.began >= last


def assert_is_the_truth(world: World) -> None:
    ops = world.written()
    assert [op.time for op in ops] == sorted(op.time for op in ops)
    assert sum(op.process == NEMESIS for op in ops) == world.faults
    clients = [op for op in ops if op.process != NEMESIS]
    begun = {op.value: op for op in clients if op.type == INVOKE}
    ended = {op.value: op for op in clients if op.type != INVOKE}
    assert len(clients) == len(begun) + len(ended)
    assert set(begun) == set(world.truth)
    assert set(ended) == {number for number, truth in world.truth.items() if truth.completed}
    for number, truth in world.truth.items():
        began = begun[number].time
        assert truth.handed <= began
        if truth.began is not None:
            assert began == truth.began if truth.told_beginning else began <= truth.began
        if truth.completed:
            assert ended[number].index > begun[number].index
            assert ended[number].time == truth.ended if truth.told_end else ended[number].time >= (truth.ended or 0)
    open_: dict[int | str, int] = {}
    for op in clients:  # one operation at a time
        assert (op.process in open_) == (op.type != INVOKE)
        open_[op.process] = op.value
        if op.type != INVOKE:
            assert open_.pop(op.process) == op.value


@pytest.fixture
def world(tmp_path) -> World:
    return World(tmp_path)


def at(world: World, time: int) -> World:
    world.clock.time = time
    return world


def test_what_begins_and_what_ends_at_one_instant_have_met(world):
    at(world, 2000).step(0)
    world.step(0)
    at(world, 2100).step(0)
    world.step(1)
    world.step(1)
    at(world, 2200).step(1)
    for source in range(SOURCES):
        world.report(source, beat=False)
        world.deliver(source, 9)
    world.step(0)
    at(world, 2300).step(1)
    assert [(op.time, op.type, op.process) for op in world.written()] == [
        (2000, INVOKE, 0),
        (2100, INVOKE, 1),
        (2100, OK, 0),
        (2200, OK, 1),
    ]


def test_a_slow_operation_holds_nothing_back_once_its_beginning_is_told(world):
    at(world, 2000).step(0)
    world.step(0)
    for time in (2100, 2200, 2300):
        for _ in range(3):
            at(world, time).step(1)
        world.report(1, beat=False)
        world.deliver(1, 9)
        world.step(1)
    at(world, 2400).report(0, beat=False)
    world.deliver(0, 9)
    assert world.written() == []  # who knows when it began
    world.report(0, beat=True)
    world.deliver(0, 9)
    assert [op.time for op in world.written()] == [2000, 2100, 2100, 2200, 2200, 2300, 2300]


def test_a_client_process_that_hangs_holds_back_only_what_is_later(world):
    at(world, 2000).step(0)
    world.step(0)
    world.report(0, beat=True)
    world.deliver(0, 9)
    at(world, 2001).nemesis()
    at(world, 2100).nemesis()
    world.report(1, beat=True)
    world.deliver(1, 9)
    assert [op.time for op in world.written()] == []  # from time 2000 on nothing was heard
    world.lose(0)
    at(world, 2200).step(0)
    assert [op.time for op in world.written()] == [2000, 2001, 2100]
    at(world, 2201).nemesis()
    assert [op.time for op in world.written()] == [2000, 2001, 2100, 2200]


def test_what_cannot_be_recorded_may_be_recorded_otherwise(world):
    at(world, 2000).step(0)
    world.step(0)
    at(world, 2100).step(0)
    world.report(0, beat=False)
    world.deliver(0, 9)
    with pytest.raises((ValueError, TypeError, OverflowError)):
        world.sequencer.record(Op(0, 2200, 0, OK, "f", 1j))
    assert world.sequencer.record(Op(0, 2200, 0, INFO, "f", 0, "unrecordable")).time == 2100
    world.sequencer.finish()
    assert [(op.time, op.type) for op in world.written()] == [(2000, INVOKE), (2100, INFO)]


def test_a_full_disk_is_told_with_the_next_operation(world):
    at(world, 2000).nemesis()
    world.recorder._history.close()
    at(world, 2100)
    world.sequencer.heard(0, 2100)  # who brings news is not to blame
    with pytest.raises(EnvironmentFailure, match="cannot record"):
        world.nemesis()


def test_a_completion_that_was_told_is_waited_for_until_it_is_recorded(world):
    for time in (2000, 2001, 2100):
        at(world, time).step(0)
    at(world, 2200).nemesis()
    at(world, 2300).report(0, beat=False)
    world.deliver(0, 9)
    assert [op.time for op in world.written()] == [2001]
    world.step(0)
    assert [op.time for op in world.written()] == [2001, 2100, 2200]


def test_a_time_that_is_told_too_late_ends_the_run_and_leaves_a_history(world):
    at(world, 2000).nemesis()
    at(world, 2100).nemesis()
    world.sequencer.record(Op(0, 2100, 0, INVOKE, "f", 0))
    world.sequencer.handed(0, 0)
    at(world, 3000)
    world.sequencer.heard(0, 2500)
    world.sequencer.began(0, 2050)  # although whatever came from there before 2500 was told
    world.sequencer.heard(0, 2600)  # who brings news is not to blame
    with pytest.raises(RuntimeError, match="f of 0 was told 50 ns too late"):
        world.nemesis()
    world.sequencer.finish()
    assert [op.time for op in world.written()] == [2000, 2100]
