"""From what was typed and what the TOML file says to a ``RunSpec``: the command line wins, then the file."""

from __future__ import annotations

import ipaddress
import re
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.exit_codes import UsageError
from harness.protocols import WorkloadOption
from harness.spec import NONE, DockerOptions, RunSpec, parse_duration
from harness.suggest import unknown_name

DEFAULTS: dict[str, Any] = {
    "cluster": "sim",
    "nemesis-interval": 5,
    "time-limit": 60,
    "concurrency": 10,
    "rate": 75,
    "nodes": 5,
    "out": "runs",
    "format": "text",
    "pd": 3,
    "kv": 3,
    "pd-image": "pingcap/pd",
    "kv-image": "pingcap/tikv",
    "version": "v8.5.4",
    "subnet": "198.18.0.0/24",
    "pd-config": "",
    "kv-config": "",
    "readback": 0.1,
    "client-anomalies": "unknown",
}

CLIENT_ANOMALIES = ("unknown", "fail", "ignore")

OPTIONS = frozenset({*DEFAULTS, "nemesis", "seed", "bug", "fail-fast"})

# The network's own address, the host's, broadcast, and as many for stores that join later.
RESERVED_ADDRESSES = 8

# Larger seeds would not survive readers of JSON that know doubles only.
MAX_SEED = 2**53 - 1


