"""One change of the clocks of one process: stop it, look at its clocks, change them, look again, let it go on.

What its clocks show is not taken from what we wrote: the process itself reads them, by a call of its own vDSO, between
two system calls that give true time. So an offset is known to within a microsecond, for every node and every clock.

What a process was told stands in its own memory, behind its vDSO, and nowhere else: a harness that was started anew can
take back what an earlier one did.
"""

from __future__ import annotations

import contextlib
import struct
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from cluster.docker import ptrace
from cluster.docker.host_process import is_frozen
from cluster.docker.ptrace_stop import Stopped
from cluster.docker.vdso import CLOCK_GETTIME, JUMP_SIZE, Vdso, our_vdso, vdso_address
from cluster.docker.vdso_rows import LONGEST_TICK_NS, MONOTONIC, SKEWED, STEADY, TRUE, Clocks
from cluster.docker.vdso_stubs import BLOCK_SIZE, PLACES, block, check_room, clocks_in, jumps
from harness.clock import SECOND
from harness.exit_codes import EnvironmentFailure

Tell = Callable[[Clocks, Mapping[int, int]], Clocks]

_TIMES: Final = struct.Struct("<qqqqqq")  # three timespecs
_COARSE_MONOTONIC = 6


class Sample(msgspec.Struct, frozen=True):
    """A clock as its process read it.

    Attributes:
        before_ns: true time right before.
        reading_ns: what the clock showed.
        after_ns: true time right after.
    """

    before_ns: int
    reading_ns: int
    after_ns: int

    @property
    def offset_ns(self) -> int:
        """How far off it is, to within half of the time that the reading took."""
        return self.reading_ns - (self.before_ns + self.after_ns) // 2


Samples = Mapping[int, Sample]


class Look(msgspec.Struct, frozen=True):
    """What a process's clocks show.

    Attributes:
        clocks: what it was told.
        samples: what it reads, by clock.
    """

    clocks: Clocks
    samples: Samples

    @property
    def agree(self) -> bool:
        """Whether each reading lies between those that are due right before and right after it. No other tolerance."""
        return all(
            row.reading(sample.before_ns) <= sample.reading_ns <= row.reading(sample.after_ns)
            for row, sample in ((self.clocks.rows[clock], sample) for clock, sample in self.samples.items())
        )


class Change(msgspec.Struct, frozen=True):
    """What was done, and what was seen before and after it.

    Attributes:
        before: the clocks as they were.
        after: the clocks as they are now.
        stood_still_ns: how long the process stood still for it.
    """

    before: Look
    after: Look
    stood_still_ns: int


def change(pid: int, tell: Tell) -> Change:
    """Change the clocks of a process to what ``tell(its clocks, true time by clock)`` returns.

    Blocks for some milliseconds, at worst for seconds. To be called by a thread that ends after it, see `ptrace.py`.

    Raises:
        Gone: the process has ended.
        EnvironmentFailure: it cannot be done; nothing has changed then.
    """
    vdso = our_vdso()
    check_room(vdso)
    low = vdso_address(pid)
    _refuse(pid)
    with Stopped(pid, low, low + len(vdso.image)) as stopped:
        page = _Page(stopped, vdso, low)
        clocks = page.clocks()
        try:
            page.prepare(clocks)
            samples = page.samples()
            now = {clock: sample.after_ns for clock, sample in samples.items()}
            told = tell(clocks.settled(now), now)
            _check_positive(told, now)
            if _rates(told) != _rates(clocks):
                _await_tick()
            page.write(told)
            after = page.samples()
            if told == TRUE:
                page.clear()
        except BaseException:
            page.restore()
            raise
        return Change(Look(clocks, samples), Look(told, after), stopped.stood_still_ns)


