"""Drives one test: the cluster comes up, the workload is set up, operations and faults run, all is healed.

The order is Jepsen's: faults until the time limit, then everything is healed, then final reads, and on a real cluster
commits are read back. Only here do the generator of the workload, the schedule of faults and the interpreter meet.
Clients of a simulated cluster live in this process, all others in processes of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Final

from cluster.api import Cluster
from harness.clock import SECOND, Clock, RealClock
from harness.exit_codes import EnvironmentFailure
from harness.generator import any_of, clients, on_nemesis, phases, stagger, time_limit
from harness.interpreter import Outcome, interpret
from harness.leader_watch import watching_leaders
from harness.op import Op
from harness.protocols import Client, ClientFactory, Generator, Workload
from harness.readback import SoFar, readback_phase
from harness.recorder import Recorder
from harness.rng import Streams
from harness.run_folder import RunFolder
from harness.sequencer import Sequencer
from harness.spec import RunSpec
from harness.worker_pool import NO_TIMES, WorkerPool
from nemesis.client import NemesisClient

DEADLINE_NS: Final = 10 * SECOND  # of an operation
LOOK_S: Final = 0.1  # whether to go on with the start


class Since:
    """A clock that starts at 0 now: a history counts from the first operation, not from the start of the cluster."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._origin = clock.now()

    def now(self) -> int:
        """Nanoseconds since this clock was made."""
        return self._clock.now() - self._origin

    async def sleep_until(self, when: int) -> None:
        """Return at ``when``."""
        await self._clock.sleep_until(when + self._origin)


async def drive(
    spec: RunSpec,
    cluster: Cluster,
    workload: Workload,
    nemesis: NemesisClient | None,
    recorder: Recorder,
    *,
    folder: RunFolder,
    so_far: SoFar,
    pool: WorkerPool | None,
    observe: Callable[[Op], None],
    should_stop: Callable[[], bool],
) -> Outcome:
    """Run the test to its end. Whatever happens, faults are healed and the cluster is let go of.

    Who led when, and the logs of the nodes, are left in ``folder``. ``so_far`` judges what was recorded until then.
    ``pool`` has the client processes, not started yet; None: clients live in this process.

    Raises:
        EnvironmentFailure: the cluster does not come up, or the history cannot be written.
    """
    try:
        if pool is None:
            await cluster.start(workload.split_keys())
            await _set_up(cluster, workload)
        else:
            await _unless_stopped(_start(cluster, workload, pool), should_stop)
        clock = Since(cluster.clock) if pool is None else RealClock()
        if not cluster.deterministic:
            folder.write_origin(time.time_ns() - clock.now())
        async with watching_leaders(cluster.faults, clock, folder.leaders), _recording(recorder, clock, pool) as record:
            return await interpret(
                clock=clock,
                generator=_generator(spec, workload, nemesis, readback_phase(spec, cluster, workload, so_far)),
                open_client=_local_clients(cluster, workload) if pool is None else pool.open_client,
                nemesis=nemesis,
                concurrency=spec.concurrency,
                record=record,
                streams=Streams(spec.seed).below("test"),
                deadline_ns=DEADLINE_NS if pool is None else pool.patience_ns,
                should_stop=should_stop,
                observe=observe,
                ahead=pool is not None,
            )
    finally:
        await _let_go(cluster, nemesis, pool, folder)


@contextlib.asynccontextmanager
async def _recording(recorder: Recorder, clock: Clock, pool: WorkerPool | None) -> AsyncIterator[Callable[[Op], Op]]:
    """What records operations: in the order in which they come, or in that of the times which client processes took."""
    if pool is None or not isinstance(clock, RealClock):
        yield recorder.record
        return
    pool.times = sequencer = Sequencer(recorder, clock)
    try:
        yield sequencer.record
    finally:
        pool.times = NO_TIMES
        sequencer.finish()


def _local_clients(cluster: Cluster, workload: Workload) -> ClientFactory:
    async def open_client(process: int) -> Client:
        return workload.client(cluster.store(f"client-{process}"))

    return open_client


async def _let_go(cluster: Cluster, nemesis: NemesisClient | None, pool: WorkerPool | None, folder: RunFolder) -> None:
    try:
        if nemesis is not None:
            await nemesis.close()
        if pool is not None:
            await pool.close()
        with contextlib.suppress(OSError):  # a disk that is full of logs must not keep a cluster alive
            await cluster.save_logs(folder.logs)
    finally:
        await cluster.stop()


async def _start(cluster: Cluster, workload: Workload, pool: WorkerPool) -> None:
    await cluster.start(workload.split_keys())
    await pool.start(cluster.pd_addresses)
    await pool.call("probe")
    await pool.call("setup")


async def _unless_stopped(starting: Coroutine[Any, Any, None], should_stop: Callable[[], bool]) -> None:
    """Wait for it: a real cluster takes half a minute, in which a user may think better of it."""
    task = asyncio.create_task(starting)
    try:
        while not (await asyncio.wait([task], timeout=LOOK_S))[0]:
            if should_stop():
                raise EnvironmentFailure("the run was stopped before it began")
    finally:
        task.cancel()
        await asyncio.wait([task])
    await task


async def _set_up(cluster: Cluster, workload: Workload) -> None:
    store = cluster.store("setup")
    try:
        await workload.setup(store)
    finally:
        await store.close()


def _generator(
    spec: RunSpec, workload: Workload, nemesis: NemesisClient | None, readback: list[Generator]
) -> Generator:
    work: Generator = clients(workload.generator())
    if spec.rate:
        work = stagger(work, round(SECOND / spec.rate), name="rate")
    main = time_limit(work, spec.time_limit_ns)
    last = workload.final_generator()
    final = [*([] if last is None else [clients(last)]), *readback]
    if nemesis is None:
        return phases(main, *final)
    faults = time_limit(on_nemesis(nemesis.generator()), spec.time_limit_ns)
    return phases(any_of(main, faults), on_nemesis(nemesis.healing()), *final)
