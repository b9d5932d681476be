"""A leadership: what a member knows and does as leader in one term. It is dropped as a whole when the term ends.

Entries are sent to the followers without waiting for earlier ones, and counted for the leader itself only once its own
disk has them. What was lost on the way is found by the answers to the heartbeats.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cluster.sim.bugs import MINORITY_LEADER, WALL_CLOCK_LEASE
from cluster.sim.lease import LeaderLease, ReadDone
from cluster.sim.raft_messages import (
    Append,
    AppendReply,
    Entry,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    TimeoutNow,
)
from cluster.sim.raft_progress import PROBE, REPLICATE, SNAPSHOT, Progress

if TYPE_CHECKING:
    from cluster.sim.raft import Raft


class Leadership:
    """The leader of one term."""

    __slots__ = (
        "_early_reads",
        "_pending",
        "_progress",
        "_raft",
        "_reads",
        "first_index",
        "lease",
        "term",
        "transferee",
    )

    def __init__(self, raft: Raft) -> None:
        self._raft = raft
        self.term = raft.log.term
        self.first_index = raft.log.last_index + 1  # of this term: the no-op
        self.transferee: str | None = None
        self._progress = {peer: Progress(self.first_index) for peer in raft.others}
        clock = raft.node.wall if WALL_CLOCK_LEASE in raft.bugs else raft.node.monotonic
        self.lease = LeaderLease(clock, raft.config.lease_ns, raft.others)
        self._pending: dict[int, Callable[[bool], object]] = {}  # proposals by index
        self._early_reads: list[ReadDone] = []  # until an entry of this term is committed
        self._reads: deque[tuple[int, ReadDone]] = deque()  # until the state has reached the index

    def begin(self) -> None:
        """Append the no-op, without which entries of earlier terms may not be counted as committed."""
        self._append(None)
        self._raft.node.after(self._raft.config.heartbeat_ns, self._heartbeat_tick)
        self._raft.node.after(self._raft.config.election_ns, self._check_quorum)

    def end(self) -> None:
        """Leadership is lost: what was promised is unknown now."""
        reads = [*self._early_reads, *self.lease.abandon(), *(done for _, done in self._reads)]
        proposals = list(self._pending.values())
        for done in (*proposals, *reads):
            done(False)

    # Proposals.

    def propose(self, data: Any, done: Callable[[bool], object]) -> None:
        """See ``Raft.propose``."""
        if self.transferee is not None:
            done(False)
            return
        self._pending[self._raft.log.last_index + 1] = done
        self._append(data)

    def _append(self, data: Any) -> None:
        raft = self._raft
        raft.log.write_entries([Entry(raft.log.last_index + 1, self.term, data)])
        for peer, progress in self._progress.items():
            self._send_append(peer, progress)
        raft.entries_written(self._advance_commit)

    def _advance_commit(self) -> None:
        raft = self._raft
        if raft.leadership is not self:
            return
        matches = sorted([raft.stable, *(progress.match for progress in self._counted())])
        index = matches[(len(matches) - 1) // 2]
        if index > raft.commit and index >= self.first_index:
            raft.commit = index
            if self._early_reads:
                reads, self._early_reads = self._early_reads, []
                for done in reads:
                    self.read(done)
        raft.apply_committed()

    def _counted(self) -> list[Progress]:
        """The followers of whose answers a majority is needed: all of them."""
        if MINORITY_LEADER in self._raft.bugs:
            recent = 2 * self._raft.config.heartbeat_ns
            return [p for peer, p in self._progress.items() if self.lease.answered_within(peer, recent)]
        return list(self._progress.values())

    def applied(self, index: int) -> None:
        """The state machine has applied the entry at ``index``."""
        done = self._pending.pop(index, None)
        if done is not None:
            done(True)
        while self._reads and self._reads[0][0] <= index:
            self._reads.popleft()[1](True)

    # Replication.

    def _send_append(self, peer: str, progress: Progress, *, ask: bool = False) -> None:
        """Send what the follower lacks; nothing if it is being waited for. ``ask``: even if it lacks nothing."""
        if progress.waiting:
            return
        raft, log = self._raft, self._raft.log
        if progress.next > log.last_index and not ask and progress.mode == REPLICATE:
            return
        prev = progress.next - 1
        prev_term = log.term_at(prev)
        seq, sent = self.lease.stamp()
        progress.sent_seq = seq
        if prev_term is None or prev < log.base_index:
            self._send_snapshot(peer, progress, seq, sent)
            return
        entries = log.entries(progress.next, log.last_index)
        if progress.mode == PROBE:
            progress.waiting = True
        else:
            progress.next = log.last_index + 1
        raft.send(peer, Append(raft.me, self.term, seq, sent, prev, prev_term, entries, raft.commit))

    def _send_snapshot(self, peer: str, progress: Progress, seq: int, sent: int) -> None:
        raft = self._raft
        progress.mode = SNAPSHOT
        progress.waiting = True
        progress.next = raft.applied_index + 1
        state = raft.machine.snapshot()
        raft.send(peer, InstallSnapshot(raft.me, self.term, seq, sent, raft.applied_index, raft.applied_term, state))

    def on_append_reply(self, reply: AppendReply) -> None:
        """A follower has the entries on its disk, or they did not fit."""
        progress = self._answered(reply)
        if reply.accepted:
            if progress.accepted(reply.index):
                self._advance_commit()
            if self._raft.leadership is not self:
                return
            self._hand_over_if_ready()
            self._send_append(reply.src, progress)
        elif progress.rejected(reply.prev_index, reply.index, reply.log_term, self._raft.log):
            self._send_append(reply.src, progress)
        self._serve_confirmed_reads()

    def on_heartbeat_reply(self, reply: HeartbeatReply) -> None:
        """A follower is there; resend what it has not got or not acknowledged."""
        progress = self._answered(reply)
        progress.heard_end(reply.last_index, reply.seq)
        if progress.match < self._raft.log.last_index:
            self._send_append(reply.src, progress, ask=True)
        self._serve_confirmed_reads()

    def _answered(self, reply: AppendReply | HeartbeatReply) -> Progress:
        self.lease.answered(reply.src, reply.seq, reply.sent)
        progress = self._progress[reply.src]
        progress.active = True
        return progress

    # Heartbeats.

    def _heartbeat_tick(self) -> None:
        if self._raft.leadership is self:
            self.broadcast_heartbeat()
            self._raft.node.after(self._raft.config.heartbeat_ns, self._heartbeat_tick)
            if MINORITY_LEADER in self._raft.bugs:
                self._advance_commit()  # who counts has changed by the passing of time alone

    def broadcast_heartbeat(self) -> None:
        """Tell all followers that the leader is there, and what is committed."""
        raft = self._raft
        for peer, progress in self._progress.items():
            seq, sent = self.lease.stamp()
            raft.send(peer, Heartbeat(raft.me, self.term, seq, sent, min(progress.match, raft.commit)))

    def _check_quorum(self) -> None:
        """Step down unless a quorum has answered since the last check, an election time-out ago.

        Nor while the lease holds, since nobody else leads then; with clocks as assumed it never holds for so long.
        """
        if self._raft.leadership is not self:
            return
        counted = self._counted()
        active = 1 + sum(progress.active for progress in counted)
        for progress in counted:
            progress.active = False
        if active <= (len(counted) + 1) // 2 and not self.lease.valid():
            self._raft.step_down(self.term, None)
        else:
            self._raft.node.after(self._raft.config.election_ns, self._check_quorum)

    # Reads.

    def read(self, done: ReadDone) -> None:
        """See ``Raft.read``."""
        raft = self._raft
        if raft.commit < self.first_index:
            self._early_reads.append(done)
        elif self.lease.valid():
            self._when_applied(raft.commit, done)
        else:
            self.lease.await_quorum(raft.commit, done)
            self.broadcast_heartbeat()

    def _serve_confirmed_reads(self) -> None:
        for index, done in self.lease.confirmed():
            self._when_applied(index, done)

    def _when_applied(self, index: int, done: ReadDone) -> None:
        if self._raft.applied_index >= index:
            done(True)
        else:
            self._reads.append((index, done))

    # Handing over.

    def transfer(self, target: str) -> None:
        """See ``Raft.transfer_leader``."""
        if target not in self._progress or self.transferee is not None:
            return
        self.transferee = target
        self.lease.suspend()
        self._raft.node.after(self._raft.config.election_ns, self._give_up_transfer)
        self._hand_over_if_ready()

    def _hand_over_if_ready(self) -> None:
        target = self.transferee
        if target is not None and self._progress[target].match == self._raft.log.last_index:
            self._raft.send(target, TimeoutNow(self._raft.me, self.term))

    def _give_up_transfer(self) -> None:
        self.transferee = None
