"""The nemesis's generator: operations at their times, and another try for what could not be done."""

from __future__ import annotations

from harness.clock import SECOND
from harness.op import NEMESIS
from harness.protocols import Context
from harness.rng import Streams
from nemesis.schedule import PlannedFault, Schedule
from nemesis.timetable import RETRY_NS, TRIES, Timetable

TRANSFER = PlannedFault(1, "pd-transfer", 5 * SECOND, 0, {})
PAUSE = PlannedFault(2, "pause", 6 * SECOND, 5 * SECOND, {"on": "one", "nodes": ["kv1"]})
ORIGIN = 100 * SECOND  # of the main phase


def play(faults, fails) -> list[tuple[int, str]]:
    """Run the timetable; ``fails(time, f)`` says what cannot be done. Every operation takes 10 ms."""
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
        time += SECOND // 100
        timetable.update(op.replace(time=time, error=error, value={**op.value, "evidence": {}}))


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
    assert len(play([TRANSFER], lambda _time, _f: True)) == TRIES


def test_a_lasting_fault_is_not_begun_after_its_stop():
    done = play([PAUSE], lambda _time, f: f == "start-pause")
    starts = [time for time, f in done if f == "start-pause"]
    assert starts == [6, 8, 10]
    assert done[-1] == (11, "stop-pause")
    assert RETRY_NS == 2 * SECOND
