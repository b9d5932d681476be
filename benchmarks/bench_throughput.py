"""What the harness costs a cluster in throughput: the bank by it, and by bare loops, side by side.

    python benchmarks/bench_throughput.py [SECONDS [pd://HOST:PORT[,...]]]

SECONDS is for each of them, without starting, 120 by default; the cluster is the stand-in in Docker by default, with
three PD members and three stores. Goal: the harness keeps at least 95 % of the bare loop's throughput, with twelve
processes, no faults, no rate and no reading back.

A bare loop makes the same calls of tikv-client, in the same shares, on as many keys with values as long, with as many
connections in as many operating-system processes; nobody retries. It leaves out all that makes a test of it: deadlines,
checked records, the generator, times, messages, the history. ``bare`` runs on the standard library's event loop, as
tikv-client's own examples do; ``uvloop`` is the same on the one that the harness's client processes use. Slices
alternate, since no machine is quiet for minutes. Clients, harness and six servers share the processors, so what the
harness spends the cluster does not get; but the harness and its clients let the servers go first (SCHED_BATCH), which
the bare loops do not.

The stand-in (tests/standin) says nothing about TiKV, and leaves the clients another share of the machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import uvloop

from cluster.docker.cluster import DockerCluster
from cluster.tikv_wheel import load_extension
from harness import cluster_commands
from harness.clock import SECOND
from harness.columns import INVOKE_CODE, OK_CODE
from harness.exit_codes import EnvironmentFailure
from harness.history import History
from harness.op import Op
from harness.registry import make_spec
from harness.run import Watcher, plan_run, record, write_spec
from harness.run_folder import RunFolder
from harness.worker_pool import PER_WORKER
from workloads.bank_generator import READER_EVERY

PROCESSES = 12
ACCOUNTS = 64
SLICE_S = 20
WARM_UP_S = 2
GOAL = 0.95
BYTES = 150  # of a record, as the bank's
SERVERS = ("pd-server", "tikv-server")


class Slice(msgspec.Struct):
    """What was done in the seconds after the warm-up: operations a second, CPU seconds a second."""

    ok: float
    all: float
    harness: float
    clients: float
    servers: float


def main(seconds: int, url: str | None) -> int:
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        try:
            url = url or stack.enter_context(standin())
        except EnvironmentFailure as failure:
            print(f"skipped: {failure}; tests/standin/images.sh makes the images")
            return 0
        slices: dict[str, list[Slice]] = {"bare": [], "harness": [], "uvloop": []}
        print(f"{'':>8} {'ok/s':>8} {'all/s':>8}   CPU s/s: {'harness':>8} {'clients':>8} {'servers':>8}")
        for number in range(max(1, seconds // SLICE_S)):
            for name in sorted(slices, reverse=bool(number % 2)):
                slices[name].append(measure(name, url, folder))
                show(name, slices[name][-1])
    print("on the whole:")
    whole = {name: mean(measured) for name, measured in slices.items()}
    for name, measured in whole.items():
        show(name, measured)
    for name in ("uvloop", "bare"):
        ratios = [ours.ok / theirs.ok for ours, theirs in zip(slices["harness"], slices[name], strict=True)]
        ratio = whole["harness"].ok / whole[name].ok
        pairs = f"median {statistics.median(ratios):.1%}, {min(ratios):.1%} to {max(ratios):.1%}"
        print(f"the harness has {ratio:.1%} of the throughput of {name} (pairs: {pairs})")
    print(f"the goal is {GOAL:.0%} of bare")
    return ratio < GOAL


def show(name: str, s: Slice) -> None:
    print(
        f"{name:>8} {s.ok:8.1f} {s.all:8.1f}            {s.harness:8.3f} {s.clients:8.3f} {s.servers:8.3f}", flush=True
    )


def mean(slices: list[Slice]) -> Slice:
    return Slice(*(statistics.fmean(values) for values in zip(*map(msgspec.structs.astuple, slices), strict=True)))


@contextlib.contextmanager
def standin() -> Iterator[str]:
    """The stand-in in Docker, made for this process."""
    given = {"pd_image": "quorumquake-standin/pd", "kv_image": "quorumquake-standin/tikv", "version": "dev"}
    name = f"throughput-{os.getpid()}"
    cluster_commands.up(name, None, **given)
    try:
        cluster = DockerCluster.existing(name)
        yield f"pd://{','.join(cluster.pd_addresses)}"
    finally:
        cluster_commands.down(name)


def measure(name: str, url: str, folder: str) -> Slice:
    """Run a slice in a process of its own, and watch the CPU from here."""
    with subprocess.Popen(
        [sys.executable, __file__, f"--{name}", url, folder], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it has begun
        time.sleep(WARM_UP_S)
        before, began = cpu(process.pid), time.monotonic()
        time.sleep(SLICE_S - 0.5)  # before any of them ends
        after, took = cpu(process.pid), time.monotonic() - began
        ok, all_ = map(float, process.stdout.readline().split())
    spent = [(b - a) / took for a, b in zip(before, after, strict=True)]
    return Slice(ok, all_, *spent)


def cpu(root: int) -> tuple[float, float, float]:
    """CPU seconds so far of a process, of those below it, and of the servers."""
    stats: dict[int, tuple[str, int, float]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            name, _, rest = path.read_text().partition("(")[2].rpartition(")")
            words = rest.split()
            stats[int(path.parent.name)] = (name, int(words[1]), (int(words[11]) + int(words[12])) / os.sysconf(2))
    below = {root}
    while more := {pid for pid, (_, parent, _) in stats.items() if parent in below} - below:
        below |= more
    clients = sum(stats[pid][2] for pid in below - {root})
    return stats[root][2], clients, sum(spent for name, _, spent in stats.values() if name in SERVERS)


# The harness: a run, as `quorumquake run` makes it.


class Began(Watcher):
    """Says when the first operation is begun."""

    said = False

    def observe(self, op: Op) -> None:
        del op
        if not self.said:
            self.said = True
            print("begun", flush=True)


def harness(url: str, folder: str) -> None:
    spec = make_spec(
        "bank",
        {"accounts": ACCOUNTS, "total": 100 * ACCOUNTS},
        cluster=url,
        nemesis="none",
        rate=0,
        concurrency=PROCESSES,
        time_limit=f"{WARM_UP_S + SLICE_S + 0.5}s",
        readback=0,
        out=folder,
    )
    run_folder = RunFolder.create(Path(folder), "bank", "throughput")
    plan = plan_run(spec)
    write_spec(run_folder, spec, plan.cluster)
    _, failure = record(plan, run_folder, Began())
    if failure is not None:
        raise failure
    history = History.load(run_folder.path, plan.workload.encoder)
    inside = (history.time >= WARM_UP_S * SECOND) & (history.time < (WARM_UP_S + SLICE_S) * SECOND)
    ok = np.count_nonzero(inside & (history.type == OK_CODE))
    print(ok / SLICE_S, np.count_nonzero(inside & (history.type != INVOKE_CODE)) / SLICE_S)


# The bare loop.


def bare(url: str, folder: str, run: Callable[[Any], Any] = asyncio.run) -> None:
    del folder
    context = multiprocessing.get_context("fork")
    workers = PROCESSES // PER_WORKER
    barrier, results = context.Barrier(workers + 1), context.SimpleQueue()
    prefix = f"qq/bare/{os.getpid()}/{time.time_ns()}/".encode()
    keys = [prefix + b"%04d" % number for number in range(ACCOUNTS)]
    address = url.removeprefix("pd://").split(",")
    work = partial(bare_worker, run=run)
    children = [
        context.Process(target=work, args=(address, keys, number, barrier, results)) for number in range(workers)
    ]
    for child in children:
        child.start()
    barrier.wait()
    print("begun", flush=True)
    counts = [results.get() for _ in children]
    for child in children:
        child.join()
    print(sum(ok for ok, _ in counts) / SLICE_S, sum(ok + failed for ok, failed in counts) / SLICE_S)


def bare_worker(
    addresses: list[str], keys: list[bytes], number: int, barrier: Any, results: Any, *, run: Callable[[Any], Any]
) -> None:
    results.put(run(bare_loops(addresses, keys, number, barrier)))
    os._exit(0)


async def bare_loops(addresses: list[str], keys: list[bytes], number: int, barrier: Any) -> tuple[int, int]:
    extension = load_extension()  # never before a fork

    clients = [await extension.TransactionClient.connect(addresses, 2.0) for _ in range(PER_WORKER)]
    if number == 0:
        txn = await clients[0].begin(False)
        for key in keys:
            await txn.put(key, record_of(100))
        await txn.commit()
    barrier.wait()
    begin = time.monotonic() + WARM_UP_S
    workers = PROCESSES // PER_WORKER
    counts = [0, 0]
    await asyncio.gather(
        *(bare_loop(client, keys, number + at * workers, begin, counts) for at, client in enumerate(clients))
    )
    return counts[1], counts[0]


def record_of(balance: int) -> bytes:
    return (b"%d" % balance).ljust(BYTES)


async def bare_loop(client: Any, keys: list[bytes], number: int, begin: float, counts: list[int]) -> None:
    end = begin + SLICE_S
    remembered = [await client.current_timestamp()]
    reads = read_share(number)
    while (now := time.monotonic()) < end:
        try:
            if random.random() < reads:
                done = await bare_read(client, keys, remembered)
            else:
                done = await bare_transfer(client, keys, remembered)
        except Exception:  # noqa: BLE001 (a conflict)
            done = False
        if now >= begin:
            counts[done] += 1


def read_share(number: int) -> float:
    """As the bank's generator divides its reads among the processes."""
    readers = PROCESSES // READER_EVERY
    if number % READER_EVERY == READER_EVERY - 1:
        return 1.0
    return (PROCESSES * 0.3 - readers) / (PROCESSES - readers)


