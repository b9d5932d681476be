"""Programs that do nothing but read clocks, in many threads, while these are changed under them; others that wait."""

import asyncio
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cluster.docker import ptrace_stop
from cluster.docker.clock_change import change
from cluster.docker.ptrace_stop import Stopped
from cluster.docker.vdso_rows import TRUE
from harness.clock import MICROSECOND, MILLISECOND, SECOND
from harness.exit_codes import EnvironmentFailure
from tests.clockprobe import measure
from tests.clockprobe.programs import Program, built

OFFSETS_MS = (0, 100, -100, 3_600_000, -3_600_000)
CHANGES = 200
DOCS = (Path(__file__).parents[3] / "docs" / "clocks.md").read_text()

pytestmark = pytest.mark.usefixtures("_clocks_work")


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clockprobe")
    return lambda language: built(language, folder)


@pytest.fixture
def start(programs):
    running = []

    def start_one(language, *arguments):
        running.append(Program(programs(language), *map(str, arguments)))
        return running[-1]

    yield start_one
    for program in running:
        program.end()


def changed(pid, tell):
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(change, pid, tell).result()


LANGUAGES = ["c", pytest.param("go", marks=pytest.mark.long)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_reading_is_wrong_and_no_monotonic_clock_goes_back_whatever_is_changed(start, language):
    hammer = start(language, "hammer", *OFFSETS_MS)
    assert hammer.line() == "ready"
    chance = random.Random(1)
    for number in range(CHANGES):
        wall = chance.choice(OFFSETS_MS) * MILLISECOND if number % 2 else 0
        # At first nothing but the wall clock, so that our code is put in place and taken away all the time.
        step = chance.choice((0, 0, 1, 1000)) * MICROSECOND if number > CHANGES // 2 else 0
        done = changed(hammer.pid, lambda clocks, _, wall=wall, step=step: clocks.with_wall(wall).with_step(step))
        assert done.after.agree
        time.sleep(chance.random() * 0.004)
    changed(hammer.pid, lambda *_: TRUE.with_step(done.after.clocks.steady_ns))
    code, said = hammer.finish()
    assert (code, said.startswith("wrong")) == (0, False), said
    assert int(said.split()[0]) > 10 * CHANGES


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_monotonic_clock_goes_back_while_rates_change(start, language):
    hammer = start(language, "hammer")
    assert hammer.line() == "ready"
    chance = random.Random(2)
    for _ in range(CHANGES // 4):
        ppm = chance.choice((0, 20_000, -20_000, 500_000, -500_000))
        done = changed(hammer.pid, lambda clocks, now, ppm=ppm: clocks.with_rate(ppm, now))
        assert done.after.agree
        if ppm:  # the coarse clocks, too, show a time at which the new rate was in force
            assert done.after.samples[6].before_ns >= done.after.clocks.rows[6].since_ns
        time.sleep(chance.random() * 0.01)
    code, said = hammer.finish()
    assert (code, said.startswith("wrong")) == (0, False), said


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("wrong", ["wall", "back"])
def test_the_hammer_notices_what_is_wrong(start, language, wrong):
    hammer = start(language, "hammer", 0)
    hammer.line()
    tell = {
        "wall": lambda *_: TRUE.with_wall(50 * MICROSECOND),
        "back": lambda *_: TRUE.with_step(-10 * SECOND),
    }[wrong]
    changed(hammer.pid, tell)
    said = hammer.line()
    assert said.startswith("wrong")
    assert hammer.process.wait() == 1


@pytest.mark.parametrize("alternative", [0, 1])
def test_a_handler_that_returns_into_the_vdso_is_waited_for(start, alternative):
    program = start("c", "handler", alternative)
    assert program.line() == "inside"
    said = []
    reader = threading.Thread(target=lambda: said.append(program.line()))
    reader.start()
    done = changed(program.pid, lambda *_: TRUE.with_wall(MILLISECOND))
    reader.join()
    assert said == ["left"]
    assert done.after.agree
    assert done.stood_still_ns < 300 * MILLISECOND  # of the attempt that succeeded
    changed(program.pid, lambda *_: TRUE)


@pytest.mark.parametrize("alternative", [0, 1])
def test_a_handler_is_not_waited_for_longer_than_said_and_would_be_overlooked_without_looking(
    start, alternative, monkeypatch
):
    monkeypatch.setattr(ptrace_stop, "CLEAR_S", 0.05)
    program = start("c", "handler", alternative)
    assert program.line() == "inside"
    with pytest.raises(EnvironmentFailure, match=r"a signal handler of process .* does not come to its end"):
        changed(program.pid, lambda *_: TRUE.with_wall(MILLISECOND))
    monkeypatch.setattr(Stopped, "_returns_into", lambda *_: False)
    begun = time.monotonic()
    changed(program.pid, lambda *_: TRUE.with_wall(MILLISECOND))
    assert time.monotonic() - begun < 0.2
    assert program.line() == "left"


@pytest.mark.long
@pytest.mark.parametrize("language", measure.LANGUAGES)
def test_waits_last_as_long_as_the_docs_say(programs, language):
    program = programs(measure.LANGUAGES[language])
    said = [[cell.strip() for cell in line.strip("|").split("|")] for line in DOCS.splitlines()]
    rows = {row[1]: dict(zip(measure.CASES, row[2:], strict=True)) for row in said if row[0] == language}
    assert len(rows) > 3
    for case, skews in measure.CASES.items():
        found = asyncio.run(measure.one_case(program, *skews))
        assert {name: measure.words(*how) for name, how in found.items()} == {name: rows[name][case] for name in rows}
