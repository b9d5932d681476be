"""CPU seconds and memory of the check of a register history, from columns in a fresh process.

    python benchmarks/bench_registers.py [--repeated | --stale] [OPERATIONS:KEYS:CLIENTS ...]

By default 100,000 and 1,000,000 operations over 100 keys by 32 clients, and 10,000 and 100,000 over one key. Every
operation takes effect at one moment between its two entries: a third reads, a third writes, a third cas (some fail).
One write in a hundred has an unknown outcome. ``--stale`` plants one stale read in the middle, ``--repeated`` draws the
values from five.
"""

from __future__ import annotations

import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from checkers.register.columns import RegisterEncoder
from checkers.register.consistency import RegisterConsistency
from harness.history import History
from harness.op import Op
from harness.protocols import CheckContext
from harness.recorder import Recorder
from harness.run_folder import COLUMNS, HISTORY

DEFAULT = ("100000:100:32", "1000000:100:32", "10000:1:32", "100000:1:32")
INFO_PER_MILLE = 10


def main(sizes: list[str], options: list[str]) -> None:
    print("  operations  keys  clients   load s  check s    CPU s  peak MB  models")
    for size in sizes:
        with tempfile.TemporaryDirectory() as name:
            operations, keys, clients = (int(part) for part in size.split(":"))
            generate(Path(name), operations, keys, clients, options)
            done = subprocess.run(
                [sys.executable, __file__, "--measure", name], check=True, capture_output=True, text=True
            )
            load, check, total, peak, models = done.stdout.split(maxsplit=4)
            print(
                f"{operations:>12} {keys:>5} {clients:>8} {load:>8} {check:>8} {total:>8} {peak:>8}  {models}", end=""
            )


class Clients:
    """Concurrent clients of registers; what they do takes effect between its invocation and its completion."""

    def __init__(self, keys: int, clients: int, options: list[str]) -> None:
        self.rng = random.Random(keys * clients)
        self.keys = keys
        self.repeated = "--repeated" in options
        self.state: list[int | None] = [None] * keys
        self.threads = list(range(clients))
        self.fresh = clients
        self.values = 0
        self.running: dict[int, tuple] = {}  # process: f, key, value, old, result

    def begin(self, process: int) -> Op:
        rng = self.rng
        key, f = rng.randrange(self.keys), rng.choice(("read", "write", "cas"))
        self.values += 1
        value = rng.randrange(5) if self.repeated else self.values
        self.running[process] = (f, key, value, self.state[key], None)
        asked = None if f == "read" else value if f == "write" else [self.state[key], value]
        return Op(0, 0, process, "invoke", f, [key, asked])

    def take_effect(self, process: int) -> None:
        f, key, value, old, _ = self.running[process]
        now = self.state[key]
        happens = f == "write" or (f == "cas" and now == old)
        if happens:
            self.state[key] = value
        self.running[process] = (f, key, value, old, (now, happens))

    def end(self, thread: int) -> Op:
        process = self.threads[thread]
        f, key, value, old, (now, happens) = self.running.pop(process)
        if f == "read":
            return Op(0, 0, process, "ok", f, [key, now])
        kind = "ok" if happens else "fail"
        if f == "write" and self.rng.randrange(1000) < INFO_PER_MILLE:
            kind = "info"
            self.threads[thread], self.fresh = self.fresh, self.fresh + 1
        return Op(0, 0, process, kind, f, [key, value if f == "write" else [old, value]])


def generate(folder: Path, size: int, keys: int, clients: int, options: list[str]) -> None:
    world = Clients(keys, clients, options)
    made = 0
    stale_at = size // 2 if "--stale" in options else -1
    old: dict[int, int] = {}
    with Recorder(folder / HISTORY, folder / COLUMNS, RegisterEncoder()) as recorder:
        while made < size or world.running:
            thread = world.rng.randrange(clients)
            process = world.threads[thread]
            if process not in world.running:
                if made < size:
                    made += 1
                    op = world.begin(process)
                    recorder.record(op.replace(time=recorder.ops * 1000))
                continue
            if world.running[process][4] is None:
                world.take_effect(process)
                continue
            op = world.end(thread)
            if op.f == "write" and op.type == "ok":
                old.setdefault(op.value[0], op.value[1])
            if made >= stale_at >= 0 and op.f == "read" and op.value[0] in old:
                op = op.replace(value=[op.value[0], old[op.value[0]]])
                stale_at = -1
            recorder.record(op.replace(time=recorder.ops * 1000))


def measure(folder: Path) -> None:
    """Print the CPU seconds of loading, checking and everything, the peak in MB, and the models."""
    begin = time.process_time()
    history = History.load(folder, RegisterEncoder())
    loaded = time.process_time()
    context = CheckContext(models=("linearizable",), deadline=time.monotonic() + 60)
    verdict = RegisterConsistency().check(history, context)
    checked = time.process_time()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    total = usage.ru_utime + usage.ru_stime
    models = " ".join(f"{model}={valid}" for model, valid in verdict.models.items())
    print(f"{loaded - begin:.2f} {checked - loaded:.2f} {total:.2f} {usage.ru_maxrss // 1024} {models}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(Path(sys.argv[2]))
    else:
        arguments = sys.argv[1:]
        chosen = [argument for argument in arguments if argument.startswith("--")]
        main([each for each in arguments if each not in chosen] or list(DEFAULT), chosen)
