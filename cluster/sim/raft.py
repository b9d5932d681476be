"""One member of a Raft group on a simulated node: the protocol of Ongaro's thesis as etcd and raft-rs run it.

With pre-vote, check-quorum, pipelined replication, snapshots, leader transfer, leases and read indices. This file has
the member: its place in the term, its mail, and the application of what is committed. ``raft_election.py`` has the way
to leadership, ``raft_leader.py`` the leader's side, ``lease.py`` its reads, ``raft_follower.py`` the followers' side,
``raft_log.py`` the disk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

from msgspec import Struct

from cluster.sim.bugs import UNSYNCED_LOG
from cluster.sim.disk import Disk
from cluster.sim.network import Network
from cluster.sim.node import SimNode
from cluster.sim.raft_election import Election
from cluster.sim.raft_follower import Follower
from cluster.sim.raft_leader import Leadership
from cluster.sim.raft_log import RaftStorage
from cluster.sim.raft_messages import (
    Append,
    AppendReply,
    Entry,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    Message,
    TimeoutNow,
    VoteReply,
    VoteRequest,
)
from harness.clock import SECOND
from harness.rng import Stream

_BACKGROUND_SYNC_NS = 5 * SECOND  # only with UNSYNCED_LOG


class RaftConfig(Struct, frozen=True):
    """Time-outs in nanoseconds of a member's own monotonic clock.

    ``lease_ns`` must be below ``election_ns`` by more than the clocks' rates may differ. The log is compacted when
    ``2 * compact_after`` entries are flushed, down to ``compact_after``.
    """

    heartbeat_ns: int
    election_ns: int
    lease_ns: int
    compact_after: int


class StateMachine(Protocol):
    """What the log drives."""

    def apply(self, entry: Entry) -> None:
        """Apply a committed entry; called in the order of the log, once in a life. ``data`` None: a no-op."""
        ...

    def snapshot(self) -> Any:
        """The state after the last entry applied, and that entry's index; immutable."""
        ...

    def restore(self, snapshot: Any) -> None:
        """Become that state, durably: ``flushed`` is the snapshot's index afterwards."""
        ...

    def flushed(self) -> int:
        """The index of the last entry whose effect is on disk; a restart replays the log from there."""
        ...


