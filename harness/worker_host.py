"""Starts client processes quickly: a process that has imported all they need, and forks one whenever it is asked to.

The standard library's fork server would import the caller's main module again in each of them, which costs time and,
where that is a script, runs it again. This one imports the workload and nothing of the caller's. tikv-client is
imported by the forked processes only: its threads would not survive a fork.

Whatever ends the harness, kill -9 too, ends all of them: the host ends when the harness does, they end when the host
does, and each ends when its own socket is closed.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Final, NoReturn

import msgspec

from harness.limits import die_with_parent
from harness.worker_messages import Job
from harness.worker_process import load_workload, run_worker

_PROGRAM: Final = """\
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from harness.worker_host import serve
serve(*sys.argv[2:])
"""
_STDERR: Final = 2
END_S: Final = 5.0  # for the host to end when it is not needed any more


class WorkerHost:
    """The harness's side: a host for one run.

    Args:
        job: what its processes are for.
        log: the file to which the host's and its processes' standard error is appended; None: it is the harness's own.
    """

    def __init__(self, job: Job, log: Path | None = None) -> None:
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        paths = msgspec.json.encode([path or str(Path.cwd()) for path in sys.path]).decode()
        words = [paths, msgspec.json.encode(job).decode(), str(there.fileno()), str(os.getpid())]
        with contextlib.ExitStack() as stack:
            stack.enter_context(there)
            errors = None if log is None else stack.enter_context(log.open("ab"))
            self._process = subprocess.Popen(  # noqa: S603 (ourselves)
                [sys.executable, "-c", _PROGRAM, *words],
                stdin=subprocess.DEVNULL,
                stdout=errors or _STDERR,
                stderr=errors,
                pass_fds=[there.fileno()],
                start_new_session=True,  # an interrupt from the terminal is for the harness alone
            )
        self._control = here

    def start(self) -> socket.socket:
        """Ask for a new process; return the socket to it, which breaks if there will be none."""
        ours, theirs = socket.socketpair()
        with theirs, contextlib.suppress(OSError):  # the host is dead: so is the socket then
            socket.send_fds(self._control, [b"!"], [theirs.fileno()])
        return ours

    def close(self) -> None:
        """End the host and all its processes, now."""
        self._control.close()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def serve(job_json: str, control_fd: str, harness_pid: str) -> NoReturn:
    """Be the host, until the harness closes the socket or ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the processes are not waited for
    die_with_parent(int(harness_pid))
    job = msgspec.json.decode(job_json, type=Job)
    load_workload(job)  # imports it
    gc.collect()
    gc.freeze()  # what is shared by the fork stays shared
    host_pid = os.getpid()
    with socket.socket(fileno=int(control_fd)) as control:
        while True:
            asked, fds, _, _ = socket.recv_fds(control, 1, 1)
            if not asked:
                os._exit(0)  # takes the processes with it
            with contextlib.suppress(OSError):  # no fork now: the closed socket tells
                if os.fork() == 0:
                    _be_worker(job, fds[0], control, host_pid)
            for fd in fds:
                os.close(fd)


def _be_worker(job: Job, fd: int, control: socket.socket, host_pid: int) -> NoReturn:
    try:
        control.close()
        die_with_parent(host_pid)
        run_worker(job, socket.socket(fileno=fd))
    except BaseException:  # noqa: BLE001 (nothing may get past here)
        traceback.print_exc()
    finally:
        os._exit(1)
