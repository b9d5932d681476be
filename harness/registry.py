"""Names to things: where a workload or a kind of cluster is entered so that the command line knows it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

import msgspec

from cluster.api import Cluster
from cluster.external import ExternalCluster
from cluster.sim.bugs import BUGS
from cluster.sim.cluster import SimCluster
from harness.exit_codes import UsageError
from harness.protocols import Workload
from harness.rng import Streams
from harness.settings import OPTIONS, merge, resolve_workload_options, split_names, to_spec
from harness.spec import RunSpec
from harness.suggest import unknown_name
from nemesis.registry import ALL, expand
from workloads.bank import Bank

KEPT = "docker:"  # before the name of a cluster that was left running

WORKLOADS: Mapping[str, type[Workload]] = {cls.name: cls for cls in (Bank,)}


def workload_class(name: str) -> type[Workload]:
    """The workload of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in WORKLOADS:
        raise unknown_name("workload", name, WORKLOADS)
    return WORKLOADS[name]


def workload_options(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """All options of a workload, checked, defaults filled in."""
    options = resolve_workload_options(workload_class(name).OPTIONS, given)
    workload_class(name)(options, run_id="check")  # it may refuse a combination
    return options


def make_spec(workload: str, workload_options: Mapping[str, Any] | None = None, **options: Any) -> RunSpec:
    """The spec of a run, checked; what is left out has the default that the command line has.

    Args:
        workload: its name.
        workload_options: those of its own options that are given.
        options: those of ``quorumquake run``, with underscores: ``seed=7, bug="unsynced-log", time_limit="2m"``.

    Raises:
        UsageError: a name or a value is wrong.
    """
    known = OPTIONS - {"format"}
    for name in options:
        if name.replace("_", "-") not in known:
            raise unknown_name("option", name, known)
    return spec_of(workload, merge(options, {}), workload_options or {})


def spec_of(workload: str, options: Mapping[str, Any], own: Mapping[str, Any]) -> RunSpec:
    """The spec of merged options (``harness.settings.merge``) and of the workload's own.

    Raises:
        UsageError: a name or a value is wrong.
    """
    check_cluster(options["cluster"])
    check_bug(options["bug"])
    spec = to_spec(workload, options, workload_options(workload, own), ())
    names = split_names(options["nemesis"], default_nemesis(options["cluster"], options["bug"]))
    capabilities = make_cluster(spec).capabilities() if ALL in names else {}
    return msgspec.structs.replace(spec, nemesis=expand(names, capabilities))


def default_nemesis(cluster: str, bug: str | None) -> tuple[str, ...]:
    """What ``--nemesis`` is where it is not given: what a planted bug needs in order to show, else all that is ours."""
    if bug is not None:
        return BUGS[bug].needs
    return () if cluster.startswith("pd://") else (ALL,)


def new_run_id(spec: RunSpec) -> str:
    """What makes the keys of a run on a real cluster its own; on a simulated one nobody else is there."""
    return "sim" if spec.simulated else secrets.token_hex(6)


def make_workload(spec: RunSpec, run_id: str) -> Workload:
    """The workload of a run. The same spec and ``run_id`` make the same one."""
    return workload_class(spec.workload)(spec.workload_options, run_id)


def check_cluster(name: str) -> None:
    """Raise a UsageError unless ``--cluster`` names a kind of cluster there is."""
    if name not in ("sim", "docker") and not name.startswith(("pd://", KEPT)):
        raise UsageError(f"--cluster takes sim, docker, docker:NAME or pd://HOST:PORT[,HOST:PORT...], not {name!r}")


def check_bug(name: str | None) -> None:
    """Raise a UsageError unless there is such a planted bug."""
    if name is not None and name not in BUGS:
        raise unknown_name("bug", name, BUGS)


def make_cluster(spec: RunSpec) -> Cluster:
    """The cluster of a run, not started."""
    if spec.simulated:
        bugs = frozenset({spec.bug} if spec.bug else ())
        return SimCluster(Streams(spec.seed).below("cluster"), nodes=spec.nodes, bugs=bugs)
    if spec.cluster.startswith("pd://"):
        return ExternalCluster(spec.cluster)
    from cluster.docker.cluster import DockerCluster  # noqa: PLC0415 (a fifth of a second that only this needs)

    if spec.docker is not None:
        return DockerCluster.new(spec.docker)
    return DockerCluster.existing(spec.cluster.removeprefix(KEPT))
