"""The nemesis's generator: operations at their times, and another try for what could not be done."""

from __future__ import annotations

from collections import Counter

import pytest

from harness.clock import SECOND
from harness.op import NEMESIS
from harness.protocols import Context
from harness.rng import Streams
from nemesis.fault import World
from nemesis.registry import FAULTS
from nemesis.schedule import PlannedFault, Schedule, draw_schedule
from nemesis.timetable import RETRY_NS, TRIES, TRIES_OF_THE_UNSEEN, Timetable

TRANSFER = PlannedFault(1, "pd-transfer", 5 * SECOND, 0, {})
PAUSE = PlannedFault(2, "pause", 6 * SECOND, 5 * SECOND, {"on": "one", "nodes": ["kv1"]})
ORIGIN = 100 * SECOND  # of the main phase


def play(faults, fails, took=SECOND // 100) -> list[tuple[int, str]]:
    """Run the timetable; ``fails(time, f)`` says what cannot be done. Every operation takes ``took``."""
    timetable = Timetable(Schedule(tuple(faults)))
    time, done = ORIGIN, []
    while True:
        op = timetable.next(Context(time, (NEMESIS,), {NEMESIS: NEMESIS}, Streams(1)))
        if op is None:
            return done
        if op.time > time:
            time = op.time
            continue
        done.append(((time - ORIGIN) // SECOND, op.f))
        timetable.update(op)
        assert timetable.next(Context(time, (), {NEMESIS: NEMESIS}, Streams(1))) is not None
        error = "not now" if fails((time - ORIGIN) // SECOND, op.f) else None
        time += took
        timetable.update(
            op.replace(time=time, error=error, value={**op.value, "evidence": {"verified": error is None}})
        )


def test_operations_come_at_their_times():
    assert play([TRANSFER, PAUSE], lambda _time, _f: False) == [
        (5, "pd-transfer"),
        (6, "start-pause"),
        (11, "stop-pause"),
    ]


def test_what_could_not_be_done_is_tried_again():
    def fails(time, f):
        return f == "pd-transfer" and time < 9

    tries = [time for time, f in play([TRANSFER, PAUSE], fails) if f == "pd-transfer"]
    assert tries == [5, 7, 9]


def test_it_is_not_tried_for_ever():
    again = PlannedFault(3, "pd-transfer", 20 * SECOND, 0, {})
    assert len(play([TRANSFER, again], lambda time, _f: time >= 20)) == 1 + TRIES


def test_a_kind_that_was_never_seen_is_tried_for_longer():
    assert len(play([TRANSFER], lambda _time, _f: True)) == TRIES_OF_THE_UNSEEN


def test_what_takes_long_and_fails_is_not_tried_often():
    """Others are waiting for their turn."""
    assert len(play([TRANSFER], lambda _time, _f: True, took=20 * SECOND)) == 2
    again = PlannedFault(3, "pd-transfer", 60 * SECOND, 0, {})
    assert len(play([TRANSFER, again], lambda time, _f: time >= 60, took=20 * SECOND)) == 2


def test_a_lasting_fault_is_not_begun_after_its_stop():
    seen = PlannedFault(1, "pause", 0, 2 * SECOND, PAUSE.plan)
    done = play([seen, PAUSE], lambda time, f: f == "start-pause" and time >= 6)
    assert done == [
        (0, "start-pause"),
        (2, "stop-pause"),
        *((at, "start-pause") for at in (6, 8, 10)),
        (11, "stop-pause"),
    ]
    assert RETRY_NS == 2 * SECOND


def test_one_that_was_never_seen_is_begun_even_then_and_lasts_a_moment():
    done = play([PAUSE], lambda time, f: f == "start-pause" and time < 13)
    assert done[-2:] == [(14, "start-pause"), (15, "stop-pause")]


@pytest.mark.parametrize("seed", range(20))
def test_every_start_has_one_stop_later(seed):
    kinds = [kind for kind, fault in FAULTS.items() if not fault.beyond_assumptions]
    world = World(("pd1", "pd2", "pd3"), tuple(f"kv{i}" for i in range(1, 6)), keys=8, boundaries=(2, 4, 6))
    schedule = draw_schedule(kinds, world, Streams(seed), interval_ns=3 * SECOND, limit_ns=60 * SECOND)
    done = play(schedule.faults, lambda _time, _f: False)
    count = Counter(f.removeprefix("start-") for _, f in done)
    for kind in kinds:
        expected = sum(fault.kind == kind for fault in schedule.faults)
        assert count[kind] == expected
        assert count.get(f"stop-{kind}", expected) == expected
    times = [time for time, _ in done]
    assert times == sorted(times)
    assert times[-1] <= 60
