"""Memory and CPU of the checkers that follow a run, on generated histories that nobody keeps.

    python benchmarks/bench_streaming.py [bank | registers] [OPERATIONS]

By default 10,000,000 operations of each. The bank has 8 accounts and 20 clients, 70 % transfers, 1 % of unknown outcome
(half of which take effect, some of them late); registers have 100 keys and 32 clients. Every operation takes effect at
one moment between its two entries. The CPU of the generator alone is measured first, and subtracted.
"""

from __future__ import annotations

import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterator

from bench_registers import Clients

from checkers.streaming.bank import StreamingBank
from checkers.streaming.registers import StreamingRegisters
from harness.op import Op

DEFAULT = 10_000_000
ACCOUNTS, BANK_CLIENTS, KEYS, REGISTER_CLIENTS = 8, 20, 100, 32


def bank(size: int) -> Iterator[Op]:  # noqa: C901, PLR0912, PLR0915 (one loop, which calls would slow down)
    """Transfers that fail if what they read is not there any more when they commit, and reads of all accounts."""
    rng = random.Random(1)
    state = [[account, 1000, 0, 0, -1] for account in range(ACCOUNTS)]
    processes = list(range(BANK_CLIENTS))
    running: list[tuple | None] = [None] * BANK_CLIENTS
    late: list[tuple] = []
    made = at = 0
    fresh = BANK_CLIENTS

    def commit(reads: list, writes: list) -> bool:
        if any(state[record[0]] != record for record in reads):
            return False
        for record in writes:
            state[record[0]] = record
        return True

    while made < size or any(running):
        thread = int(rng.random() * BANK_CLIENTS)
        doing = running[thread]
        if late and rng.random() < 0.001:
            commit(*late.pop())
        if doing is None:
            if made == size:
                continue
            made += 1
            if rng.random() < 0.3:
                f, value = "read", {"id": made, "via": "batch_get"}
            else:
                source = int(rng.random() * ACCOUNTS)
                target = (source + 1 + int(rng.random() * (ACCOUNTS - 1))) % ACCOUNTS
                f, value = "transfer", {"id": made, "from": source, "to": target, "amount": 1}
            running[thread] = (f, value, None)
            yield Op(at, at, processes[thread], "invoke", f, value)
            at += 1
            continue
        f, value, seen = doing
        if seen is None:
            seen = list(state) if f == "read" else [state[value["from"]], state[value["to"]]]
            running[thread] = (f, value, seen)
            continue
        running[thread] = None
        process, kind = processes[thread], "ok"
        value = {**value, "read": seen}
        if f == "transfer":
            delta = {value["from"]: -1, value["to"]: 1}
            writes = [[a, b + delta[a], v + 1, value["id"], w] for a, b, v, w, _ in seen]
            if rng.random() < 0.01:
                kind, processes[thread], fresh = "info", fresh, fresh + 1
                lot = rng.random()
                if lot < 0.4:
                    commit(seen, writes)
                elif lot < 0.5:
                    late.append((seen, writes))
                value = {name: value[name] for name in ("id", "from", "to", "amount")}
            elif commit(seen, writes):
                value["write"] = writes
            else:
                kind = "fail"
        yield Op(at, at, process, kind, f, value)
        at += 1


def registers(size: int) -> Iterator[Op]:
    """As in ``bench_registers``."""
    world = Clients(KEYS, REGISTER_CLIENTS, [])
    made = at = 0
    while made < size or world.running:
        thread = int(world.rng.random() * REGISTER_CLIENTS)
        process = world.threads[thread]
        if process not in world.running:
            if made == size:
                continue
            made += 1
            op = world.begin(process)
        elif world.running[process][4] is None:
            world.take_effect(process)
            continue
        else:
            op = world.end(thread)
        op.index = op.time = at
        at += 1
        yield op


KINDS = {"bank": (bank, StreamingBank), "registers": (registers, StreamingRegisters)}


def measure(kind: str, size: int) -> None:
    """Print what the checker's run took; the generator is measured on a tenth."""
    generate, checker_of = KINDS[kind]
    begin = time.process_time()
    for _ in generate(size // 10):
        pass
    generator = (time.process_time() - begin) * 10
    checker = checker_of()
    begin = time.process_time()
    for op in generate(size):
        checker.observe(op)
    verdict = checker.finish()
    own = time.process_time() - begin - generator
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(
        f"{kind:<10} {size:>11,} {verdict.valid!s:>6} {own:>8.1f} {own / size * 1e6:>7.2f} {peak:>8}  {verdict.details}"
    )


if __name__ == "__main__":
    words = sys.argv[1:]
    if words[:1] == ["--measure"]:
        measure(words[1], int(words[2]))
    else:
        sizes = [int(word) for word in words if word.isdigit()] or [DEFAULT]
        print("history     operations  valid    CPU s  us/op   peak MB  kept at the end")
        for name in [word for word in words if word in KINDS] or KINDS:
            for number in sizes:
                subprocess.run([sys.executable, __file__, "--measure", name, str(number)], check=True)