class _Page:
    """The vDSO of a process that stands still."""

    def __init__(self, stopped: Stopped, vdso: Vdso, low: int) -> None:
        self._stopped = stopped
        self._vdso = vdso
        self._low = low
        self._image = ptrace.read_at(stopped.memory, len(vdso.image), low)

    def clocks(self) -> Clocks:
        if not self._image:
            raise ProcessLookupError
        clocks = clocks_in(self._vdso, self._image) if len(self._image) == len(self._vdso.image) else None
        if clocks is None:
            raise EnvironmentFailure(
                f"the vDSO of process {self._stopped.pid} is not the kernel's (a 32-bit program, or changed by others)"
            )
        return clocks

    def prepare(self, clocks: Clocks) -> None:
        """Lay out our code, without anything that leads to it."""
        if clocks == TRUE:
            self._write(self._vdso.free, block(clocks))

    def write(self, clocks: Clocks) -> None:
        """The jumps come last, and go first."""
        if clocks == TRUE:
            for entry in jumps(self._vdso):
                self._write(entry, self._vdso.image[entry : entry + JUMP_SIZE])
        else:
            self._write(self._vdso.free, block(clocks))
            for entry, jump in jumps(self._vdso).items():
                self._write(entry, jump)

    def clear(self) -> None:
        """Take our code away, to which nothing leads any more: the vDSO is again as the kernel made it."""
        self._write(self._vdso.free, bytes(BLOCK_SIZE))

    def restore(self) -> None:
        """Put back what was there at first, if the process is still there."""
        with contextlib.suppress(OSError):
            for entry in self._vdso.entries.values():
                self._write(entry, self._image[entry : entry + JUMP_SIZE])
            self._write(self._vdso.free, self._image[self._vdso.free : self._vdso.free + BLOCK_SIZE])

    def samples(self) -> dict[int, Sample]:
        """Let the process read all its clocks, by the function that its own code calls."""
        arguments = {
            "r12": self._low + self._vdso.entries[CLOCK_GETTIME],
            "r13": int.from_bytes(bytes(SKEWED), "little"),
            "r14": len(SKEWED),
        }
        code = self._low + self._vdso.free + PLACES["probe"]
        written = self._stopped.call(code, _TIMES.size * len(SKEWED), arguments)
        return {clock: _sample(times) for clock, times in zip(SKEWED, _TIMES.iter_unpack(written), strict=True)}

    def _write(self, at: int, data: bytes) -> None:
        ptrace.write_at(self._stopped.memory, data, self._low + at)


def _sample(times: tuple[int, ...]) -> Sample:
    return Sample(*(times[k] * SECOND + times[k + 1] for k in (0, 2, 4)))


def _refuse(pid: int) -> None:
    if is_frozen(pid):
        raise EnvironmentFailure(f"process {pid} is frozen: its clocks can be changed only while it runs")
    try:
        same = Path(f"/proc/{pid}/ns/time").readlink() == Path("/proc/self/ns/time").readlink()
    except FileNotFoundError:
        same = Path(f"/proc/{pid}").exists()  # a kernel without namespaces of time
    except OSError:
        return  # what else is wrong will be found out
    if not same:
        raise EnvironmentFailure(f"process {pid} is gone, or has a time namespace of its own, which is not supported")


def _check_positive(clocks: Clocks, now: Mapping[int, int]) -> None:
    if min(clocks.rows[clock].reading(now[clock]) for clock in STEADY) < 0:
        up = now[MONOTONIC] / SECOND
        raise EnvironmentFailure(f"this machine is up for {up:.0f} s: no monotonic clock can be set back further")


def _rates(clocks: Clocks) -> list[tuple[int, int]]:
    return [(row.ppm, row.since_ns) for row in clocks.rows]


def _await_tick() -> None:
    """Wait until the coarse clocks show a time that is not before now, when the rate changes.

    They stand at the last tick, up to some ms ago. At that time the new rate was not yet that of their fine clocks.
    """
    now = time.clock_gettime_ns(MONOTONIC)
    while time.clock_gettime_ns(_COARSE_MONOTONIC) < now and time.clock_gettime_ns(MONOTONIC) < now + LONGEST_TICK_NS:
        pass
