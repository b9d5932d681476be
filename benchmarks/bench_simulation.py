"""CPU seconds and peak memory of a simulated run: 60 virtual seconds, five nodes, ten processes.

The goal is 3,000 transfers under all faults in at most 10 s of CPU, checks and report included. Run it as
``python benchmarks/bench_simulation.py [SEED ...]``; each run is a process of its own.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMON = ["--time-limit", "60", "--concurrency", "10", "--nodes", "5", "--format", "json"]
RUNS = {
    "no faults, 75 op/s": ["--nemesis", "none", "--rate", "75"],
    "all faults, 75 op/s": ["--nemesis", "all", "--rate", "75"],
    "all faults, 150 op/s": ["--nemesis", "all", "--rate", "150"],
    "all faults, no limit": ["--nemesis", "all", "--rate", "0"],
}


def measure(options: list[str], seed: int) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        started = time.monotonic()
        command = [sys.executable, "-m", "harness.cli", "run", "bank", *COMMON, *options]
        done = subprocess.run(
            [*command, "--seed", str(seed), "--out", folder], capture_output=True, text=True, check=False
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        result = json.loads(done.stdout)
        transfers = 0
        with (Path(folder) / "bank" / "latest" / "history.jsonl").open() as history:
            transfers = sum('"type":"invoke","f":"transfer"' in line for line in history)
    return {
        "valid": result["valid"],
        "transfers": transfers,
        "cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "wall": time.monotonic() - started,
        "peak_mb": after.ru_maxrss / 1024,
    }


def main() -> None:
    seeds = [int(word) for word in sys.argv[1:]] or [1, 2, 3]
    print(f"{'run':<24}{'seed':>6}{'valid':>9}{'transfers':>11}{'CPU s':>8}{'wall s':>8}{'peak MB':>9}")
    for name, options in RUNS.items():
        for seed in seeds:
            seen = measure(options, seed)
            print(
                f"{name:<24}{seed:>6}{seen['valid']!s:>9}{seen['transfers']:>11,}"
                f"{seen['cpu']:>8.2f}{seen['wall']:>8.2f}{seen['peak_mb']:>9.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
