"""The clocks of a cluster's processes: skewed one process at a time, from outside, and read as the process reads them.

Containers share the machine's clock, which is never touched: what is changed is the code by which one process reads
it (`clock_change.py`). A process that starts begins with true time, whatever its predecessor was told.
"""

from __future__ import annotations

import asyncio
import platform
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

import msgspec

from cluster.api import Capability, Evidence
from cluster.docker.clock_change import Change, Look, Tell, change
from cluster.docker.host_process import CAP_SYS_PTRACE, holds
from cluster.docker.vdso import our_vdso
from cluster.docker.vdso_rows import LARGEST_PPM, MONOTONIC, REALTIME, RETURN_PPM, TRUE, Clocks
from cluster.docker.vdso_stubs import check_room
from harness.clock import MILLISECOND, SECOND
from harness.exit_codes import EnvironmentFailure, UsageError

T = TypeVar("T")

_RATE_S: Final = 0.1  # between the two readings that show a rate
_VAGUE_PPM: Final = 100  # an error of a measured rate that still leaves it clear, or a quarter of the rate
_LONGEST_OFFSET_NS: Final = 10 * 365 * 86_400 * SECOND
_OUR_CHILD: Final = (sys.executable, "-I", "-S", "-c", "import time; time.sleep(30)")


class ProcessClocks:
    """Changes the clocks of processes of this machine, and remembers by process id what each was told last.

    Each change stops the process for a few milliseconds, and does nothing else to it. A change of one process waits for
    that of another. While a process is being frozen or killed on purpose, it should not be changed.

    Every method that changes something raises EnvironmentFailure, in one sentence, and has changed nothing then: the
    process has ended (``Gone``), is frozen, is traced by a debugger, is not ours to stop.
    """

    def __init__(self) -> None:
        self._told: dict[int, Clocks] = {}
        self._one_at_a_time = asyncio.Lock()
        self._capability: Capability | None = None

    def capability(self) -> Capability:
        """Whether it works here, tried once on a process of our own. Blocks for a tenth of a second."""
        if self._capability is None:
            try:
                _try()
                self._capability = Capability(True)
            except (EnvironmentFailure, OSError) as error:
                self._capability = Capability(False, str(error))
        return self._capability

    async def skew(self, pid: int, offset_ns: int) -> Evidence:
        """Set the wall clock of a process to true time plus ``offset_ns``; 0 takes that away."""
        _check_offset(offset_ns)
        done = await self._change(pid, lambda clocks, _: clocks.with_wall(offset_ns))
        return _evidence(done, {"asked_ms": _ms(offset_ns)})

    async def step_monotonic(self, pid: int, offset_ns: int) -> Evidence:
        """Step the monotonic clocks of a process by ``offset_ns``, on top of earlier steps."""
        _check_offset(offset_ns)
        done = await self._change(pid, lambda clocks, _: clocks.with_step(offset_ns))
        return _evidence(done, {"asked_ms": _ms(offset_ns)})

    async def drift(self, pid: int, ppm: int) -> Evidence:
        """Let the wall clock and the monotonic ones of a process run fast by ``ppm``, slow if negative; 0 ends that.

        At the end the wall clock is at once where ``skew`` wants it. The monotonic ones, which must neither go back nor
        step, return by running slow (or fast) by 2 % until they show true time again; ``monotonic_true_in_s`` says how
        long that takes.
        """
        if abs(ppm) > LARGEST_PPM:
            raise UsageError(
                f"a clock cannot be made to run off by more than {LARGEST_PPM} ppm, and {ppm} were asked for"
            )
        done = await self._change(pid, lambda clocks, true_ns: clocks.with_rate(ppm, true_ns))
        await asyncio.sleep(_RATE_S)
        later = (await self._change(pid, lambda clocks, _: clocks)).before
        wall, monotonic = (_Rate.between(done.after, later, clock) for clock in (REALTIME, MONOTONIC))
        measured: dict[str, Any] = {
            "asked_ppm": ppm,
            "wall_ppm": round(wall.ppm),
            "monotonic_ppm": round(monotonic.ppm),
        }
        if not ppm:
            returning = done.after.clocks.rows[MONOTONIC]
            measured["monotonic_true_in_s"] = round(returning.limit_ns / RETURN_PPM / 1000, 1)
        evidence = _evidence(done, measured)
        shown = wall.shows(ppm) and (not ppm or monotonic.shows(ppm))
        evidence.verified = evidence.verified and later.agree and shown
        return evidence

    async def look(self, pid: int) -> Evidence:
        """Read the clocks of a process, and change nothing."""
        return _evidence(await self._change(pid, lambda clocks, _: clocks), {})

    def needs_restart(self, pid: int) -> bool:
        """Whether its monotonic clocks were stepped ahead: without a step back only a restart undoes that."""
        return self._told.get(pid, TRUE).steady_ns > 0

    def forget(self, pid: int) -> None:
        """The process has ended."""
        self._told.pop(pid, None)

    async def _change(self, pid: int, tell: Tell) -> Change:
        async with self._one_at_a_time:
            return await _in_a_thread(lambda: self._change_and_remember(pid, tell))

    def _change_and_remember(self, pid: int, tell: Tell) -> Change:
        done = change(pid, tell)
        self._told[pid] = done.after.clocks
        return done


