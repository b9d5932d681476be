"""What works on this machine, what does not, why, and what to do about it."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import msgspec

from harness.exit_codes import EnvironmentFailure

# What is in ``cluster`` is imported where it is needed: a folder of the user's may hide it, and that is to be told.

State = Literal["ok", "missing", "wrong"]

PACKAGES = ("harness", "workloads", "nemesis", "checkers", "reports", "cluster")
_NEEDED = ("click", "docker", "httpx", "jinja2", "matplotlib", "msgspec", "networkx", "numpy", "pandas")
_NEEDED += ("rich", "scipy")


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at.

    Attributes:
        state: ``ok``, ``missing`` (something optional cannot be used) or ``wrong`` (nothing works until it is mended).
        says: what was seen, and what to do.
    """

    subject: str
    state: State
    says: str


def examine() -> list[Finding]:
    """Look at everything; never raises."""
    findings: list[Finding] = []
    for look in (_python, _libraries, _shadowing, _tikv_client, _docker, _faults, _chromium, _folder):
        try:
            findings.extend(look())
        except Exception as error:  # noqa: BLE001 (a doctor who faints helps nobody)
            findings.append(Finding(look.__name__.strip("_"), "wrong", f"could not be examined: {error!r}"))
    return findings


def _python() -> Iterator[Finding]:
    version = platform.python_version()
    if sys.version_info < (3, 11):  # noqa: UP036 (run from a checkout by whatever Python there is)
        yield Finding("python", "wrong", f"{version} is too old: 3.11 or newer is needed")
    else:
        yield Finding("python", "ok", f"{version} ({platform.python_implementation()}, {platform.machine()})")


def _libraries() -> Iterator[Finding]:
    absent = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if absent:
        yield Finding("libraries", "wrong", f"not installed: {', '.join(absent)}; run `pip install quorumquake`")
    else:
        yield Finding("libraries", "ok", "all there; the simulated cluster needs nothing else")


def _shadowing() -> Iterator[Finding]:
    """Our top-level names are common ones: a folder of the user's may hide one of them."""
    home = Path(__file__).resolve().parent.parent
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        found = Path(spec.origin).resolve().parent if spec and spec.origin else None
        if found != home / name:
            where = found or next(iter(spec.submodule_search_locations or []), "?") if spec else "nowhere"
            yield Finding(
                "import names",
                "wrong",
                f"`import {name}` finds {where}, not quorumquake's: start `quorumquake` from another folder, or take "
                f"the folder that holds {name}/ out of PYTHONPATH",
            )
            return
    yield Finding("import names", "ok", f"none of {', '.join(PACKAGES)} is hidden by a folder of yours")


def _tikv_client() -> Iterator[Finding]:
    from cluster.tikv_wheel import PINNED, client_version  # noqa: PLC0415

    subject = "tikv-client"
    version = client_version()
    if version and version != PINNED:
        says = f"{version} is installed, but what its errors mean is known for {PINNED} only: "
        yield Finding(subject, "missing", f"{says}`pip install tikv-client=={PINNED}`")
    elif version:
        yield Finding(subject, "ok", f"{version}: --cluster docker and --cluster pd://HOST:PORT can be used")
    else:
        why = f"is not installed: `pip install tikv-client=={PINNED}`"
        if sys.version_info[:2] != (3, 11) or platform.machine() not in ("x86_64", "AMD64"):
            why = (
                "has wheels for CPython 3.11 on x86_64 only, and this is "
                f"{platform.python_version()} on {platform.machine()}: use such a Python for real clusters"
            )
        yield Finding(subject, "missing", f"{why}; the simulated cluster works without it")


def _docker() -> Iterator[Finding]:
    from cluster.docker.engine import Engine  # noqa: PLC0415

    try:
        engine = Engine()
    except EnvironmentFailure as failure:
        yield Finding("docker", "missing", str(failure))
        return
    yield Finding("docker", "ok", f"engine {engine.version} answers: --cluster docker can be used")
    engine.close()


def _faults() -> Iterator[Finding]:
    """What could be injected into a cluster in Docker: tried, on nothing but what was made for trying."""
    from cluster.docker.cluster import local_capabilities  # noqa: PLC0415

    for names, capability in local_capabilities():
        subject = f"fault: {names}"
        if capability.available:
            yield Finding(subject, "ok", "can be injected into a cluster in Docker")
        else:
            yield Finding(subject, "missing", capability.reason)


def _chromium() -> Iterator[Finding]:
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path:
        yield Finding("chromium", "ok", f"{path}: the tests of the report can run")
    else:
        yield Finding(
            "chromium", "missing", "not found; only tests of the report need it (Debian: apt install chromium)"
        )


def _folder() -> Iterator[Finding]:
    here = Path.cwd()
    if not os.access(here, os.W_OK):
        yield Finding("current folder", "missing", f"{here} cannot be written: use --out DIR for the runs")
        return
    free = shutil.disk_usage(here).free
    state: State = "ok" if free > 200_000_000 else "missing"
    yield Finding("current folder", state, f"{here}, {free / 1e9:.1f} GB free")


def print_findings(findings: list[Finding], write: Callable[[str], object]) -> None:
    """One line each."""
    mark = {"ok": "ok     ", "missing": "missing", "wrong": "WRONG  "}
    width = max(len(finding.subject) for finding in findings)
    for finding in findings:
        write(f"{mark[finding.state]}  {finding.subject:<{width}}  {finding.says}")