def merge(given: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """All options by their names with dashes; what was not given anywhere and has no default is None."""
    merged = {}
    for name in sorted(OPTIONS):
        typed = given.get(name.replace("-", "_"))
        merged[name] = typed if typed is not None else config.get(name, DEFAULTS.get(name))
    if merged["format"] not in ("text", "json"):
        raise UsageError(f"format must be text or json, not {merged['format']!r}")
    return merged


def to_spec(
    workload: str, options: Mapping[str, Any], workload_options: Mapping[str, Any], nemesis: Sequence[str]
) -> RunSpec:
    """Check the merged options and make the spec; ``nemesis`` and ``workload_options`` are resolved already."""
    cluster = options["cluster"]
    simulated = cluster == "sim"
    if options["bug"] and not simulated:
        raise UsageError("--bug plants a bug in the simulated cluster; a real one brings its own")
    seed = secrets.randbits(32) if options["seed"] is None else options["seed"]
    return RunSpec(
        workload=workload,
        cluster=cluster,
        nemesis=tuple(nemesis),
        nemesis_interval_s=parse_duration(options["nemesis-interval"], "nemesis-interval"),
        time_limit_s=parse_duration(options["time-limit"], "time-limit"),
        concurrency=_within("concurrency", options["concurrency"], 1, 10_000),
        rate=_rate(options["rate"]),
        seed=_within("seed", seed, 0, MAX_SEED),
        nodes=_within("nodes", options["nodes"], 3, 50),
        bug=options["bug"],
        workload_options=dict(workload_options),
        out=str(options["out"]),
        docker=docker_options(options) if cluster == "docker" else None,
        readback=0.0 if simulated else _share("readback", options["readback"]),
        client_anomalies=_one_of("client-anomalies", options["client-anomalies"], CLIENT_ANOMALIES),
        fail_fast=bool(options["fail-fast"]),
    )


def docker_options(options: Mapping[str, Any]) -> DockerOptions:
    """What a cluster in Docker is to consist of, from the merged options.

    Raises:
        UsageError: a value is wrong.
    """
    return DockerOptions(
        pd=_within("pd", options["pd"], 1, 9),
        kv=_within("kv", options["kv"], 1, 50),
        pd_image=str(options["pd-image"]),
        kv_image=str(options["kv-image"]),
        version=str(options["version"]),
        subnet=_subnet(options["subnet"], nodes=options["pd"] + options["kv"]),
        pd_config=_file("pd-config", options["pd-config"]),
        kv_config=_file("kv-config", options["kv-config"]),
    )


def _subnet(text: str, nodes: int) -> str:
    try:
        network = ipaddress.IPv4Network(text)
    except ValueError as error:
        raise UsageError(f"subnet must be an IPv4 network such as 198.18.0.0/24, not {text!r} ({error})") from None
    if network.num_addresses < nodes + RESERVED_ADDRESSES:
        raise UsageError(f"subnet {text} is too small for {nodes} nodes")
    return str(network)


def _file(name: str, path: str) -> str:
    if path and not Path(path).is_file():
        raise UsageError(f"{name}: there is no file {path}")
    return path


def _share(name: str, value: float) -> float:
    if not 0 <= value <= 1:
        raise UsageError(f"{name} is a share from 0 to 1, not {value}")
    return float(value)


def _one_of(name: str, value: str, choices: Sequence[str]) -> str:
    if value not in choices:
        raise UsageError(f"{name} must be one of {', '.join(choices)}, not {value!r}")
    return value


def split_names(asked: str | list[Any] | None, default: Sequence[str]) -> list[str]:
    """The names in ``--nemesis``, or ``default`` where nothing was asked."""
    if asked is None:
        return list(default)
    parts = asked if isinstance(asked, list) else asked.split(",")
    names = [str(part).strip() for part in parts]
    if names == [NONE]:
        return []
    if NONE in names:
        raise UsageError("--nemesis none goes with no other name")
    if "" in names:
        raise UsageError("--nemesis needs names, separated by commas, or all, or none")
    return list(dict.fromkeys(names))


def parse_workload_options(pairs: Sequence[str]) -> dict[str, str]:
    """``k=v`` pairs of ``--workload-opt``."""
    result = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise UsageError(f"--workload-opt takes NAME=VALUE, not {pair!r}")
        result[name.strip()] = value.strip()
    return result


def resolve_workload_options(known: Sequence[WorkloadOption], given: Mapping[str, Any]) -> dict[str, Any]:
    """Every option of a workload with its value, checked; defaults filled in."""
    by_name = {option.name: option for option in known}
    for name in given:
        if name.replace("-", "_") not in by_name:
            raise unknown_name("workload option", name, by_name)
    values = {name.replace("-", "_"): value for name, value in given.items()}
    return {option.name: _value(option, values.get(option.name, option.default)) for option in known}


def _value(option: WorkloadOption, value: Any) -> int | str:
    if isinstance(option.default, int):
        try:
            number = int(str(value))
        except ValueError:
            raise UsageError(f"workload option {option.name} must be a whole number, not {value!r}") from None
        if number < option.minimum or number >= 2**53:
            raise UsageError(f"workload option {option.name} must be at least {option.minimum}, not {value}")
        return number
    if option.choices and value not in option.choices:
        raise UsageError(f"workload option {option.name} must be one of {', '.join(option.choices)}, not {value!r}")
    return str(value)


def _within(name: str, value: int, low: int, high: int) -> int:
    if not low <= value <= high:
        raise UsageError(f"{name} must be from {low} to {high}, not {value}")
    return value


def _rate(value: float) -> float:
    if not 0 <= value <= 1_000_000:
        raise UsageError(f"rate must be from 0 (no limit) to 1000000 operations a second, not {value}")
    return float(value)


_LEAST_MEMORY = 64 << 20
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?", re.IGNORECASE)


def parse_size(text: str, name: str) -> int:
    """Bytes from ``500M``, ``1.5G`` or ``2GiB`` (powers of 1024); ``name`` is the option, for the error.

    Raises:
        UsageError: it is none of these, or below 64 MiB, which the program itself needs.
    """
    match = _SIZE.fullmatch(text.strip())
    size = int(float(match[1]) * 1024 ** " kmgt".index(match[2].lower() or " ")) if match else 0
    if size < _LEAST_MEMORY:
        raise UsageError(f"{name} must be an amount of memory such as 500M or 2G (at least 64M), not {text!r}")
    return size
