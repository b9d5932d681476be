"""A TiKV store: a process with one peer of each region it holds, one disk, and a line to PD."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from cluster.sim.disk import Disk
from cluster.sim.mvcc import Mvcc
from cluster.sim.network import Network
from cluster.sim.node import SimNode
from cluster.sim.peer import Peer, Reply
from cluster.sim.raft import Raft, RaftConfig
from cluster.sim.raft_log import RaftStorage
from cluster.sim.raft_messages import Message
from cluster.sim.region_machine import RegionMachine
from cluster.sim.store_pd import PdLine
from cluster.sim.wire import (
    Done,
    NotLeader,
    Region,
    RegionNotFound,
    ServerIsBusy,
    SplitRegion,
    StoreRequest,
    TransferLeader,
)
from cluster.sim.wire_pd import AskSplit, RegionHeartbeat, SplitId
from harness.clock import SECOND
from harness.rng import Streams
from harness.virtual_time import VirtualLoop

# TiKV's defaults: 10 election ticks of 1 s, a heartbeat every 2, raft-store-max-leader-lease 9 s.
RAFT_CONFIG: Final = RaftConfig(
    heartbeat_ns=2 * SECOND, election_ns=10 * SECOND, lease_ns=9 * SECOND, compact_after=200
)
_REPORT_NS: Final = 2 * SECOND
_NO_REGION: Final = 0  # region ids begin at 1


class TikvStore(SimNode):
    """One store. ``bootstrap`` it, add it to the network, then ``start`` it."""

    def __init__(  # noqa: PLR0917 (built in one place, the same as a PD member)
        self,
        name: str,
        loop: VirtualLoop,
        network: Network,
        streams: Streams,
        pd_members: Sequence[str],
        bugs: frozenset[str],
    ) -> None:
        super().__init__(name, loop)
        self.bugs = bugs
        self._network = network
        self._streams = streams
        self._disk = Disk(self, streams("disk", name))
        self._pd = PdLine(self, network, pd_members)
        self._peers: dict[int, Peer] = {}

    # What others may look at.

    def leads(self, region_id: int) -> bool:
        """Whether this store believes that it leads the region."""
        peer = self._peers.get(region_id)
        return peer is not None and peer.raft.is_leader

    def term(self, region_id: int) -> int:
        """The Raft term of the region here; 0 without one."""
        peer = self._peers.get(region_id)
        return peer.raft.term if peer is not None else 0

    def regions(self) -> list[Region]:
        """The regions whose data it has, as applied here."""
        return [peer.region for peer in self._peers.values() if peer.region is not None]

    def peer(self, region_id: int) -> Peer | None:
        """Its peer of a region."""
        return self._peers.get(region_id)

    # Life.

    def bootstrap(self, regions: Sequence[Region]) -> None:
        """Create the first regions, empty. The first store named in each campaigns at once when it is started."""
        for region in regions:
            self._add_peer(region.id, region, Mvcc())

    def on_start(self) -> None:
        """Recover from disk."""
        for peer in self._peers.values():
            region = peer.region
            first = region is not None and region.peers[0] == self.name
            peer.start(campaign=first and peer.raft.log.fresh)
        self.after(_REPORT_NS, self._report_all)

    def on_kill(self) -> None:
        """Forget what is not on disk."""
        self._disk.lose_unsynced()
        for peer in self._peers.values():
            peer.lose_memory()

    # Requests.

    def handle(self, source: str, request: Any, reply: Callable[[Any], None]) -> None:  # noqa: ARG002
        """Serve a client's command or an administrator's."""
        if isinstance(request, StoreRequest):
            self._execute(request, reply)
        elif isinstance(request, SplitRegion):
            self._split(request, reply)
        elif isinstance(request, TransferLeader):
            self._transfer(request, reply)
        else:
            raise TypeError(f"{self.name} does not serve {request!r}")

    def _execute(self, request: StoreRequest, reply: Reply) -> None:
        peer = self._peers.get(request.context.region_id)
        if peer is None or peer.region is None:
            reply(RegionNotFound(request.context.region_id))
            return
        refusal = peer.refusal(request.context)
        if refusal is not None:
            reply(refusal)
        else:
            peer.execute(request, reply)

    def _transfer(self, request: TransferLeader, reply: Reply) -> None:
        peer = self._peers.get(request.region_id)
        if peer is None:
            reply(RegionNotFound(request.region_id))
        elif not peer.raft.is_leader:
            reply(NotLeader(request.region_id, peer.raft.leader))
        else:
            peer.raft.transfer_leader(request.target)
            reply(Done())

    # Splitting.

    def _split(self, request: SplitRegion, reply: Reply) -> None:
        holding = [
            peer for peer in self._peers.values() if peer.region is not None and peer.region.contains(request.key)
        ]
        peer = next((peer for peer in holding if peer.raft.is_leader), None)
        if peer is None:
            reply(NotLeader(holding[0].region_id, holding[0].raft.leader) if holding else RegionNotFound(_NO_REGION))
            return
        region = peer.region
        assert region is not None
        if region.start == request.key:
            reply(Done())
        else:
            got_id = partial(self._split_with_id, peer, region.epoch.version, request.key, reply)
            self._pd.ask(AskSplit(region.id), got_id, tries=5)

    def _split_with_id(self, peer: Peer, version: int, key: bytes, reply: Reply, answer: Any) -> None:
        if isinstance(answer, SplitId):
            peer.split(version, key, answer.region_id, reply)
        else:
            reply(ServerIsBusy("PD gives no id for the new region"))

    def region_split(self, parent: Peer, right: Region, data: Mvcc) -> None:
        """A peer has applied a split: make the new region's peer, and let the store that led the parent lead it.

        A message of the new region may have come before. Then its peer is there, and may have voted; it may even have
        the region's data, from a snapshot that is newer than this split.
        """
        parent.split_off.append(right.id)
        peer = self._peers.get(right.id)
        if peer is None:
            peer = self._add_peer(right.id, right, data)
            peer.start()
        elif peer.region is None:
            peer.initialise(right, data)
        leadership = parent.raft.leadership
        if leadership is not None:
            leadership.broadcast_heartbeat()  # the others must apply the split to have the data
            peer.raft.campaign()
            self._report(parent)

    # The stores' Raft groups.

    def make_raft(self, region_id: int, peers: Sequence[str], machine: RegionMachine, storage: RaftStorage) -> Raft:
        """See ``PeerHost``."""
        group = str(region_id)
        stream = self._streams("raft", group, self.name)
        return Raft(self, self._network, self._disk, group, peers, RAFT_CONFIG, stream, machine, storage, self.bugs)

    def region_of(self, region_id: int) -> Region | None:
        """See ``PeerHost``."""
        peer = self._peers.get(region_id)
        return peer.region if peer is not None else None

    def receive_raft(self, group: str, message: Message) -> None:
        """Deliver a Raft message; one of a region not known here makes a peer that knows nothing yet, as in TiKV."""
        region_id = int(group)
        peer = self._peers.get(region_id)
        if peer is None:
            peer = self._add_peer(region_id, None, Mvcc())
            peer.start()
        peer.raft.receive(message)

    def _add_peer(self, region_id: int, region: Region | None, data: Mvcc) -> Peer:
        peer = self._peers[region_id] = Peer(self, region_id, region, data)
        peer.raft.on_role_change = partial(self._report, peer)
        return peer

    # Reports to PD.

    def _report_all(self) -> None:
        for peer in list(self._peers.values()):
            self._report(peer)
        self.after(_REPORT_NS, self._report_all)

    def _report(self, peer: Peer) -> None:
        region = peer.region
        if peer.raft.is_leader and region is not None:
            self._pd.ask(RegionHeartbeat(region, self.name, peer.raft.term), _ignore, tries=3)


def _ignore(answer: Any) -> None:
    pass
