"""All threads of a process stand still, none of them inside a certain piece of its code, and then all go on.

What is checked before the code may be changed:

- Every thread stands still; a thread that was born meanwhile is found by the kernel's count of them.
- No thread executes the code. One that does is let on, instruction by instruction, until it has left it.
- No thread returns into the code from a signal handler (Go interrupts itself with SIGURG, anywhere). The kernel has
  put what a handler returns to on the stack, in a frame of known layout. Such frames are looked for in the 32 KiB
  above each thread's stack pointer; that is as much as Go gives a handler at all. Where there is one, all threads go
  on, and a little later everything is tried again. What is not looked for: a frame further up, and code whose handler
  has been left by longjmp or by switching stacks.

Whatever happens, an error included, the threads go on. The kernel sees to that, too: see `ptrace.py`. So every change
is done by a thread that ends after it.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from cluster.docker import ptrace
from cluster.docker.host_process import Gone
from harness.exit_codes import EnvironmentFailure

STOP_S: Final = 1.0  # the longest that a process may have to wait for its slowest thread
CLEAR_S: Final = 2.0  # so long we try to meet it at a moment when no handler returns into the code
_CALL_S = 5.0
_LONGEST_STEPS = 20_000
_STACK = 32 << 10
_WINDOW = 1 << 10  # what a call may use of a thread's stack
_PAGE = 4096
_SIGTRAP = 5
_NO_SYSTEM_CALL = 2**64 - 1

# Of the frame of a signal handler, in words of 8 bytes: the alternative stack's address and size, rip, and cs.
_ALT_STACK, _ALT_SIZE, _RIP, _CS = 3, 5, 22, 24
_USER_CS = 0x33


class Stopped:
    """A context manager; within it all threads of a process stand still, outside of ``low <= rip < high``.

    To be used by a thread that ends soon after, and by no other.

    Raises:
        Gone: the process has ended.
        EnvironmentFailure: it cannot be stopped here and now; the message says why.
    """

    def __init__(self, pid: int, low: int, high: int) -> None:
        self.pid = pid
        self._low = low
        self._high = high
        self._threads: dict[int, bool] = {}  # those we trace, and whether they stand still
        self._buried: set[int] = set()  # a main thread that has ended before the others
        self._memory = -1
        self._stat = -1
        self._since = 0.0

    @property
    def memory(self) -> int:
        """Its memory, as a file descriptor for ``ptrace.read_at`` and ``write_at``."""
        return self._memory

    @property
    def stood_still_ns(self) -> int:
        """How long it has been standing still."""
        return round((time.monotonic() - self._since) * 1e9)

    def __enter__(self) -> Self:
        try:
            self._open()
            self._stop_outside()
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._release()
        for descriptor in (self._memory, self._stat):
            if descriptor >= 0:
                os.close(descriptor)
        self._memory = self._stat = -1
        if isinstance(error, ProcessLookupError):
            raise Gone(self.pid) from None
        if isinstance(error, OSError):
            raise EnvironmentFailure(f"process {self.pid} cannot be worked on: {error}") from error

    def _open(self) -> None:
        try:
            self._stat = os.open(f"/proc/{self.pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
            self._memory = os.open(f"/proc/{self.pid}/mem", os.O_RDWR | os.O_CLOEXEC)
        except (FileNotFoundError, ProcessLookupError):
            raise Gone(self.pid) from None
        except PermissionError:
            raise EnvironmentFailure(f"the memory of process {self.pid} may not be written: are you root?") from None

    # Stopping.

    def _stop_outside(self) -> None:
        deadline = time.monotonic() + CLEAR_S
        pause = 0.001
        while True:
            self._stop()
            self._step_out()
            if not any(self._returns_into(tid) for tid in self._threads):
                return
            self._release()
            if time.monotonic() > deadline:
                raise EnvironmentFailure(f"a signal handler of process {self.pid} does not come to its end")
            time.sleep(pause)
            pause = min(2 * pause, 0.05)

    def _stop(self) -> None:
        self._since = 0.0  # not yet: to list and seize its threads gives Python's global lock away, and it still runs
        self._buried.clear()
        deadline = time.monotonic() + STOP_S
        while True:
            try:
                tids = [int(task.name) for task in Path(f"/proc/{self.pid}/task").iterdir()]
            except (FileNotFoundError, ProcessLookupError):
                raise Gone(self.pid) from None
            new = [tid for tid in tids if tid not in self._threads and tid not in self._buried]
            for tid in new:
                self._attach(tid)
            self._since = self._since or time.monotonic()
            running = [tid for tid, still in self._threads.items() if not still]
            for tid in running:
                with contextlib.suppress(ProcessLookupError):
                    ptrace.interrupt(tid)
            for tid in running:
                self._await_stop(tid, deadline)
            if not self._threads:
                raise Gone(self.pid)
            # The kernel's count, which is one file to read, instead of a list of all of them.
            if self._count() == len(self._threads) + len(self._buried):
                return
            if time.monotonic() > deadline:
                raise EnvironmentFailure(f"process {self.pid} makes threads faster than they can be stopped")

    def _attach(self, tid: int) -> None:
        try:
            ptrace.seize(tid)
        except ProcessLookupError:
            return
        except PermissionError:
            state = _status(self.pid, tid)
            if state.get("State", "Z")[0] in "ZX":
                self._buried.add(tid)
                return
            tracer = state.get("TracerPid", "0")
            by = f"process {tracer} traces it" if tracer != "0" else "root or CAP_SYS_PTRACE is needed"
            raise EnvironmentFailure(f"process {self.pid} cannot be stopped: {by}") from None
        self._threads[tid] = False

    def _await_stop(self, tid: int, deadline: float) -> None:
        since = time.monotonic()
        while (state := ptrace.state(tid, self.pid)).what != "stopped":
            if state.what == "ended":
                del self._threads[tid]
                return
            if state.what == "signal":
                with contextlib.suppress(ProcessLookupError):
                    ptrace.resume(tid, state.signal)  # it goes to its handler, and stops there
            now = time.monotonic()
            if now - since > 0.01 and _status(self.pid, tid).get("State", "X")[0] in "ZX":
                del self._threads[tid]
                self._buried.add(tid)
                return
            if now > deadline:
                why = "it is frozen or waits for a device"
                raise EnvironmentFailure(f"thread {tid} of process {self.pid} did not stop within {STOP_S:g} s: {why}")
            ptrace.nap(since)
        self._threads[tid] = True

    def _count(self) -> int:
        fields = ptrace.read_at(self._stat, 4096, 0).rpartition(b")")[2].split()
        return int(fields[17]) if len(fields) > 17 else 0  # proc(5): num_threads

    def _release(self) -> None:
        for tid in self._threads:
            # Of one that does not stand still the kernel lets go when our own thread ends.
            with contextlib.suppress(OSError):
                ptrace.detach(tid)
        self._threads.clear()

    # No thread inside.

    def _step_out(self) -> None:
        for tid in self._threads:
            if self._low <= ptrace.registers(tid).rip < self._high:
                self._step_thread_out(tid)

    def _step_thread_out(self, tid: int) -> None:
        blocked = ptrace.blocked_signals(tid)
        ptrace.block_signals(tid)
        try:
            for _ in range(_LONGEST_STEPS):
                ptrace.step(tid)
                self._await_trap(tid, ptrace.step)
                if not self._low <= ptrace.registers(tid).rip < self._high:
                    return
        finally:
            ptrace.block_signals(tid, blocked)
        raise EnvironmentFailure(f"thread {tid} of process {self.pid} does not leave its vDSO")

    def _await_trap(self, tid: int, go_on: Callable[[int], None]) -> int:
        """Wait until the processor has raised a signal in it; return which one."""
        since = time.monotonic()
        while (state := ptrace.state(tid, self.pid)).what != "signal":
            if state.what == "ended":
                raise ProcessLookupError
            if state.what == "stopped":
                go_on(tid)  # somebody stops or continues the whole process
            if time.monotonic() - since > _CALL_S:
                raise EnvironmentFailure(f"thread {tid} of process {self.pid} does not go on: it was frozen meanwhile")
            ptrace.nap(since)
        return state.signal

    def _returns_into(self, tid: int) -> bool:
        pointer = ptrace.registers(tid).rsp + 7 & ~7
        stack = ptrace.read_at(self._memory, _STACK, pointer)
        for at in self._addresses_in(stack):
            if self._low <= _word(stack, at) < self._high and _is_frame(stack, at - 8 * _RIP, pointer):
                return True
        return False

    def _addresses_in(self, stack: bytes) -> Iterator[int]:
        """Where in it there may be addresses of the code: words that are the same in their upper six bytes.

        numpy would be as short, but gives Python's global lock away: 5 ms a thread beside a busy event loop.
        """
        for upper in {self._low >> 16, max(self._low, self._high - 1) >> 16}:
            pattern = upper.to_bytes(6, "little")
            at = stack.find(pattern)
            while at >= 0:
                if at % 8 == 2:
                    yield at - 2
                at = stack.find(pattern, at + 1)

    # Calls.

    def call(self, rip: int, buffer_size: int, arguments: dict[str, int]) -> bytes:
        """Let one of its threads run code of the process that ends with a trap; return what it wrote.

        Args:
            rip: where the code begins.
            buffer_size: the size of a buffer on the stack, to which rbx points; at most half a KiB.
            arguments: other registers.

        Everything is put back then: registers, the thread's signals and what was overwritten of its stack. A system
        call that the thread was in begins again where the kernel can have that.
        """
        tid = self._caller()
        saved, blocked = ptrace.registers(tid), ptrace.blocked_signals(tid)
        # Within the page of the stack pointer: that one there certainly is.
        base = min(saved.rsp & ~15, (saved.rsp | _PAGE - 1) + 1 - _WINDOW)
        stack = ptrace.read_at(self._memory, _WINDOW, base)
        wanted = saved.copy()
        for name, value in {
            **arguments,
            "rip": rip,
            "rbx": base,
            "rsp": base + _WINDOW,
            "orig_rax": _NO_SYSTEM_CALL,
        }.items():
            setattr(wanted, name, value)
        ptrace.die_with_us(tid, on=True)  # rather than go on with registers that are not its own
        ptrace.block_signals(tid)
        ptrace.set_registers(tid, wanted)
        ptrace.resume(tid)
        signal = self._await_trap(tid, ptrace.resume)
        written = ptrace.read_at(self._memory, buffer_size, base)
        ptrace.write_at(self._memory, stack, base)
        ptrace.set_registers(tid, saved)
        ptrace.block_signals(tid, blocked)
        ptrace.die_with_us(tid, on=False)
        if signal != _SIGTRAP:
            raise EnvironmentFailure(f"process {self.pid} cannot be asked for the time: it got signal {signal}")
        return written

    def _caller(self) -> int:
        """A thread in a system call, if there is one: that is in no section that must not be interrupted (rseq(2))."""
        for tid in self._threads:
            if ptrace.registers(tid).orig_rax < _NO_SYSTEM_CALL:
                return tid
        return next(iter(self._threads))


def _word(stack: bytes, at: int) -> int:
    return int.from_bytes(stack[at : at + 8], "little")


def _is_frame(stack: bytes, start: int, pointer: int) -> bool:
    """Whether a frame of a handler begins there, of a handler that the thread is in.

    Another thread's alternative stack may lie above, with what an earlier handler has left on it.
    """
    if start < 0 or _word(stack, start + 8 * _CS) & 0xFFFF != _USER_CS:
        return False
    low, size = _word(stack, start + 8 * _ALT_STACK), _word(stack, start + 8 * _ALT_SIZE)
    on_it = low <= pointer + start < low + size
    return not on_it or low <= pointer < low + size


def _status(pid: int, tid: int) -> dict[str, str]:
    """The fields of ``/proc/PID/task/TID/status``; none if it is gone."""
    try:
        lines = Path(f"/proc/{pid}/task/{tid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
