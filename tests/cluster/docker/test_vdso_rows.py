"""What clocks show: readings that never go back, rates that change without a step and end by themselves."""

from hypothesis import given
from hypothesis import strategies as st

from cluster.docker.vdso_rows import (
    FINE,
    LARGEST_PPM,
    NO_LIMIT,
    RETURN_PPM,
    SKEWED,
    STEADY,
    TRUE,
    WALL,
    Clocks,
    Row,
)
from harness.clock import MILLISECOND, SECOND

TICK = 4 * MILLISECOND
START = 10**6 * SECOND
RATES = st.integers(-LARGEST_PPM, LARGEST_PPM)
ORIGINS = {0: 1_700_000_000 * SECOND, 11: 1_700_000_037 * SECOND, 1: 0, 4: 1_234_567, 7: 99 * SECOND}

CHANGES = st.tuples(
    st.sampled_from(["rate", "rate", "end", "step", "wall"]), RATES, st.integers(0, 5 * SECOND), st.integers(1, TICK)
)


def fine_times(now):
    return {clock: origin + now for clock, origin in ORIGINS.items()}


def readings(clocks, now):
    """Of all clocks; the coarse ones stand at the last tick."""
    times = {**fine_times(now), **{coarse: ORIGINS[fine] + now // TICK * TICK for coarse, fine in FINE.items()}}
    return {clock: clocks.rows[clock].reading(times[clock]) for clock in SKEWED}


def changed(clocks, change, now):
    what, ppm, size, _ = change
    if what == "wall":
        return clocks.with_wall(-size)
    if what == "step":
        return clocks.with_step(size)
    return clocks.with_rate(0 if what == "end" else ppm, fine_times(now))


@given(st.lists(CHANGES, max_size=20))
def test_a_monotonic_clock_never_goes_back_and_a_coarse_one_is_never_ahead(changes):
    clocks, now, last = TRUE, START, readings(TRUE, START)
    for change in changes:
        rate = change[0] in {"rate", "end"}
        before = readings(clocks, now)
        clocks = changed(clocks.settled(fine_times(now)), change, now)
        after = readings(clocks, now)
        if rate:
            fine = [clock for clock in STEADY if clock not in FINE]
            assert {clock: after[clock] for clock in fine} == {clock: before[clock] for clock in fine}
            now = -(-now // TICK) * TICK  # nobody looks before the next tick
        for later in sorted((now, now + 1, now + change[3], now + change[2])):
            shown = readings(clocks, later)
            assert all(shown[clock] >= last[clock] for clock in STEADY)
            assert all(shown[coarse] <= shown[fine] for coarse, fine in FINE.items())
            last = shown
        now += max(change[2:])


@given(RATES.filter(bool), st.integers(1, 3600 * SECOND), st.integers(-SECOND, SECOND), st.integers(-SECOND, SECOND))
def test_after_a_drift_the_wall_clock_is_right_at_once_and_the_others_return_without_a_step(ppm, lasted, wall, step):
    clocks = TRUE.with_wall(wall).with_step(step).with_rate(ppm, fine_times(START))
    end = START + lasted
    gathered = readings(clocks, end)[1] - end - step
    assert abs(gathered - lasted * ppm / 1e6) <= 1
    ended = clocks.with_rate(0, fine_times(end))
    assert [readings(ended, end)[clock] - readings(TRUE, end)[clock] for clock in WALL] == [wall] * 3
    back = abs(gathered) * 1_000_000 // RETURN_PPM
    halfway = readings(ended, end + back // 2)[1] - (end + back // 2) - step
    assert abs(halfway - gathered / 2) <= 2
    there = end + back + SECOND
    settled = ended.settled(fine_times(there))
    assert settled == TRUE.with_wall(wall).with_step(step)
    assert readings(ended, there) == readings(settled, there)


@given(st.integers(1, LARGEST_PPM), st.integers(SECOND, 60 * SECOND), st.integers(-TICK, 3 * TICK))
def test_the_end_of_a_return_shows_on_no_clock(ppm, lasted, after):
    end = -(-(START + lasted) // TICK) * TICK
    returning = TRUE.with_rate(ppm, fine_times(START)).with_rate(0, fine_times(end))
    there = end + returning.rows[1].limit_ns * 1_000_000 // RETURN_PPM + after
    assert readings(returning.settled(fine_times(there)), there) == readings(returning, there)


@given(RATES, st.integers(1, SECOND))
def test_steps_and_offsets_leave_a_rate_alone_and_are_taken_back_exactly(ppm, size):
    drifting = TRUE.with_rate(ppm, fine_times(START))
    stepped = drifting.with_step(size).with_wall(-size)
    assert [stepped.rows[clock].ppm for clock in SKEWED] == [ppm] * len(SKEWED)
    assert stepped.with_step(-size).with_wall(0) == drifting
    assert stepped.steady_ns == size
    assert stepped.wall_ns == -size


def test_division_rounds_towards_zero_and_stops_at_the_limit():
    assert [Row(0, 0, ppm, NO_LIMIT).gathered(1_999_999) for ppm in (1, -1)] == [1, -1]
    assert [Row(0, 0, ppm, 5).gathered(10**12) for ppm in (1, -1)] == [5, -5]
    assert Row(7, 3, 0, 0).reading(10) == 17
    assert Clocks().rows == (Row(),) * 12
