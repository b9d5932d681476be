"""ptrace(2) and what goes with it, call by call, for one thread of another process at a time.

All these calls keep Python's global lock, on purpose. Between the first and the last of them a process stands still.
Would each give the lock away, a busy event loop could keep it for 5 ms every time (``sys.getswitchinterval``).

The kernel ties a traced thread to the thread that traces it, and lets go of it when that one ends.
"""

from __future__ import annotations

import ctypes
import os
import time
from typing import Final, Literal

import msgspec

_LIBC = ctypes.PyDLL(None, use_errno=True)
_LIBC.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
_LIBC.ptrace.restype = ctypes.c_long
_LIBC.waitid.argtypes = (ctypes.c_int, ctypes.c_uint, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
_LIBC.pread.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_long)
_LIBC.pread.restype = ctypes.c_ssize_t
_LIBC.pwrite.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_long)
_LIBC.pwrite.restype = ctypes.c_ssize_t
_LIBC.usleep.argtypes = (ctypes.c_uint,)

_CONT, _SINGLESTEP, _GETREGS, _SETREGS, _DETACH = 7, 9, 12, 13, 17
_SETOPTIONS, _SEIZE, _INTERRUPT, _GETSIGMASK, _SETSIGMASK = 0x4200, 0x4206, 0x4207, 0x420A, 0x420B
_O_EXITKILL = 1 << 20
_EVENT_STOP = 128
_P_PID = 1
_WNOHANG, _WSTOPPED, _WEXITED, _WNOWAIT, _WNOTHREAD, _WALL = 1, 2, 4, 0x0100_0000, 0x2000_0000, 0x4000_0000
_CLD_TRAPPED, _CLD_STOPPED = 4, 5
_SPIN_S, _NAP_US = 0.0003, 15
_GREEDY_S = 0.002  # so long is the lock kept while waiting

# All but SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV: of those that the processor raises the kernel takes the handler away
# where they are blocked.
_ASYNCHRONOUS: Final = ~sum(1 << (number - 1) for number in (4, 5, 7, 8, 11)) & 2**64 - 1


class Registers(ctypes.Structure):
    """``struct user_regs_struct``."""

    _fields_ = [
        (name, ctypes.c_ulonglong)
        for name in (
            *("r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi", "rdi"),
            *("orig_rax", "rip", "cs", "eflags", "rsp", "ss", "fs_base", "gs_base", "ds", "es", "fs", "gs"),
        )
    ]

    def copy(self) -> Registers:
        """The same values, to be changed."""
        return Registers.from_buffer_copy(self)


class State(msgspec.Struct, frozen=True):
    """What a traced thread does.

    Attributes:
        what: it runs (or cannot stop now), stands still, is about to get a signal, or has ended.
        signal: which one it is about to get.
    """

    what: Literal["runs", "stopped", "signal", "ended"]
    signal: int = 0


_RUNS, _STOPPED, _ENDED = State("runs"), State("stopped"), State("ended")


def _call(request: int, tid: int, addr: int | None = None, data: object = None) -> None:
    if _LIBC.ptrace(request, tid, addr, data) == -1:
        error = ctypes.get_errno()
        raise OSError(error, f"ptrace request {request:#x} for thread {tid}: {os.strerror(error)}")


def seize(tid: int) -> None:
    """Trace a thread, which runs on. Raises ProcessLookupError, PermissionError."""
    _call(_SEIZE, tid)


def interrupt(tid: int) -> None:
    """Ask it to stop; ``state`` says when it has."""
    _call(_INTERRUPT, tid)


def resume(tid: int, signal: int = 0) -> None:
    """Let a stopped one run, with that signal."""
    _call(_CONT, tid, None, signal)


def step(tid: int) -> None:
    """Let it do one instruction."""
    _call(_SINGLESTEP, tid)


def detach(tid: int) -> None:
    """Let go of a stopped one; it runs on as if nothing had been."""
    _call(_DETACH, tid)


def registers(tid: int) -> Registers:
    """Those of a stopped thread."""
    found = Registers()
    _call(_GETREGS, tid, None, ctypes.addressof(found))
    return found


def set_registers(tid: int, wanted: Registers) -> None:
    """Change them all."""
    _call(_SETREGS, tid, None, ctypes.addressof(wanted))


def blocked_signals(tid: int) -> int:
    """The signals it has blocked, one bit each."""
    mask = ctypes.c_ulonglong()
    _call(_GETSIGMASK, tid, 8, ctypes.addressof(mask))
    return mask.value


def block_signals(tid: int, mask: int = _ASYNCHRONOUS) -> None:
    """Block these; without ``mask`` all that come from outside."""
    _call(_SETSIGMASK, tid, 8, ctypes.addressof(ctypes.c_ulonglong(mask)))


def die_with_us(tid: int, on: bool) -> None:
    """Let the kernel kill its process if we end while we trace it."""
    _call(_SETOPTIONS, tid, None, _O_EXITKILL if on else 0)


def state(tid: int, group: int) -> State:
    """What a traced thread of process ``group`` does now; never blocks."""
    info = (ctypes.c_int * 32)()
    flags = _WNOHANG | _WSTOPPED | _WEXITED | _WNOWAIT | _WNOTHREAD | _WALL
    if _LIBC.waitid(_P_PID, tid, ctypes.addressof(info), flags, None) == -1:
        return _ENDED  # by an error there is no such child
    code, pid, status = info[2], info[4], info[6]
    if pid == 0:
        return _RUNS
    if code not in {_CLD_TRAPPED, _CLD_STOPPED}:
        if tid != group:  # nobody else ever waits for it; the process itself is its parent's to bury
            _LIBC.waitid(_P_PID, tid, ctypes.addressof(info), flags & ~_WNOWAIT, None)
        return _ENDED
    return _STOPPED if status >> 8 == _EVENT_STOP else State("signal", status & 0x7F)


def nap(waiting_since: float) -> None:
    """Wait a little, the longer the longer it takes already. ``waiting_since``: of ``time.monotonic``."""
    waited = time.monotonic() - waiting_since
    if waited < _SPIN_S:
        _LIBC.sched_yield()
    elif waited < _GREEDY_S:
        _LIBC.usleep(_NAP_US)
    else:
        time.sleep(0.0005)


def read_at(descriptor: int, size: int, at: int) -> bytes:
    """Read up to ``size`` bytes of a file or of a process's memory (``/proc/PID/mem``); as many as there are."""
    buffer = ctypes.create_string_buffer(size)
    found = _LIBC.pread(descriptor, buffer, size, at)
    if found < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"reading {size} bytes at {at:#x}: {os.strerror(error)}")
    return buffer.raw[:found]


def write_at(descriptor: int, data: bytes, at: int) -> None:
    """Write all of ``data``, also where a process itself may only read."""
    written = _LIBC.pwrite(descriptor, data, len(data), at)
    if written != len(data):
        error = ctypes.get_errno() if written < 0 else 0
        raise OSError(error, f"writing {len(data)} bytes at {at:#x}: {os.strerror(error) if error else 'cut short'}")
