"""CPU seconds and memory of reading a history into columns, as JSON lines and as Jepsen's EDN, in a fresh process.

    python benchmarks/bench_reading.py [OPERATIONS ...]        (default: 100000 1000000)

Goals for 1,000,000 operations (2,000,000 entries): registers as JSON lines at most 4 s, list-append at most 12 s, EDN
at most 2.5 times as much, all below 1 GB. Of the registers, 100 of them, 32 clients read, write and compare-and-set;
a transaction of list-append has 1 to 5 micro-operations, and its reads see up to 32 elements.
"""

from __future__ import annotations

import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import accumulate, chain
from pathlib import Path
from typing import Any

import msgspec

from harness.formats.edn_writer import edn_line
from harness.history import History
from harness.op import INVOKE, OK, Op

CLIENTS = 32
SUFFIXES = ("jsonl", "edn")


class Registers:
    """[key, value] of ``read`` and ``write``, [key, [old, new]] of ``cas``: the key, and two numbers."""

    name = "bench-register"
    version = 1
    fields: tuple[str, ...] = ("key", "first", "second")
    row_fields: tuple[str, ...] = ()

    def encode(self, op: Op) -> tuple[Sequence[int], Sequence[int]]:
        fields, *_ = self.encode_many([op])
        return [column[0] for column in fields], ()

    def encode_many(self, ops: Sequence[Op]) -> tuple[Sequence[Any], Any, Sequence[Any]]:
        keys, values = zip(*[op.value for op in ops], strict=True)
        first = [value[0] if type(value) is list else -1 if value is None else value for value in values]
        second = [value[1] if type(value) is list else -1 for value in values]
        return [keys, first, second], [0] * len(ops), []


class Lists:
    """A row for each micro-operation, with its key and its element, or how many were seen and the last of them."""

    name = "bench-list"
    version = 1
    fields: tuple[str, ...] = ()
    row_fields: tuple[str, ...] = ("read", "key", "count", "element")

    def encode(self, op: Op) -> tuple[Sequence[int], Sequence[int]]:
        _, _, rows = self.encode_many([op])
        return (), [number for row in zip(*rows, strict=True) for number in row]

    def encode_many(self, ops: Sequence[Op]) -> tuple[Sequence[Any], Any, Sequence[Any]]:
        values = [op.value for op in ops]
        micro = list(chain.from_iterable(values))
        names, keys, arguments = zip(*micro, strict=True)
        read = [name == "r" for name in names]
        count = [len(seen) if type(seen) is list else 0 for seen in arguments]
        last = [(seen[-1] if seen else -1) if type(seen) is list else seen or 0 for seen in arguments]
        return [], list(map(len, values)), [read, keys, count, last]


def registers(rng: random.Random, count: int) -> Iterator[tuple[str, list, list]]:
    state = [0] * 100
    for number in range(count):
        key = rng.randrange(100)
        f = rng.choice(("read", "write", "cas"))
        if f == "read":
            yield f, [key, None], [key, state[key]]
            continue
        value = [state[key], number] if f == "cas" else number
        state[key] = number
        yield f, [key, value], [key, value]


def lists(rng: random.Random, count: int) -> Iterator[tuple[str, list, list]]:
    fresh = iter(range(1 << 60))
    active: list[tuple[int, list[int]]] = [(next(fresh), []) for _ in range(10)]
    for _ in range(count):
        asked, done = [], []
        for _ in range(rng.randint(1, 5)):
            place = rng.randrange(10)
            key, elements = active[place]
            if rng.random() < 0.5:
                asked.append(["r", key, None])
                done.append(["r", key, list(elements)])
                continue
            elements.append(len(elements) + 1)
            asked.append(["append", key, elements[-1]])
            done.append(asked[-1])
            if len(elements) == 32:
                active[place] = (next(fresh), [])
        yield "txn", asked, done


KINDS = {"register": (registers, Registers), "list-append": (lists, Lists)}


def main(sizes: list[int]) -> None:
    print(f"{'history':<12} {'operations':>10} {'format':>6} {'file MB':>8} {'CPU s':>8} {'peak MB':>8}")
    for kind in KINDS:
        for size in sizes:
            with tempfile.TemporaryDirectory() as name:
                generate(Path(name), kind, size)
                for suffix in SUFFIXES:
                    path = Path(name) / f"history.{suffix}"
                    done = subprocess.run(
                        [sys.executable, __file__, "--measure", kind, str(path)],
                        check=True,
                        capture_output=True,
                        text=True,
                    )
                    cpu, peak = done.stdout.split()
                    megabytes = path.stat().st_size >> 20
                    print(f"{kind:<12} {size:>10} {suffix:>6} {megabytes:>8} {cpu:>8} {peak:>8}", flush=True)


def generate(folder: Path, kind: str, size: int) -> None:
    """Operations one after the other, but of 32 processes, which are open all at once."""
    rng = random.Random(size)
    with (folder / "history.jsonl").open("wb") as json, (folder / "history.edn").open("wb") as edn:
        for op in entries(rng, KINDS[kind][0](rng, size)):
            json.write(msgspec.json.encode(op) + b"\n")
            edn.write(edn_line(op))


def entries(rng: random.Random, operations: Iterator[tuple[str, list, list]]) -> Iterator[Op]:
    times = accumulate(iter(lambda: rng.randrange(100_000), -1))
    running: dict[int, tuple[str, list]] = {}
    index = 0
    for f, asked, done in operations:
        process = rng.randrange(CLIENTS)
        if process in running:
            before, value = running.pop(process)
            yield Op(index, next(times), process, OK, before, value)
            index += 1
        yield Op(index, next(times), process, INVOKE, f, asked)
        index += 1
        running[process] = (f, done)
    for process, (f, value) in running.items():
        yield Op(index, next(times), process, OK, f, value)
        index += 1


def measure(kind: str, path: Path) -> None:
    """Print the CPU seconds of the whole process, and the peak in MB."""
    history = History.load(path, KINDS[kind][1]())
    assert history.n
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(f"{time.process_time():.2f} {usage.ru_maxrss // 1024}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(sys.argv[2], Path(sys.argv[3]))
    else:
        main([int(argument) for argument in sys.argv[1:]] or [100_000, 1_000_000])
