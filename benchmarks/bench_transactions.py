"""CPU seconds and memory of checking list-append and rw-register histories, from a JSON file, in a fresh process.

    python benchmarks/bench_transactions.py [--kind list-append|rw-register] [--invalid] [TRANSACTIONS ...]

Goal: 1,000,000 transactions (2,000,000 entries) in at most 14 s of CPU and 2 GB, lists with reading in at most 30 s;
and at most twelve times the CPU of 100,000. Strict serializability is asked of lists, serializability of registers,
whose writes are blind. The history is made by a serial store with 32 clients whose transactions overlap, 1 to 5
micro-operations each, half of them reads; 1 % of the outcomes are unknown; 16 keys are in use at a time, and one is
retired after 32 writes. With ``--invalid`` the very first transaction has read what the last one writes, so that the
whole history is one component (default: 100000 transactions, goal: an explanation within 60 s).
"""

from __future__ import annotations

import argparse
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from checkers.models import SERIALIZABLE, STRICT_SERIALIZABLE
from checkers.txn.appends import append_facts
from checkers.txn.kind import LIST_APPEND, RW_REGISTER
from checkers.txn.registers import register_facts
from harness.history import History
from harness.op import Op
from harness.protocols import CheckContext

CLIENTS = 32
KEYS = 16
WRITES_OF_A_KEY = 32
INFO_PER_MILLE = 10
LATER, CHAIN = "later", "chain"  # keys of ``--invalid``
ASKED = {"list-append": STRICT_SERIALIZABLE, "rw-register": SERIALIZABLE}


def main(sizes: list[int], kinds: list[str], invalid: bool) -> None:
    print(f"{'kind':>12} {'transactions':>12} {'read s':>8} {'facts s':>8} {'check s':>8} {'CPU s':>8} {'peak MB':>8}")
    for kind in kinds:
        for size in sizes:
            with tempfile.TemporaryDirectory() as name:
                file = Path(name) / "history.jsonl"
                generate(file, kind, size, invalid)
                done = subprocess.run(
                    [sys.executable, __file__, "--measure", str(file), "--kind", kind],
                    check=True,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            read, facts, check, total, peak, *verdict = done.stdout.split(" ", 5)
            line = f"{read:>8} {facts:>8} {check:>8} {total:>8} {peak:>8}"
            print(f"{kind:>12} {size:>12} {line}  {' '.join(verdict).strip()}", flush=True)


class Store:
    """Serial: a transaction takes effect as a whole. Draws transactions over keys that come and go."""

    def __init__(self, rng: random.Random, write: str) -> None:
        self._rng = rng
        self._write = write
        self._keys = list(range(KEYS))
        self._left = dict.fromkeys(self._keys, WRITES_OF_A_KEY)
        self._fresh = KEYS
        self._state: dict[int | str, list[int]] = {}

    def draw(self) -> list[list]:
        rng = self._rng
        value = []
        for _ in range(rng.randint(1, 5)):
            place = rng.randrange(KEYS)
            key = self._keys[place]
            if rng.random() < 0.5:
                value.append(["r", key, None])
                continue
            value.append([self._write, key, WRITES_OF_A_KEY - self._left[key] + 1])
            self._left[key] -= 1
            if not self._left[key]:
                del self._left[key]
                self._keys[place] = self._fresh
                self._left[self._fresh] = WRITES_OF_A_KEY
                self._fresh += 1
        return value

    def take_effect(self, value: list[list]) -> list[list]:
        done = []
        for f, key, given in value:
            state = self._state.setdefault(key, [])
            if f != "r":
                state.append(given)
                done.append([f, key, given])
            elif self._write == "append":
                done.append([f, key, list(state)])
            else:
                done.append([f, key, state[-1] if state else None])
        return done


def generate(file: Path, kind: str, size: int, invalid: bool) -> None:
    """A valid history: every transaction takes effect at one moment between its two entries."""
    rng = random.Random(size)
    write = "append" if kind == "list-append" else "w"
    store = Store(rng, write)
    threads = list(range(CLIENTS))
    running: dict[int, tuple[list, bool]] = {}
    encode = msgspec.json.Encoder().encode
    entries, made, fresh = 0, 0, CLIENTS
    with file.open("wb") as out:

        def record(process: int, kind: str, value: list) -> None:
            nonlocal entries
            out.write(encode(Op(entries, entries * 20_000, process, kind, "txn", value)) + b"\n")  # type: ignore[arg-type]
            entries += 1

        if invalid:
            first = store.take_effect([[write, 0, 0], [write, CHAIN, 0]])
            record(CLIENTS, "invoke", [["r", LATER, None], *first])
            record(CLIENTS, "ok", [["r", LATER, [1] if write == "append" else 1], *first])
            fresh += 1
        while made < size or running:
            thread = rng.randrange(CLIENTS)
            process = threads[thread]
            if process not in running:
                if made < size:
                    made += 1
                    value = store.draw()
                    if invalid and made == size:
                        value = [[write, LATER, 1], *value]
                    if invalid and write == "w":  # blind writes alone would leave no certain way to the last one
                        value = [["r", CHAIN, None], [write, CHAIN, made], *value]
                    record(process, "invoke", value)
                    running[process] = (value, False)
                continue
            value, done = running[process]
            if not done:
                running[process] = (store.take_effect(value), True)
                continue
            del running[process]
            if rng.randrange(1000) < INFO_PER_MILLE:
                record(process, "info", [[f, key, None if f == "r" else given] for f, key, given in value])
                threads[thread] = fresh
                fresh += 1
            else:
                record(process, "ok", value)


def measure(file: Path, name: str) -> None:
    """Print the CPU seconds of reading, of the facts alone, of checking all and of everything, and the peak in MB."""
    kind, facts = {"list-append": (LIST_APPEND, append_facts), "rw-register": (RW_REGISTER, register_facts)}[name]
    begin = time.process_time()
    history = History.load(file, kind.encoder())
    loaded = time.process_time()
    facts(history)
    known = time.process_time()
    (checker,) = kind.checkers()
    verdict = checker.check(history, CheckContext(models=(ASKED[name],)))
    checked = time.process_time()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    total = usage.ru_utime + usage.ru_stime - (known - loaded)
    told = f"{verdict.valid} {verdict.counts or ''} {verdict.note}"
    times = " ".join(f"{t:.2f}" for t in (loaded - begin, known - loaded, checked - known, total))
    print(f"{times} {usage.ru_maxrss // 1024} {told}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("sizes", type=int, nargs="*")
    parser.add_argument("--kind", choices=list(ASKED))
    parser.add_argument("--invalid", action="store_true")
    parser.add_argument("--measure")
    given = parser.parse_args()
    if given.measure:
        measure(Path(given.measure), given.kind)
    else:
        default = [100_000] if given.invalid else [100_000, 1_000_000]
        main(given.sizes or default, [given.kind] if given.kind else list(ASKED), given.invalid)
