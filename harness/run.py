"""One run, from its spec to its report: the only place that sees everything.

Whatever goes wrong on the way, what was recorded stays, is judged and reported: an anomaly that was seen counts more
than the crash that came after it.
"""

from __future__ import annotations

import importlib.metadata
import platform
import signal
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec

from cluster.api import Cluster
from harness.drive import DEADLINE_NS, drive
from harness.exit_codes import EnvironmentFailure, ExitCode, QuorumquakeError, code_of, worst_code
from harness.fail_fast import FailFast, fail_fast_of
from harness.history import History
from harness.interpreter import Outcome
from harness.journal import Journal, open_entries
from harness.judge import judge_run
from harness.op import Op
from harness.protocols import Workload
from harness.recorder import Recorder
from harness.registry import KEPT, make_cluster, make_workload, new_run_id
from harness.results import Results
from harness.rng import Streams
from harness.run_folder import RunFolder
from harness.spec import RunSpec
from harness.standing_back import standing_back
from harness.worker_pool import WorkerPool
from nemesis.client import NemesisClient
from nemesis.fault import World
from nemesis.registry import Selection, select
from nemesis.schedule import Schedule, draw_schedule
from reports.console import LiveLine
from reports.html import write_report


class Plan(msgspec.Struct):
    """A run that is ready to begin: nothing was started or written yet."""

    spec: RunSpec
    run_id: str
    cluster: Any
    workload: Workload
    selection: Selection
    schedule: Schedule


class Finished(msgspec.Struct):
    """A run that has ended.

    Attributes:
        history: what was recorded.
        code: its exit code.
        failure: what ended it before its time, in one sentence.
    """

    folder: RunFolder
    results: Results
    history: History
    code: ExitCode
    failure: str = ""


def plan_run(spec: RunSpec) -> Plan:
    """Make the cluster's and the workload's objects, and draw the fault schedule.

    Raises:
        UsageError: options do not go together.
        EnvironmentFailure: a fault that was asked for cannot be had on this cluster.
    """
    run_id = new_run_id(spec)
    cluster, workload = make_cluster(spec), make_workload(spec, run_id)
    selection = select(spec.nemesis, cluster.capabilities())
    world = World.of(cluster.nodes, workload.keys(), workload.split_keys(), selection.aspects)
    streams = Streams(spec.seed).below("nemesis")
    schedule = draw_schedule(selection.kinds, world, streams, interval_ns=spec.interval_ns, limit_ns=spec.time_limit_ns)
    return Plan(spec, run_id, cluster, workload, selection, schedule)


class Watcher:
    """Is told how a run goes on; this one does nothing with it."""

    def say(self, sentence: str) -> None:
        """A sentence on what is done now."""

    def observe(self, op: Op) -> None:
        """An operation, invoked or completed."""

    def tick(self) -> None:
        """Called about ten times a second of the cluster's time, also while no operation ends."""


def run(plan: Plan, watcher: Watcher | LiveLine | None = None) -> Finished:
    """Carry out a plan: record, judge, report.

    Raises:
        EnvironmentFailure: there is no place to write, or the cluster failed before any operation.
    """
    spec, cluster, workload = plan.spec, plan.cluster, plan.workload
    watcher = watcher or Watcher()
    follower = fail_fast_of(workload) if spec.fail_fast else None
    folder = RunFolder.create(Path(spec.out), spec.workload, f"seed{spec.seed}")
    watcher.say(f"recording to {folder.path}")
    write_spec(folder, spec, cluster)
    folder.write_json(folder.results, Results(stage="running", workload=spec.workload, claim=workload.claim))
    outcome, failure = record(plan, folder, watcher, follower)
    early = follower is not None and follower.found()
    if early:
        watcher.say("stopped by --fail-fast at the first violation")
    watcher.say("checking the history")
    results, history = judge_run(folder, interrupted=not early and outcome is not None and outcome.interrupted)
    if follower is not None and follower.reason:
        results.warnings.append(follower.reason)
    failure = failure or left_in_force(spec, folder)
    results.exit_code = _code(results, failure)
    if unwritten := _write_down(folder, spec, cluster, results, history):
        failure = failure or unwritten
        results.exit_code = _code(results, failure)
    return Finished(folder, results, history, ExitCode(results.exit_code), _sentence(failure) if failure else "")


def _code(results: Results, failure: Exception | None) -> ExitCode:
    """An anomaly that was seen counts more than what went wrong besides."""
    if failure is None:
        return ExitCode(results.exit_code)
    return worst_code([code_of(results.valid), getattr(failure, "code", ExitCode.INTERNAL)])


