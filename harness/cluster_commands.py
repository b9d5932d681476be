"""What ``quorumquake cluster`` does: clusters in Docker that stay, and what runs left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from cluster.docker.cluster import DockerCluster
from cluster.docker.engine import Engine
from cluster.docker.hold import hold
from cluster.docker.objects import Found, find_clusters, remove_cluster
from cluster.docker.scratch import remove_abandoned
from harness.config import load_config
from harness.exit_codes import EnvironmentFailure, ExitCode, UsageError
from harness.journal import Journal, open_entries
from harness.judge import read_spec
from harness.registry import KEPT
from harness.run_folder import RunFolder
from harness.settings import docker_options, merge
from harness.terminal import say, show
from nemesis.recovery import heal as recover

T = TypeVar("T")


def up(name: str, config: Path | None, **given: Any) -> ExitCode:
    """``cluster up``: make a cluster that stays, and wait until it serves."""
    options = docker_options(merge(given, load_config(config, Path.cwd())))
    cluster = DockerCluster.new(options, name)
    try:
        _run(_up(cluster))
    except BaseException:
        _run(cluster.undo_start())
        raise
    say(f"{name} serves: PD at {', '.join(cluster.pd_addresses)}")
    show(f"{KEPT}{name}")
    return ExitCode.VALID


async def _up(cluster: DockerCluster) -> None:
    await cluster.start([])
    await cluster.stop()


def status(form: str | None) -> ExitCode:
    """``cluster status``: what is there, and in what state."""
    engine = Engine()
    described = [_run(_status(engine, found)) for found in find_clusters(engine)]
    if form == "json":
        show(msgspec.json.encode(described).decode())
        return ExitCode.VALID
    if not described:
        say("no cluster is there")
    for cluster in described:
        show(f"{cluster['name']}: {cluster['is']}")
        for node, words in cluster["nodes"].items():
            show(f"  {node:<6} {words}")
        for words in cluster["in force"]:
            show(f"  in force: {words}")
    return ExitCode.VALID


async def _status(engine: Engine, found: Found) -> dict[str, Any]:
    if found.layout is None:
        return {"name": found.name, "is": "parts of a cluster", "nodes": {}, "in force": []}
    cluster = DockerCluster(engine, found.layout, "there")
    try:
        return {
            "name": found.name,
            "is": _kind(found),
            "nodes": await cluster.states(),
            "in force": await _in_force(cluster),
        }
    finally:
        await cluster.close()


def _kind(found: Found) -> str:
    if found.orphaned:
        return "never finished" if found.stays else "left behind by a run that is gone"
    return "left running" if found.stays else "of a run"


async def _in_force(cluster: DockerCluster) -> list[str]:
    try:
        await cluster.reopen()
        return await cluster.residue()
    except EnvironmentFailure as failure:
        return [str(failure)]


def heal(target: str) -> ExitCode:
    """``cluster heal``: take every fault away that is in force, by a run's journal and by what is seen."""
    name, folder = _aim(target)
    cluster = DockerCluster.existing(name)
    cluster.take()
    failures = _run(_heal(cluster, folder))
    for failure in failures:
        say(failure)
    if failures:
        return ExitCode.ENVIRONMENT
    say(f"{name} is healed")
    return ExitCode.VALID


def _aim(target: str) -> tuple[str, RunFolder | None]:
    """The cluster that is meant, and the run whose journal says what is in force, if a run was named."""
    if not Path(target).exists():
        return target.removeprefix(KEPT), None
    folder = RunFolder.open(Path(target))
    name = read_spec(folder).cluster
    if name.startswith(KEPT):
        return name.removeprefix(KEPT), folder
    raise UsageError(f"{target} is no run on a cluster that was left running, but on {name}")


async def _heal(cluster: DockerCluster, folder: RunFolder | None) -> list[str]:
    """First what the journal says was begun, then whatever else is found."""
    failures: list[str] = []
    try:
        await cluster.reopen()
        if folder is not None:
            failures += await _undo(cluster, folder)
        return failures + await cluster.heal()
    finally:
        await cluster.close()


async def _undo(cluster: DockerCluster, folder: RunFolder) -> list[str]:
    entries = open_entries(folder.journal)
    if not entries:
        return []
    journal = Journal(folder.journal)
    try:
        recovery = await recover(entries, cluster.faults, journal.undone)
    finally:
        journal.close()
    for name in recovery.undone:
        say(f"undone: {name}")
    return recovery.failures


def logs(name: str, out: str) -> ExitCode:
    """``cluster logs``: write the log of every node to a folder."""
    cluster = DockerCluster.existing(name)
    _run(_save(cluster, Path(out)))
    for file in sorted(Path(out).glob("*.log")):
        show(str(file))
    return ExitCode.VALID


async def _save(cluster: DockerCluster, folder: Path) -> None:
    await cluster.save_all_logs(folder)
    await cluster.close()


def down(name: str) -> ExitCode:
    """``cluster down``: take a cluster away that nobody uses."""
    engine = Engine()
    with hold(name):
        removed = remove_cluster(engine, name)
    if not removed:
        raise UsageError(f"there is no cluster {name!r}")
    say(f"removed {', '.join(removed)}")
    return ExitCode.VALID


def clean(everything: bool) -> ExitCode:
    """``cluster clean``: take away what crashed runs left behind, or everything of ours."""
    engine = Engine()
    chosen = [found for found in find_clusters(engine) if everything or found.orphaned]
    removed = [name for found in chosen for name in remove_cluster(engine, found.name)] + remove_abandoned()
    say(f"removed {', '.join(removed)}" if removed else "nothing was left behind")
    return ExitCode.VALID


def _run(main: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(main)
