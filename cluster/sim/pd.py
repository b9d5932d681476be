"""A member of PD, the placement driver: timestamps, the way to regions, new ids.

The members are a Raft group of their own (PD embeds etcd for this). Its leader serves: timestamps once it has opened a
window above all that earlier leaders saved (``tso.py``), and each only while its lease holds at that very moment, so
that a deposed leader, paused or cut off, never serves beside the next one. Routes are kept in memory and learnt anew
from the stores' heartbeats by each leader.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from cluster.sim.bugs import TSO_FALLBACK
from cluster.sim.disk import Disk
from cluster.sim.network import Network
from cluster.sim.node import SimNode
from cluster.sim.pd_machine import AllocateId, PdMachine, SaveWindow
from cluster.sim.pd_regions import RegionTable
from cluster.sim.raft import Raft, RaftConfig
from cluster.sim.raft_log import RaftStorage
from cluster.sim.raft_messages import Message
from cluster.sim.tso import SAVE_INTERVAL_MS, UPDATE_INTERVAL_NS, TimestampOracle, first_physical
from cluster.sim.wire import Done, Region
from cluster.sim.wire_pd import AskSplit, GetRegion, GetTimestamps, PdNotLeader, RegionHeartbeat, SplitId, Timestamps
from harness.clock import MILLISECOND, SECOND
from harness.rng import Streams
from harness.virtual_time import VirtualLoop

# etcd's heartbeat and election time-out as PD sets them; the lease below it by what clocks may err, and more.
RAFT_CONFIG: Final = RaftConfig(
    heartbeat_ns=500 * MILLISECOND, election_ns=3 * SECOND, lease_ns=2700 * MILLISECOND, compact_after=50
)
_GROUP: Final = "pd"
_RETRIES: Final = 10  # of a request for timestamps, one per update

Reply = Callable[[Any], object]


class PdMember(SimNode):
    """One member. ``bootstrap`` it, add it to the network, then ``start`` it."""

    def __init__(  # noqa: PLR0917 (built in one place, the same as a store)
        self,
        name: str,
        members: Sequence[str],
        loop: VirtualLoop,
        network: Network,
        streams: Streams,
        bugs: frozenset[str],
    ) -> None:
        super().__init__(name, loop)
        self._bugs = bugs
        self._stream = streams("pd", name)
        self._disk = Disk(self, streams("disk", name))
        self._machine = PdMachine()
        self._first = members[0] == name
        # The planted bugs of Raft are those of TiKV: PD has its own implementation (etcd's).
        self._raft = Raft(
            self,
            network,
            self._disk,
            _GROUP,
            members,
            RAFT_CONFIG,
            streams("raft", _GROUP, name),
            self._machine,
            RaftStorage(),
            frozenset(),
        )
        self._raft.on_role_change = self._role_changed
        self._oracle = TimestampOracle()
        self._saving = False  # the window is being opened or extended: one at a time
        self._bootstrapped: tuple[Region, ...] = ()
        self._regions = RegionTable(())
        self._resigned_term = 0  # the last term in which this member was asked to hand over

    def bootstrap(self, regions: Sequence[Region]) -> None:
        """Tell of the regions that there are at the very beginning; before the first start."""
        self._bootstrapped = tuple(regions)
        self._machine.bootstrap(max((region.id for region in regions), default=0) + 1)

    # Life.

    def on_start(self) -> None:
        """Recover from disk."""
        self._raft.start(campaign=self._first and self._raft.log.fresh)
        self.after(UPDATE_INTERVAL_NS, self._update_oracle)

    def on_kill(self) -> None:
        """Forget what is not on disk."""
        self._end_term()
        self._disk.lose_unsynced()
        self._machine.lose_unflushed()
        self._raft.stop()

    def receive_raft(self, group: str, message: Message) -> None:  # noqa: ARG002
        """Deliver a Raft message; a member of PD has one group."""
        self._raft.receive(message)

    # Leadership.

    @property
    def is_leader(self) -> bool:
        """Whether this member leads and serves timestamps."""
        leadership = self._raft.leadership
        if leadership is None or not self._oracle.ready:
            return False
        # After a transfer that came to nothing there is no lease in this term, but it serves (``_confirm``).
        return self._raft.lease_valid() or (self._resigned_term == leadership.term and leadership.transferee is None)

    def transfer_leader(self, target: str | None = None) -> None:
        """Hand over to ``target``, or to any member heard of lately. Nothing if this one does not lead."""
        leadership = self._raft.leadership
        if leadership is None:
            return
        if target is None:
            lately = 2 * RAFT_CONFIG.heartbeat_ns
            able = [peer for peer in self._raft.others if leadership.lease.answered_within(peer, lately)]
            if not able:
                return
            target = self._stream.choice(able)
        self._resigned_term = leadership.term
        self._raft.transfer_leader(target)

    def _end_term(self) -> None:
        self._oracle.close()
        self._saving = False

    def _role_changed(self) -> None:
        self._end_term()
        if self._raft.is_leader:
            self._regions = RegionTable(self._bootstrapped)
            self._open_oracle()

    # Requests.

    def handle(self, source: str, request: Any, reply: Reply) -> None:  # noqa: ARG002
        """Serve a client or a store."""
        kind = type(request)
        if kind is GetTimestamps:
            # The lease is looked at in the same breath as the timestamp is given: nothing can come between.
            if self._oracle.ready and self._raft.lease_valid():
                last = self._oracle.generate(request.count)
                if last:
                    reply(Timestamps(last))
                    return
            self._timestamps_later(request, reply, _RETRIES)
        elif not self._raft.is_leader:
            reply(PdNotLeader(self._raft.leader))
        elif kind is GetRegion:
            reply(self._regions.find(request.key))
        elif kind is RegionHeartbeat:
            self._regions.heartbeat(request.region, request.leader, request.term)
            reply(Done())
        elif kind is AskSplit:
            self._allocate_id(reply)
        else:
            raise TypeError(f"{self.name} does not serve {request!r}")

    def _allocate_id(self, reply: Reply) -> None:
        def done(ok: bool) -> None:
            reply(SplitId(self._machine.state.next_id - 1) if ok else PdNotLeader(None))

        self._raft.propose(AllocateId(), done)

    # Timestamps.

    def _timestamps_later(self, request: GetTimestamps, reply: Reply, retries: int) -> None:
        """There is no lease, no window yet, or none left: ask Raft, or wait for the next update."""
        if not self._raft.is_leader or not retries:
            reply(PdNotLeader(None if self._raft.leader == self.name else self._raft.leader))
        elif not self._oracle.ready:
            self.after(UPDATE_INTERVAL_NS, self._timestamps_later, request, reply, retries - 1)
        else:
            self._raft.read(partial(self._confirmed, request, reply, retries))

    def _confirmed(self, request: GetTimestamps, reply: Reply, retries: int, still_leader: bool) -> None:
        """A quorum was still with this leader after the request had come, so it may be served as of then."""
        last = self._oracle.generate(request.count) if still_leader and self._oracle.ready else 0
        if last:
            reply(Timestamps(last))
        elif still_leader:
            self.after(UPDATE_INTERVAL_NS, self._timestamps_later, request, reply, retries - 1)
        else:
            reply(PdNotLeader(self._raft.leader))

    def _open_oracle(self) -> None:
        """At the beginning of a term: learn what was saved in all earlier ones, save more, then serve."""
        self._saving = True
        self._raft.read(self._saved_is_known)

    def _saved_is_known(self, still_leader: bool) -> None:
        if still_leader:
            saved_ms = 0 if TSO_FALLBACK in self._bugs else self._machine.state.saved_ms
            self._save(first_physical(self.wall() // MILLISECOND, saved_ms), self._oracle.open)

    def _update_oracle(self) -> None:
        self.after(UPDATE_INTERVAL_NS, self._update_oracle)
        if self._saving or not self._raft.is_leader:
            return
        if not self._oracle.ready:
            self._open_oracle()  # the last attempt failed: a transfer was under way
            return
        physical_ms = self._oracle.update(self.wall() // MILLISECOND)
        if physical_ms is not None:
            self._saving = True
            self._save(physical_ms, self._oracle.extend)

    def _save(self, physical_ms: int, then: Callable[[int, int], None]) -> None:
        """Save a window for ``physical_ms`` through Raft; then use it, if this member still leads."""
        saved_ms = physical_ms + SAVE_INTERVAL_MS

        def done(ok: bool) -> None:
            self._saving = False
            if ok:
                then(physical_ms, saved_ms)

        self._raft.propose(SaveWindow(saved_ms), done)