def left_in_force(spec: RunSpec, folder: RunFolder) -> EnvironmentFailure | None:
    """Of a cluster that stays: that the journal has faults which were not undone, or not for certain."""
    left = open_entries(folder.journal) if spec.cluster.startswith(KEPT) else []
    if not left:
        return None
    kinds = ", ".join(dict.fromkeys(entry.fault for entry in left))
    return EnvironmentFailure(
        f"{spec.cluster} may not be as it was, since not all faults could be shown to be undone ({kinds}): "
        f"`quorumquake cluster heal {folder.path}`"
    )


def _write_down(
    folder: RunFolder, spec: RunSpec, cluster: Cluster, results: Results, history: History
) -> EnvironmentFailure | None:
    """Write what was found out. Where that cannot be done, it is still told."""
    try:
        write_spec(folder, spec, cluster)  # again, now with what the cluster said of itself
        folder.write_json(folder.results, results)
        write_report(folder, history)
    except EnvironmentFailure as failure:
        return failure
    return None


def record(
    plan: Plan, folder: RunFolder, watcher: Watcher | LiveLine, follower: FailFast | None = None
) -> tuple[Outcome | None, Exception | None]:
    """Drive the test; return how it ended, or what ended it if at least one operation was recorded by then.

    ``follower`` is told of all that is recorded, and may end the run.
    """
    stop = _Stop()
    journal = Journal(folder.journal)
    recorder = Recorder(
        folder.history, folder.columns, plan.workload.encoder, observe=None if follower is None else follower.observe
    )
    pool = _client_processes(plan, folder)
    try:
        with stop.on_signals(), standing_back() if pool else nullcontext():
            outcome = plan.cluster.run(
                drive(
                    plan.spec,
                    plan.cluster,
                    plan.workload,
                    _nemesis(plan, journal, pool),
                    recorder,
                    folder=folder,
                    so_far=lambda: judge_run(folder),
                    pool=pool,
                    observe=watcher.observe,
                    should_stop=lambda: watcher.tick() or stop.asked() or (follower is not None and follower.found()),
                )
            )
    except Exception as failure:
        if not recorder.ops:
            folder.remove()
            if stop.asked():
                raise KeyboardInterrupt from None
            raise
        if not isinstance(failure, QuorumquakeError):
            traceback.print_exc()
        return None, failure
    finally:
        recorder.close()
        journal.close()
    if stop.asked() and not recorder.ops:
        folder.remove()
        raise KeyboardInterrupt
    return outcome, None


def _client_processes(plan: Plan, folder: RunFolder) -> WorkerPool | None:
    """Client processes, where clients could harm or hang the process that they live in."""
    if not plan.cluster.pd_addresses:
        return None
    return WorkerPool(plan.workload, plan.run_id, plan.spec.concurrency, DEADLINE_NS, folder.clients)


def _nemesis(plan: Plan, journal: Journal, pool: WorkerPool | None) -> NemesisClient | None:
    if not plan.selection.kinds:
        return None
    keys, splits = plan.workload.keys(), plan.workload.split_keys()
    faults_last = None if plan.cluster.deterministic else journal  # they outlive this process
    return NemesisClient(plan.cluster, plan.schedule, keys, splits, faults_last, clients=pool)


def write_spec(folder: RunFolder, spec: RunSpec, cluster: Cluster) -> None:
    """Write ``spec.json``: the spec, and what took part in the run."""
    content = {
        "schema_version": 1,
        **msgspec.to_builtins(spec),
        "command": spec.command_line(),
        "versions": versions(),
        "description": cluster.describe(),
    }
    folder.write_json(folder.spec, content)


def versions() -> dict[str, str]:
    """Of what took part in a run."""
    try:
        own = importlib.metadata.version("quorumquake")
    except importlib.metadata.PackageNotFoundError:
        own = "unknown"
    return {"quorumquake": own, "python": platform.python_version(), "platform": platform.platform(terse=True)}


def _sentence(failure: Exception) -> str:
    if isinstance(failure, QuorumquakeError):
        return str(failure)
    return f"internal error: {type(failure).__name__}: {failure}; what was recorded until then was judged"


class _Stop:
    """Ctrl-C asks the run to end; a second one ends it at once."""

    def __init__(self) -> None:
        self._asked = False

    def asked(self) -> bool:
        return self._asked

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        previous = {number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
