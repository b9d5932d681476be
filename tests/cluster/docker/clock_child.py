"""A process that says what its clocks show: run as a program the child, imported the other end of its pipes."""

import ctypes
import json
import subprocess
import sys
import time
from pathlib import Path

from cluster.docker.vdso_rows import SKEWED

CPU_CLOCKS = (2, 3)  # of the process, of the thread


class Child:
    """Ask it with ``ask("an expression")``, which is evaluated among the functions below."""

    def __init__(self):
        command = [sys.executable, __file__]
        root = Path(__file__).parents[3]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root)
        self.pid = self.process.pid
        self.ask("0")

    def ask(self, expression):
        self.send(expression)
        return self.answer()

    def send(self, expression):
        self.process.stdin.write(expression + "\n")
        self.process.stdin.flush()

    def answer(self):
        return json.loads(self.process.stdout.readline())

    def offsets_ms(self, clocks=SKEWED):
        """How far off each clock is, to the nearest tenth of a millisecond, as the child's own code reads it."""
        return {clock: round(self.ask(f"offset({clock})") / 1e6, 1) for clock in clocks}

    def status(self, field):
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith(f"{field}:"))

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


# What the child can be asked.


class _Timespec(ctypes.Structure):
    _fields_ = [("s", ctypes.c_long), ("ns", ctypes.c_long)]


_LIBC = ctypes.CDLL(None)
_LIBC.time.restype = ctypes.c_long


def true(clock):
    """The time from the kernel itself."""
    out = _Timespec()
    assert _LIBC.syscall(228, clock, ctypes.byref(out)) == 0
    return out.s * 10**9 + out.ns


def offset(clock):
    """In ns, from the quickest of a few readings."""
    readings = [(true(clock), time.clock_gettime_ns(clock), true(clock)) for _ in range(20)]
    before, reading, after = min(readings, key=lambda times: times[2] - times[0])
    return reading - (before + after) // 2


def gettimeofday():
    """True time, what gettimeofday says, true time, in ns."""
    before, out = true(0), _Timespec()
    assert _LIBC.gettimeofday(ctypes.byref(out), None) == 0
    assert 0 <= out.ns < 10**6
    return before, out.s * 10**9 + out.ns * 1000, true(0)


def seconds():
    """The coarse clock, what time() says in both its ways, the coarse clock again, in seconds."""
    before, out = true(5) // 10**9, ctypes.c_long()
    said = _LIBC.time(ctypes.byref(out))
    return before, said, out.value, true(5) // 10**9


def asleep(seconds_):
    """How long a sleep takes in true time."""
    before = true(1)
    time.sleep(seconds_)
    return (true(1) - before) / 1e9


if __name__ == "__main__":
    for line in sys.stdin:
        sys.stdout.write(json.dumps(eval(line)) + "\n")
        sys.stdout.flush()
