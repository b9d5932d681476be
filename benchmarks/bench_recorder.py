"""How fast the recorder writes bank operations with their columns, and how fast a history is read again.

    python benchmarks/bench_recorder.py [TRANSACTIONS]

The targets: 100,000 operations recorded a second; 1,000,000 transactions read from a run folder in 2.5 s of CPU.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from checkers.bank.columns import BANK_ENCODER
from harness.history import History
from harness.op import Op
from harness.recorder import Recorder

ACCOUNTS = 8
PROCESSES = 10


def bank_ops(transactions: int) -> Iterator[Op]:
    """Transfers one after the other, every tenth transaction a read of all accounts."""
    records = [[account, 1000, 0, 0, -1] for account in range(ACCOUNTS)]
    for number in range(1, transactions + 1):
        process = number % PROCESSES
        now = number * 20_000_000
        ts = (now // 1_000_000) << 18
        if number % 10 == 0:
            value: dict[str, object] = {"id": number, "via": "batch_get"}
            yield Op(0, now, process, "invoke", "read", value)
            yield Op(0, now + 5_000_000, process, "ok", "read", {**value, "ts": ts, "read": records})
            continue
        source, target = number % ACCOUNTS, (number * 3 + 1) % ACCOUNTS
        if source == target:
            target = (target + 1) % ACCOUNTS
        value = {"id": number, "from": source, "to": target, "amount": 3, "mode": "optimistic"}
        yield Op(0, now, process, "invoke", "transfer", value)
        read = [records[source], records[target]]
        write = [[a, b, version + 1, number, writer] for a, b, version, writer, _ in read]
        yield Op(
            0,
            now + 5_000_000,
            process,
            "ok",
            "transfer",
            {**value, "ts": ts, "read": read, "write": write, "commit_ts": ts + 9},
        )
        records = list(records)
        records[source], records[target] = write


def measure_recording(folder: Path, transactions: int) -> None:
    """Record, in batches made beforehand, so that making the operations does not count."""
    spent = wall = 0.0
    count = 0
    source = bank_ops(transactions)
    with Recorder(folder / "history.jsonl", folder / "columns.bin", BANK_ENCODER) as recorder:
        while batch := [op for _, op in zip(range(20_000), source, strict=False)]:
            started, started_wall = time.process_time(), time.perf_counter()
            for op in batch:
                recorder.record(op)
            spent += time.process_time() - started
            wall += time.perf_counter() - started_wall
            count += len(batch)
        print(f"history hash {recorder.sha256()[:16]}")
    size = (folder / "history.jsonl").stat().st_size >> 20, (folder / "columns.bin").stat().st_size >> 20
    print(f"recorded {count:,} operations: {count / wall:,.0f}/s, {spent:.2f} s of CPU, {wall:.2f} s")
    print(f"  history {size[0]} MiB, columns {size[1]} MiB, peak memory {peak_mib()} MiB")


def measure_loading(folder: Path, *, with_columns: bool) -> None:
    started, before = time.process_time(), peak_mib()
    history = History.load(folder if with_columns else folder / "copy.jsonl", BANK_ENCODER)
    spent = time.process_time() - started
    arrays = [history.time, history.process, history.type, history.f, history.pair, history.row_start]
    held = sum(array.nbytes for array in [*arrays, *history.fields.values(), *history.rows.values()]) >> 20
    how = "columns" if with_columns else "JSON"
    print(f"read {history.n:,} operations from {how}: {spent:.2f} s of CPU, arrays {held} MiB")
    print(f"  peak memory {before} MiB before, {peak_mib()} MiB after; {history.warnings or 'no warnings'}")


def peak_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def main() -> None:
    if len(sys.argv) == 3:
        measure_loading(Path(sys.argv[2]), with_columns=sys.argv[1] == "--columns")
        return
    transactions = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        measure_recording(folder, transactions)
        for how in ("--columns", "--json"):
            if how == "--json":
                (folder / "history.jsonl").rename(folder / "copy.jsonl")
            subprocess.run([sys.executable, __file__, how, name], check=True)


if __name__ == "__main__":
    main()
