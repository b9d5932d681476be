"""What there is of ours in Docker, found by labels alone: whoever made it may be gone."""

from __future__ import annotations

import contextlib
import ipaddress
import secrets
from typing import Any

import docker.errors
import docker.types
import msgspec

from cluster.docker.engine import Engine
from cluster.docker.layout import (
    CLUSTER,
    NETWORK_PART,
    NODE,
    OPTIONS,
    OWNER,
    PART,
    ROLE,
    SERVER_PART,
    STAYS,
    Layout,
    Place,
)
from cluster.docker.node import remove_container
from cluster.docker.owner import is_alive
from harness.exit_codes import EnvironmentFailure
from harness.spec import DockerOptions


class Found(msgspec.Struct, frozen=True):
    """A cluster that is there, whole or in parts.

    Attributes:
        layout: as far as its objects tell it; None without a network that says what was asked for.
        stays: it was meant to outlive whoever made it.
        orphaned: whoever made it is gone, and it was made for one run or was never finished.
    """

    name: str
    layout: Layout | None
    stays: bool
    orphaned: bool


def new_name() -> str:
    """For a cluster that is made for one run."""
    return f"run-{secrets.token_hex(3)}"


def find_clusters(engine: Engine) -> list[Found]:
    """All clusters, by name. Blocks."""
    # In this order: a cluster that is just being made has its network first, and is not to look like one without.
    containers = engine.do(engine.api.containers, all=True, filters=_ours())
    networks = {network["Labels"][CLUSTER]: network for network in engine.do(engine.api.networks, filters=_ours())}
    names = sorted({*networks, *(container["Labels"][CLUSTER] for container in containers)})
    return [_found(name, networks.get(name), containers) for name in names]


def _found(name: str, network: dict[str, Any] | None, containers: list[dict[str, Any]]) -> Found:
    if network is None:
        return Found(name, None, stays=False, orphaned=True)
    labels = network["Labels"]
    stays = bool(labels.get(STAYS))
    layout = None
    finished = False
    with contextlib.suppress(msgspec.MsgspecError, KeyError):
        options = msgspec.json.decode(labels[OPTIONS], type=DockerOptions)
        layout = Layout(name, options, _places(name, network, containers))
        finished = _started_once(name, containers) >= options.pd + options.kv
    return Found(name, layout, stays, orphaned=not is_alive(labels.get(OWNER, "")) and not (stays and finished))


def _started_once(name: str, containers: list[dict[str, Any]]) -> int:
    """How many servers of a cluster have ever run."""
    return sum(server["State"] != "created" for server in _those(name, SERVER_PART, containers))


def _places(name: str, network: dict[str, Any], containers: list[dict[str, Any]]) -> tuple[Place, ...]:
    places = []
    for container in _those(name, NETWORK_PART, containers):
        labels = container["Labels"]
        endpoint = container["NetworkSettings"]["Networks"].get(network["Name"], {})
        address = endpoint.get("IPAddress") or (endpoint.get("IPAMConfig") or {}).get("IPv4Address", "")
        places.append(Place(labels[NODE], labels[ROLE], address))
    return tuple(sorted(places, key=lambda place: (place.role, ipaddress.IPv4Address(place.address or "0.0.0.0"))))  # noqa: S104


def _those(name: str, part: str, containers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The containers of a cluster that are this part of a node."""
    return [each for each in containers if (each["Labels"][CLUSTER], each["Labels"].get(PART)) == (name, part)]


def find_cluster(engine: Engine, name: str) -> Found | None:
    """The cluster of that name. Blocks."""
    return next((found for found in find_clusters(engine) if found.name == name), None)


def make_network(engine: Engine, layout: Layout, owner: str, *, stays: bool = False) -> None:
    """Make the network of a cluster, for the process ``owner`` or to stay. Blocks.

    Raises:
        EnvironmentFailure: the name or the subnet is in use.
    """
    if find_cluster(engine, layout.name) is not None:
        raise EnvironmentFailure(
            f"there is a cluster {layout.name!r} already: `quorumquake cluster down {layout.name}`"
        )
    pool = docker.types.IPAMPool(subnet=layout.options.subnet)
    labels = {
        CLUSTER: layout.name,
        PART: "network",
        OPTIONS: msgspec.json.encode(layout.options).decode(),
        OWNER: owner,
        STAYS: "yes" if stays else "",
    }
    try:
        engine.do(
            engine.api.create_network,
            layout.network,
            driver="bridge",
            ipam=docker.types.IPAMConfig(pool_configs=[pool]),
            labels=labels,
            check_duplicate=True,
        )
    except EnvironmentFailure as failure:
        if "overlap" not in str(failure):
            raise
        users = [found.name for found in find_clusters(engine)]
        hint = f" (clusters that are there: {', '.join(users)}; `quorumquake cluster clean`)" if users else ""
        raise EnvironmentFailure(
            f"the subnet {layout.options.subnet} is in use{hint}: choose another one with --subnet"
        ) from None


def remove_cluster(engine: Engine, name: str) -> list[str]:
    """Take all objects of a cluster away; return their names. Blocks.

    Raises:
        EnvironmentFailure: the first thing that could not be taken away, after all the others were.
    """
    mine = {"label": f"{CLUSTER}={name}"}
    removed = []
    failures = []
    # Servers first: they live in the network of the others.
    containers = engine.do(engine.api.containers, all=True, filters=mine)
    for container in sorted(containers, key=lambda container: container["Labels"].get(PART) == NETWORK_PART):
        try:
            engine.do(remove_container, engine, container["Id"])
        except EnvironmentFailure as failure:
            failures.append(failure)
        else:
            removed.append(container["Names"][0].lstrip("/"))
    if failures:
        raise failures[0]  # the network stays: it says what the rest belongs to
    for network in engine.do(engine.api.networks, filters=mine):
        with contextlib.suppress(docker.errors.NotFound):
            engine.do(engine.api.remove_network, network["Id"])
        removed.append(network["Name"])
    return removed


def _ours() -> dict[str, str]:
    return {"label": CLUSTER}
