"""CPU seconds and memory of `check` on a valid bank history, from the run's folder in a fresh process.

    python benchmarks/bench_check.py [TRANSACTIONS ...]        (default: 100000 1000000)

Goal: 1,000,000 transactions (2,000,000 entries) in at most 8 s of CPU and 1.5 GB, and at most twelve times the CPU of
100,000. The history is made by a serial bank with 20 clients whose operations overlap: 70 % transfers between 8
accounts, 30 % reads of all, 1 % of unknown outcome.
"""

from __future__ import annotations

import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from checkers.bank.columns import BANK_ENCODER
from checkers.bank.strict_serializability import StrictSerializability
from harness.history import History
from harness.op import Op
from harness.protocols import CheckContext
from harness.recorder import Recorder
from harness.run_folder import COLUMNS, HISTORY

ACCOUNTS = 8
CLIENTS = 20
INFO_PER_MILLE = 10


def main(sizes: list[int]) -> None:
    print(f"{'transactions':>12} {'load s':>8} {'check s':>8} {'CPU s':>8} {'peak MB':>8}  valid")
    for size in sizes:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            generate(folder, size)
            done = subprocess.run(
                [sys.executable, __file__, "--measure", name], check=True, capture_output=True, text=True
            )
            load, check, total, peak, valid = done.stdout.split()
            print(f"{size:>12} {load:>8} {check:>8} {total:>8} {peak:>8}  {valid}", flush=True)


def generate(folder: Path, size: int) -> None:
    """A valid history: every operation takes effect at one moment between its two entries."""
    rng = random.Random(size)
    state = [[account, 100, 0, 0, -1] for account in range(ACCOUNTS)]
    running: dict[int, tuple[str, dict, bool]] = {}
    threads = list(range(CLIENTS))
    fresh, made, ts = CLIENTS, 0, 0
    with Recorder(folder / HISTORY, folder / COLUMNS, BANK_ENCODER) as recorder:
        while made < size or running:
            thread = rng.randrange(CLIENTS)
            process = threads[thread]
            now = recorder.ops * 50_000
            if process not in running:
                if made < size:
                    made += 1
                    f, value = _draw(rng, made)
                    recorder.record(Op(0, now, process, "invoke", f, value))
                    running[process] = (f, value, False)
                continue
            f, value, done = running[process]
            ts += 1
            if not done:
                running[process] = (f, _take_effect(state, f, value, ts), True)
                continue
            del running[process]
            if rng.randrange(1000) < INFO_PER_MILLE and f == "transfer":
                recorder.record(Op(0, now, process, "info", f, value | {"commit_ts": None}, "undetermined"))
                threads[thread] = fresh
                fresh += 1
            else:
                recorder.record(Op(0, now, process, "ok", f, value))


def _draw(rng: random.Random, number: int) -> tuple[str, dict]:
    if rng.random() < 0.7:
        source, target = rng.sample(range(ACCOUNTS), 2)
        mode = rng.choice(["optimistic", "pessimistic"])
        return "transfer", {"id": number, "from": source, "to": target, "amount": rng.randint(1, 5), "mode": mode}
    return "read", {"id": number, "via": rng.choice(["batch_get", "scan", "snapshot"])}


def _take_effect(state: list[list[int]], f: str, value: dict, ts: int) -> dict:
    if f == "read":
        return value | {"ts": ts, "read": [list(record) for record in state]}
    reads = [list(state[account]) for account in (value["from"], value["to"])]
    for account, delta in ((value["from"], -value["amount"]), (value["to"], value["amount"])):
        _, balance, version, writer, _ = state[account]
        state[account] = [account, balance + delta, version + 1, value["id"], writer]
    writes = [list(state[account]) for account in (value["from"], value["to"])]
    return value | {"ts": ts, "read": reads, "write": writes, "commit_ts": ts}


def measure(folder: Path) -> None:
    """Print the CPU seconds of loading, checking and everything, the peak in MB, and the verdict."""
    begin = time.process_time()
    history = History.load(folder, BANK_ENCODER)
    loaded = time.process_time()
    verdict = StrictSerializability().check(history, CheckContext())
    checked = time.process_time()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    total = usage.ru_utime + usage.ru_stime
    print(
        f"{loaded - begin:.2f} {checked - loaded:.2f} {total:.2f} {usage.ru_maxrss // 1024} {verdict.valid}",
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(Path(sys.argv[2]))
    else:
        main([int(argument) for argument in sys.argv[1:]] or [100_000, 1_000_000])
