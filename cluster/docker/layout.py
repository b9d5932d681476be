"""What a cluster in Docker consists of: names, addresses, labels and command lines. Nothing here talks to Docker."""

from __future__ import annotations

import ipaddress
import re
from typing import Final, Literal

import msgspec

from cluster.api import Node, Role
from harness.exit_codes import UsageError
from harness.spec import DockerOptions

# Labels of all that is ours. Whatever bears the first one is removed by `quorumquake cluster clean` and `down`.
CLUSTER: Final = "quorumquake.cluster"
NODE: Final = "quorumquake.node"
ROLE: Final = "quorumquake.role"
PART: Final = "quorumquake.part"  # NETWORK_PART, SERVER_PART or HELPER_PART
OPTIONS: Final = "quorumquake.options"  # on the network: DockerOptions as JSON
OWNER: Final = "quorumquake.owner"  # on the network: the process that made it
STAYS: Final = "quorumquake.stays"  # on the network: not empty if it is to outlive that process

Part = Literal["network", "server"]
NETWORK_PART: Final = "network"
SERVER_PART: Final = "server"
HELPER_PART: Final = "helper"  # what works in a node's network for a harness without root

PD_CLIENT_PORT: Final = 2379
PD_PEER_PORT: Final = 2380
KV_PORT: Final = 20160
KV_STATUS_PORT: Final = 20180

PD_PROGRAM: Final = "/pd-server"
KV_PROGRAM: Final = "/tikv-server"
CONFIG: Final = "/quorumquake/config.toml"
DATA: Final = "/quorumquake/data"

_FIRST_HOST: Final = 2  # the network's own address and the host's come before
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")


class Place(msgspec.Struct, frozen=True):
    """A node's place in the cluster: its name, what it is, and its fixed address."""

    name: str
    role: Role
    address: str

    @property
    def port(self) -> int:
        """Where it answers clients."""
        return PD_CLIENT_PORT if self.role == "pd" else KV_PORT

    @property
    def node(self) -> Node:
        """As the faults know it."""
        return Node(self.name, self.role)


class Layout(msgspec.Struct, frozen=True):
    """All of a cluster.

    Attributes:
        name: of the cluster, part of the name of every object.
        options: what was asked for.
        places: of the nodes, PD's first.
    """

    name: str
    options: DockerOptions
    places: tuple[Place, ...]

    @staticmethod
    def of(name: str, options: DockerOptions) -> Layout:
        """The layout of a new cluster.

        Raises:
            UsageError: the name would not do for Docker.
        """
        if not _NAME.fullmatch(name):
            raise UsageError(f"a cluster's name is of small letters, digits and dashes, at most 31, not {name!r}")
        pds: list[tuple[str, Role]] = [(f"pd{i + 1}", "pd") for i in range(options.pd)]
        stores: list[tuple[str, Role]] = [(f"kv{i + 1}", "tikv") for i in range(options.kv)]
        names = enumerate([*pds, *stores])
        places = [Place(node, role, address_of(options.subnet, at)) for at, (node, role) in names]
        return Layout(name, options, tuple(places))

    @property
    def network(self) -> str:
        """The name of its network."""
        return f"qq-{self.name}"

    @property
    def pds(self) -> list[Place]:
        """PD's members."""
        return [place for place in self.places if place.role == "pd"]

    @property
    def pd_addresses(self) -> tuple[str, ...]:
        """Where PD answers clients."""
        return tuple(f"{place.address}:{PD_CLIENT_PORT}" for place in self.pds)

    def container(self, node: str, part: Part) -> str:
        """The name of a node's container."""
        return f"qq-{self.name}-{node}" + ("-net" if part == NETWORK_PART else "")

    def labels(self, place: Place, part: Part) -> dict[str, str]:
        """Of a node's container."""
        return {CLUSTER: self.name, NODE: place.name, ROLE: place.role, PART: part}

    def joining(self, node: str) -> Place:
        """The place of a store that joins later; the first address that no node has.

        Raises:
            UsageError: the subnet is full.
        """
        taken = {place.address for place in self.places}
        for at in range(len(self.places), ipaddress.IPv4Network(self.options.subnet).num_addresses):
            address = address_of(self.options.subnet, at)
            if address not in taken:
                return Place(node, "tikv", address)
        raise UsageError(f"no address is left in {self.options.subnet}")

    def image(self, role: Role) -> str:
        """The image of a node, with its tag."""
        name = self.options.pd_image if role == "pd" else self.options.kv_image
        return f"{name}:{self.options.version}"

    def command(self, place: Place) -> list[str]:
        """The command line of a node's server: PD's or TiKV's own flags."""
        if place.role == "pd":
            return [PD_PROGRAM, *_pd_flags(place, self.pds)]
        return [KV_PROGRAM, *_kv_flags(place, self.pd_addresses)]


def address_of(subnet: str, at: int) -> str:
    """The address of the node with this number."""
    return str(ipaddress.IPv4Network(subnet)[_FIRST_HOST + at])


def _pd_flags(place: Place, members: list[Place]) -> list[str]:
    initial = ",".join(f"{member.name}=http://{member.address}:{PD_PEER_PORT}" for member in members)
    return [
        f"--name={place.name}",
        f"--data-dir={DATA}",
        f"--config={CONFIG}",
        f"--client-urls=http://0.0.0.0:{PD_CLIENT_PORT}",
        f"--advertise-client-urls=http://{place.address}:{PD_CLIENT_PORT}",
        f"--peer-urls=http://0.0.0.0:{PD_PEER_PORT}",
        f"--advertise-peer-urls=http://{place.address}:{PD_PEER_PORT}",
        f"--initial-cluster={initial}",
    ]


def _kv_flags(place: Place, pd_addresses: tuple[str, ...]) -> list[str]:
    return [
        f"--addr=0.0.0.0:{KV_PORT}",
        f"--advertise-addr={place.address}:{KV_PORT}",
        f"--status-addr=0.0.0.0:{KV_STATUS_PORT}",
        f"--advertise-status-addr={place.address}:{KV_STATUS_PORT}",
        f"--pd-endpoints={','.join(pd_addresses)}",
        f"--data-dir={DATA}",
        f"--config={CONFIG}",
    ]
