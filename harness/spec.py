"""What a run is asked to be: every option, from wherever it came, checked once and written down once.

A ``RunSpec`` holds all that is needed to run the same test again. It is what ``spec.json`` of a run's folder contains.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any

import msgspec

from harness.clock import SECOND
from harness.exit_codes import UsageError

NONE = "none"


class DockerOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a cluster in Docker consists of.

    Attributes:
        pd, kv: how many members and stores.
        pd_image, kv_image: names of images, without a tag.
        version: their tag.
        subnet: of its network, an IPv4 network in CIDR notation.
        pd_config, kv_config: files with the servers' own configuration; empty: that for small machines.
    """

    pd: int
    kv: int
    pd_image: str
    kv_image: str
    version: str
    subnet: str
    pd_config: str = ""
    kv_config: str = ""


class RunSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The options of a run.

    Attributes:
        workload: its name.
        cluster: ``sim``, ``docker`` (made for the run), ``docker:NAME`` (one that is left running) or
            ``pd://HOST:PORT[,HOST:PORT...]`` (somebody else's).
        nemesis: names of fault packages; empty: none.
        nemesis_interval_s: seconds from the start of one fault to the start of the next, on average.
        time_limit_s: seconds of the main phase, in the cluster's time.
        concurrency: client processes at once.
        rate: operations a second, over all processes together; 0: as fast as they go.
        seed: of all randomness.
        nodes: TiKV stores of a simulated cluster.
        bug: a planted bug of the simulated cluster, or None.
        workload_options: all of the workload's options.
        out: the folder below which run folders are made.
        docker: what a cluster that is made for the run consists of; None where none is.
        readback: the share of the commits that is read back afterwards; 0 where the client is not tikv-client.
        client_anomalies: what commits that the client carried out by half make of the verdict: ``unknown``, ``fail``
            or ``ignore``.
        fail_fast: end the run at the first violation.
    """

    workload: str
    cluster: str
    nemesis: tuple[str, ...]
    nemesis_interval_s: float
    time_limit_s: float
    concurrency: int
    rate: float
    seed: int
    nodes: int
    bug: str | None
    workload_options: dict[str, Any]
    out: str
    docker: DockerOptions | None = None
    readback: float = 0.0
    client_anomalies: str = "unknown"
    fail_fast: bool = False

    @staticmethod
    def of(content: Mapping[str, Any]) -> RunSpec:
        """The spec in what ``spec.json`` holds, which says more beside it.

        Raises:
            msgspec.ValidationError: a field is missing or of another type.
        """
        fields = {name: content[name] for name in RunSpec.__struct_fields__ if name in content}
        return msgspec.convert(fields, RunSpec)

    @property
    def time_limit_ns(self) -> int:
        """The main phase, in nanoseconds."""
        return round(self.time_limit_s * SECOND)

    @property
    def interval_ns(self) -> int:
        """The mean time between faults, in nanoseconds."""
        return round(self.nemesis_interval_s * SECOND)

    @property
    def simulated(self) -> bool:
        """Whether the cluster is the simulated one."""
        return self.cluster == "sim"

    def command_line(self) -> str:
        """One line that runs the same test again."""
        words = ["quorumquake", "run", self.workload]
        if not self.simulated:
            words += ["--cluster", self.cluster]
        words += ["--nemesis", ",".join(self.nemesis) or NONE]
        if self.nemesis:
            words += ["--nemesis-interval", _number(self.nemesis_interval_s)]
        words += ["--time-limit", _number(self.time_limit_s), "--concurrency", str(self.concurrency)]
        words += ["--rate", _number(self.rate), "--seed", str(self.seed)]
        if self.simulated:
            words += ["--nodes", str(self.nodes)]
        if self.docker is not None:
            words += docker_words(self.docker)
        if not self.simulated:
            words += ["--readback", f"{self.readback:g}", "--client-anomalies", self.client_anomalies]
        if self.fail_fast:
            words += ["--fail-fast"]
        if self.bug:
            words += ["--bug", self.bug]
        for name, value in self.workload_options.items():
            words += ["--workload-opt", f"{name}={value}"]
        return shlex.join(words)


def docker_words(options: DockerOptions) -> list[str]:
    """The command line's words for them."""
    words = ["--pd", str(options.pd), "--kv", str(options.kv)]
    words += ["--pd-image", options.pd_image, "--kv-image", options.kv_image, "--version", options.version]
    words += ["--subnet", options.subnet]
    for name, file in (("--pd-config", options.pd_config), ("--kv-config", options.kv_config)):
        if file:
            words += [name, file]
    return words


_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h)?")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}


def parse_duration(text: str | float, name: str) -> float:
    """Seconds from ``60``, ``1.5s``, ``2m``, ``1h`` or ``500ms``; ``name`` is the option, for the error.

    Raises:
        UsageError: it is none of these, or not above 0, or longer than 30 days.
    """
    match = _DURATION.fullmatch(str(text).strip())
    seconds = float(match[1]) * _SECONDS[match[2]] if match else 0.0
    if not 0 < seconds <= 30 * 86_400:
        raise UsageError(f"{name} must be a time such as 60, 90s, 2m or 1h (at most 30 days), not {text!r}")
    return seconds


def _number(value: float) -> str:
    return f"{value:g}" if value < 1e6 else str(int(value))