async def _in_a_thread(work: Callable[[], T]) -> T:
    """Do it in a thread that has ended when this returns, or raises: the kernel then lets go of all it traced.

    A cancellation waits for it, which takes some milliseconds, and blocks meanwhile.
    """
    with ThreadPoolExecutor(1) as thread:
        return await asyncio.get_running_loop().run_in_executor(thread, work)


def _try() -> None:
    """Skew a child of our own, and put it right.

    Raises:
        EnvironmentFailure: that does not work here.
    """
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise EnvironmentFailure("clocks of processes can be skewed on Linux on x86-64 only")
    check_room(our_vdso())
    if not holds(CAP_SYS_PTRACE):  # a child of our own would let us, but the servers in containers are root's
        raise EnvironmentFailure("clocks of other users' processes, such as those in containers, need root on the host")
    with (
        subprocess.Popen(_OUR_CHILD, stdin=subprocess.DEVNULL) as child,  # noqa: S603  (our own interpreter)
        ThreadPoolExecutor(1) as thread,
    ):
        try:
            for clocks in (TRUE.with_wall(3600 * SECOND).with_step(SECOND), TRUE):
                done = thread.submit(change, child.pid, lambda *_, clocks=clocks: clocks).result()
                if not done.after.agree:
                    raise EnvironmentFailure("a process of our own does not show the time that it was told")
        finally:
            child.kill()


def _evidence(done: Change, measured: dict[str, Any]) -> Evidence:
    wall, monotonic = (
        {"before": _ms(done.before.samples[clock].offset_ns), "after": _ms(done.after.samples[clock].offset_ns)}
        for clock in (REALTIME, MONOTONIC)
    )
    measured = {
        **measured,
        "wall_before_ms": wall["before"],
        "wall_ms": wall["after"],
        "monotonic_before_ms": monotonic["before"],
        "monotonic_ms": monotonic["after"],
        "stood_still_ms": _ms(done.stood_still_ns),
    }
    return Evidence(done.after.agree, measured)


class _Rate(msgspec.Struct, frozen=True):
    """How fast a clock ran, and how much that may be wrong, since readings take time."""

    ppm: float
    error_ppm: float

    @staticmethod
    def between(first: Look, second: Look, clock: int) -> _Rate:
        a, b = first.samples[clock], second.samples[clock]
        millionths = (b.before_ns - a.before_ns) / 1_000_000
        widths = (a.after_ns - a.before_ns) + (b.after_ns - b.before_ns)
        return _Rate((b.offset_ns - a.offset_ns) / millionths, widths / millionths)

    def shows(self, ppm: int) -> bool:
        return abs(self.ppm - ppm) <= self.error_ppm <= max(_VAGUE_PPM, abs(ppm) / 4)


def _check_offset(offset_ns: int) -> None:
    if abs(offset_ns) > _LONGEST_OFFSET_NS:
        raise UsageError(f"a clock cannot be set {offset_ns / SECOND:.0f} s off: ten years are the limit")


def _ms(ns: int) -> float:
    return round(ns / MILLISECOND, 3) + 0.0  # without a -0.0