async def bare_read(client: Any, keys: list[bytes], remembered: list[int]) -> bool:
    via = random.randrange(4)
    if via < 2:
        txn = await client.begin(False)
        try:
            await (txn.batch_get(keys) if via else txn.scan(keys[0], keys[-1] + b"\0", len(keys) + 1, True, False))
        finally:
            await txn.rollback()
    else:
        ts = await client.current_timestamp() if via == 2 else remembered[0]
        await client.snapshot(ts, False).batch_get(keys)
    return True


async def bare_transfer(client: Any, keys: list[bytes], remembered: list[int]) -> bool:
    source, target = random.sample(keys, 2)
    pessimistic, amount = random.random() < 0.5, random.randint(1, 5)
    txn = await client.begin(pessimistic)
    try:
        read = txn.get_for_update if pessimistic else txn.get
        found = {key: int(await read(key)) for key in sorted((source, target))}
        if found[source] < amount:
            await txn.rollback()
            return False
        found[source] -= amount
        found[target] += amount
        for key in sorted(found):
            await txn.put(key, record_of(found[key]))
        remembered.append(await txn.commit())
    except Exception:
        await txn.rollback()
        raise
    del remembered[:-8]
    return True


if __name__ == "__main__":
    slices = {"--harness": harness, "--bare": bare, "--uvloop": partial(bare, run=uvloop.run)}
    if sys.argv[1:2] and sys.argv[1] in slices:
        slices[sys.argv[1]](*sys.argv[2:])
    else:
        sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else 120, sys.argv[2] if sys.argv[2:] else None))
