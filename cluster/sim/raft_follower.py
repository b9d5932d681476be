"""The follower's side of replication: what comes from a leader, and what is answered once it is on disk."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from cluster.sim.bugs import WALL_CLOCK_LEASE
from cluster.sim.raft_messages import Append, AppendReply, Entry, Heartbeat, HeartbeatReply, InstallSnapshot

if TYPE_CHECKING:
    from cluster.sim.raft import Raft


class Follower:
    """What a member does as a follower. The state is the member's own."""

    __slots__ = ("_raft",)

    def __init__(self, raft: Raft) -> None:
        self._raft = raft

    def _accept_leader(self, message: Append | Heartbeat | InstallSnapshot) -> bool:
        """Follow the sender, unless its term is over: then tell it so."""
        raft = self._raft
        term = raft.log.term
        if message.term < term:
            reply = HeartbeatReply(raft.me, term, message.seq, message.sent, raft.log.last_index)
            raft.send(message.src, reply)
            return False
        if message.term > term or raft.leader != message.src:
            raft.step_down(message.term, message.src)
        raft.heard_leader()
        return True

    def on_append(self, message: Append) -> None:
        """Add the entries to the log; answer when they are on disk, or at once if they do not join on."""
        raft = self._raft
        if not self._accept_leader(message):
            return
        log = raft.log
        new = self._fitting(message)
        if new is None:
            index, term = log.last_not_above(message.prev_index, message.prev_term)
            self._reply(message, False, message.prev_index, index, term)
            return
        last = message.prev_index + len(message.entries)
        if new:
            log.write_entries(new)
        if message.commit > raft.commit:
            raft.commit = max(raft.commit, min(message.commit, last))
        if not new and last <= raft.stable:
            self._appended(message, last)
        else:
            raft.entries_written(partial(self._appended, message, last))

    def _fitting(self, message: Append) -> list[Entry] | None:
        """The entries that this log does not have yet; None if they do not join on."""
        log, prev = self._raft.log, message.prev_index
        if prev == log.last_index and message.prev_term == log.last_term:
            return message.entries
        if prev >= log.base_index and log.term_at(prev) != message.prev_term:
            return None
        # What is compacted away was committed, so it is the same.
        for i, entry in enumerate(message.entries):
            if entry.index > log.base_index and log.term_at(entry.index) != entry.term:
                return message.entries[i:]
        return []

    def _appended(self, message: Append | InstallSnapshot, last: int) -> None:
        raft = self._raft
        # In the same term nobody has replaced these entries: a term has one leader, who never takes anything back.
        if message.term == raft.log.term:
            self._reply(message, True, 0, last, 0)
        raft.apply_committed()

    def _reply(
        self, message: Append | InstallSnapshot, accepted: bool, prev_index: int, index: int, log_term: int
    ) -> None:
        raft = self._raft
        term, seq, sent = raft.log.term, message.seq, self._lease_start(message)
        self._answer(message.src, AppendReply(raft.me, term, seq, sent, accepted, prev_index, index, log_term))

    def _lease_start(self, message: Append | Heartbeat | InstallSnapshot) -> int:
        """From when this member's answer lets the leader count its lease: when it had asked, by its own clock."""
        raft = self._raft
        return raft.node.wall() if WALL_CLOCK_LEASE in raft.bugs else message.sent

    def _answer(self, leader: str, reply: AppendReply | HeartbeatReply) -> None:
        raft = self._raft
        # The leader's lease rests on answers: a member that restarts must still know that there was a leader.
        if raft.log.hard_state_synced:
            raft.send(leader, reply)
        else:
            raft.sync(partial(raft.send, leader, reply))

    def on_heartbeat(self, message: Heartbeat) -> None:
        """Note that the leader is there, and what is committed."""
        raft = self._raft
        if not self._accept_leader(message):
            return
        if message.commit > raft.commit:
            raft.commit = min(message.commit, raft.log.last_index)
        raft.apply_committed()
        reply = HeartbeatReply(raft.me, message.term, message.seq, self._lease_start(message), raft.log.last_index)
        self._answer(message.src, reply)

    def on_snapshot(self, message: InstallSnapshot) -> None:
        """Take over the state, unless the log already has as much."""
        raft = self._raft
        if not self._accept_leader(message):
            return
        log = raft.log
        if message.index <= raft.commit:
            self._reply(message, True, 0, min(raft.commit, raft.stable), 0)
            return
        if log.term_at(message.index) == message.log_term:
            raft.commit = message.index  # it has the entries already, and may have acknowledged later ones
        else:
            log.reset(message.index, message.log_term)
            raft.machine.restore(message.state)
            raft.restored()
        raft.sync(partial(self._appended, message, message.index))