class Raft:
    """One member of one group.

    Attributes:
        peers: names of all members' nodes; empty for a member that a message created and that waits for a snapshot.
        leader: who leads as far as this member knows, or None.
        commit: the last entry known to be committed.
        applied_index, applied_term: the last entry applied.
        leadership: the leader's side while this member leads, else None.
        on_role_change: called when this member becomes leader and when it ceases to be.
    """

    def __init__(  # noqa: PLR0917 (the parts of a member, all different in type)
        self,
        node: SimNode,
        network: Network,
        disk: Disk,
        group: str,
        peers: Sequence[str],
        config: RaftConfig,
        stream: Stream,
        machine: StateMachine,
        storage: RaftStorage,
        bugs: frozenset[str],
    ) -> None:
        self.node = node
        self.me = node.name
        self.group = group
        self.config = config
        self.stream = stream
        self.machine = machine
        self.log = storage
        self.bugs = bugs
        self.on_role_change: Callable[[], object] = _nothing
        self._network = network
        self._disk = disk
        self.set_peers(peers)
        self.leader: str | None = None
        self.leadership: Leadership | None = None
        self.commit = self.applied_index = storage.base_index
        self.applied_term = storage.base_term
        self._applying = False
        self._follower = Follower(self)
        self._election: Election | None = None

    def set_peers(self, peers: Sequence[str]) -> None:
        """Name the members, once they are known."""
        self.peers = tuple(peers)
        self.others = tuple(peer for peer in peers if peer != self.me)

    # Life.

    def start(self, *, campaign: bool = False) -> None:
        """Begin to take part, from what is on disk. ``campaign``: stand for election at once.

        Only one member of a group that has never had a leader should campaign at once (``storage.fresh``).
        """
        self.leader = None
        self.leadership = None
        self._applying = False
        self.commit = self.applied_index = max(self.machine.flushed(), self.log.base_index)
        self.applied_term = self.log.term_at(self.applied_index) or 0
        self._election = Election(self)
        if UNSYNCED_LOG in self.bugs:
            self.node.after(_BACKGROUND_SYNC_NS, self._background_sync)
        if campaign:
            self.node.after(0, self._election.campaign)

    def restored(self) -> None:
        """The state machine holds the state at the beginning of the log: a snapshot has been taken over."""
        self.commit = self.applied_index = self.log.base_index
        self.applied_term = self.log.base_term

    def campaign(self) -> None:
        """Stand for election at once, as far as nobody's lease forbids it."""
        if self._election is not None:
            self._election.campaign()

    def stop(self) -> None:
        """The process was killed: keep what is on disk. The machine must have lost what it had not flushed."""
        self._election = None
        self.leadership = None
        self.leader = None
        self.log.lose_unsynced(self.machine.flushed())

    # What the node asks.

    @property
    def term(self) -> int:
        """The current term."""
        return self.log.term

    @property
    def is_leader(self) -> bool:
        """Whether this member believes that it leads (it may have been deposed: see ``read``)."""
        return self.leadership is not None

    def propose(self, data: Any, done: Callable[[bool], object]) -> None:
        """Replicate ``data`` (immutable).

        ``done(True)`` comes right after the entry was applied here, before the next one is. ``done(False)``: this
        member does not lead, hands over, or lost its leadership before that; then nobody knows whether it happens.
        """
        if self.leadership is None:
            done(False)
        else:
            self.leadership.propose(data, done)

    def lease_valid(self) -> bool:
        """Whether what is applied here is the group's newest state, by the lease alone, at this moment."""
        leadership = self.leadership
        return (
            leadership is not None
            and self.commit >= leadership.first_index
            and self.applied_index == self.commit
            and leadership.lease.valid()
        )

    def read(self, done: Callable[[bool], object]) -> None:
        """Call ``done(True)`` when a linearizable read may be served from what is applied: at once, or later.

        ``done(False)``: this member does not lead (any more). It may take as long as a partition lasts.
        """
        if self.leadership is None:
            done(False)
        else:
            self.leadership.read(done)

    def transfer_leader(self, target: str) -> None:
        """Hand over to ``target``; given up after an election time-out. Nothing if this member does not lead."""
        if self.leadership is not None:
            self.leadership.transfer(target)

    # Messages and the disk.

    def receive(self, message: Message) -> None:
        """Handle a message of another member."""
        if self._election is not None:
            _HANDLERS[message.__class__](self, message)

    def send(self, peer: str, message: Message) -> None:
        """Send a message to another member."""
        host: Any = self._network.node(peer)
        self._network.send(self.me, peer, host.receive_raft, self.group, message)

    def sync(self, then: Callable[[], object]) -> None:
        """Call ``then`` when all that is written to the log until now is on disk."""
        self._disk.sync(partial(self.log.persist, self.log.position), then)

    def entries_written(self, then: Callable[[], object]) -> None:
        """Call ``then`` when the entries written until now may be counted: when they are on disk."""
        if UNSYNCED_LOG in self.bugs:
            then()
        else:
            self.sync(then)

    @property
    def stable(self) -> int:
        """The last entry that this member may acknowledge, count and apply: the last one on its disk."""
        return self.log.last_index if UNSYNCED_LOG in self.bugs else self.log.stable

    def _background_sync(self) -> None:
        self.sync(_nothing)
        self.node.after(_BACKGROUND_SYNC_NS, self._background_sync)

    # Place in the term.

    def become_leader(self) -> None:
        """This member has won the election of its term."""
        self.leader = self.me
        leadership = self.leadership = Leadership(self)
        leadership.begin()
        self.on_role_change()

    def step_down(self, term: int, leader: str | None) -> None:
        """Be a follower in ``term``, which is not below the current one."""
        if term > self.log.term:
            self.log.write_hard_state(term, None)
        self.leader = leader
        assert self._election is not None
        self._election.abandon()
        leadership, self.leadership = self.leadership, None
        if leadership is not None:
            self._election.restart_timer()
            leadership.end()
            self.on_role_change()

    def heard_leader(self) -> None:
        """A message of the current leader has come."""
        assert self._election is not None
        self._election.heard_leader()

    # The mail, by whom it is for.

    def _on_follower_mail(self, message: Append | Heartbeat | InstallSnapshot) -> None:
        if isinstance(message, Append):
            self._follower.on_append(message)
        elif isinstance(message, Heartbeat):
            self._follower.on_heartbeat(message)
        else:
            self._follower.on_snapshot(message)

    def _on_leader_mail(self, message: AppendReply | HeartbeatReply) -> None:
        if message.term > self.log.term:
            self.step_down(message.term, None)
        elif self.leadership is not None and message.term == self.log.term:
            if isinstance(message, AppendReply):
                self.leadership.on_append_reply(message)
            else:
                self.leadership.on_heartbeat_reply(message)

    def _on_election_mail(self, message: VoteRequest | VoteReply | TimeoutNow) -> None:
        election = self._election
        assert election is not None
        if isinstance(message, VoteRequest):
            election.on_request(message)
        elif isinstance(message, VoteReply):
            election.on_reply(message)
        else:
            election.on_timeout_now(message)

    # The state machine.

    def apply_committed(self) -> None:
        """Apply what is committed and on this member's disk; then compact the log if it is long."""
        if self._applying or self.applied_index >= self.commit:
            return
        self._applying = True
        last = min(self.commit, self.stable)
        while self.applied_index < last:
            for entry in self.log.entries(self.applied_index + 1, last):
                self.applied_index = entry.index
                self.applied_term = entry.term
                self.machine.apply(entry)
                if self.leadership is not None:
                    self.leadership.applied(entry.index)
            last = min(self.commit, self.stable)
        self._applying = False
        if self.applied_index - self.log.base_index > 2 * self.config.compact_after:
            self._compact()

    def _compact(self) -> None:
        flushed = min(self.machine.flushed(), self.log.stable)
        if flushed - self.log.base_index >= 2 * self.config.compact_after:
            self.log.compact(flushed - self.config.compact_after)


def _nothing() -> None:
    pass


_HANDLERS: dict[type, Callable[[Raft, Any], None]] = {
    Append: Raft._on_follower_mail,  # noqa: SLF001
    AppendReply: Raft._on_leader_mail,  # noqa: SLF001
    Heartbeat: Raft._on_follower_mail,  # noqa: SLF001
    HeartbeatReply: Raft._on_leader_mail,  # noqa: SLF001
    InstallSnapshot: Raft._on_follower_mail,  # noqa: SLF001
    VoteRequest: Raft._on_election_mail,  # noqa: SLF001
    VoteReply: Raft._on_election_mail,  # noqa: SLF001
    TimeoutNow: Raft._on_election_mail,  # noqa: SLF001
}
