"""Measures what waits do in a process whose monotonic clock is skewed; prints the table of docs/clocks.md.

Run as root from the top of the tree: ``.venv/bin/python -m tests.clockprobe.measure``. Takes half a minute. With
``-v`` the figures behind the words go to standard error: true time and processor time, in ms.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

from cluster.docker.clocks import ProcessClocks
from harness.clock import SECOND
from tests.clockprobe.programs import Program, built, can_build

WAIT_MS = 1000
STEP_NS = 2 * SECOND
CASES = {
    "2 s behind": (-STEP_NS, None),
    "2 s ahead": (STEP_NS, None),
    "goes 2 s back meanwhile": (0, -STEP_NS),
    "goes 2 s ahead meanwhile": (0, STEP_NS),
}
LANGUAGES = {"Go": "go", "C (glibc)": "c", "Rust": "rust"}
SPINS = 0.05  # of a core; one that waits as it should uses next to nothing


async def one_case(program, offset_ns, step_ns):
    """By way of waiting: how long it took (ms), and the processor time (ms)."""
    clocks, running = ProcessClocks(), Program(program, "waits")
    try:
        assert running.line() == "ready"
        if offset_ns:
            assert (await clocks.step_monotonic(running.pid, offset_ns)).verified
        running.send(WAIT_MS)
        if step_ns is not None:
            await asyncio.sleep(0.3)
            assert (await clocks.step_monotonic(running.pid, step_ns)).verified
        found = {}
        while (line := running.line()) != "done":
            name, took, used = line.split("\t")
            found[name] = int(took), int(used)
        return found
    finally:
        running.end()


def words(took, used):
    """What became of a wait of ``WAIT_MS``; roughly, since others may want the processor, too."""
    said = next(said for said, limit in (("at once", 200), ("0.3 s", 650), ("1 s", 2000), ("3 s", 1e9)) if took < limit)
    return f"{said}, spins" if used > SPINS * max(took, WAIT_MS) else said


async def table(folder, verbose):
    rows = {}
    for language, compiler in LANGUAGES.items():
        if not can_build(compiler):
            continue
        program = built(compiler, folder)
        for case, (offset_ns, step_ns) in CASES.items():
            for name, measured in (await one_case(program, offset_ns, step_ns)).items():
                rows.setdefault((language, name), {})[case] = words(*measured)
                if verbose:
                    sys.stderr.write(f"{language}, {name}, {case}: took {measured[0]}, used {measured[1]}\n")
    return rows


def main():
    with tempfile.TemporaryDirectory() as folder:
        rows = asyncio.run(table(Path(folder), verbose="-v" in sys.argv))
    lines = [["", "a wait of 1 s", *CASES], ["---"] * (2 + len(CASES))]
    lines += [[language, name, *(cells[case] for case in CASES)] for (language, name), cells in rows.items()]
    sys.stdout.writelines(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    main()
