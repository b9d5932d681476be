"""How a member becomes leader: time-outs, the question before the vote, the vote.

Two rules protect the leader's lease: whoever heard from a leader within the election time-out votes for nobody, unless
the leader itself asked for the election; and neither does a member that started less than an election time-out ago,
since it cannot know what it heard before. (raft-rs forgets the leader on a restart: a process that is killed and back
within a second may vote its leader's lease away. The second rule is deliberately stricter.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cluster.sim.raft_messages import TimeoutNow, VoteReply, VoteRequest

if TYPE_CHECKING:
    from cluster.sim.raft import Raft


class Election:
    """One member's election timer, and its candidacy if there is one."""

    __slots__ = ("_force", "_pre", "_raft", "_silent_since", "_since", "_timeout", "_votes")

    def __init__(self, raft: Raft) -> None:
        self._raft = raft
        self._votes: set[str] | None = None  # None: not a candidate
        self._pre = False
        self._force = False
        self._since = raft.node.monotonic()  # when the timer was last set back
        self._silent_since: int | None = None if raft.log.fresh else self._since  # no leader was heard since then
        self._timeout = 0
        self.restart_timer()
        raft.node.after(self._timeout, self._tick)

    # The timer: one for a member's life, looked at again when it fires.

    def restart_timer(self) -> None:
        """Count from now, and draw a new time-out between one and two election time-outs."""
        election_ns = self._raft.config.election_ns
        self._since = self._raft.node.monotonic()
        self._timeout = election_ns + self._raft.stream.below(election_ns)

    def heard_leader(self) -> None:
        """A message of the current leader has come."""
        self._votes = None
        self._since = self._silent_since = self._raft.node.monotonic()

    def _tick(self) -> None:
        raft = self._raft
        if raft.leadership is not None:
            delay = raft.config.election_ns
        else:
            quiet = raft.node.monotonic() - self._since
            if quiet < 0:  # the clock was stepped back: start over
                self._since -= -quiet
                quiet = 0
            if quiet >= self._timeout:
                self.campaign()
                quiet = 0
            delay = self._timeout - quiet
        raft.node.after(delay, self._tick)

    # The candidate.

    def campaign(self, *, force: bool = False) -> None:
        """Stand for election. ``force``: the leader asked for it, so nobody is asked beforehand."""
        raft = self._raft
        if raft.me not in raft.peers:  # created by a message, does not know its region yet
            return
        self.restart_timer()
        raft.leader = None
        self._votes = {raft.me}
        self._force = force
        self._pre = not force
        if force:
            self._stand()
        elif not self._elected():
            self._ask(raft.log.term + 1)

    def abandon(self) -> None:
        """Not a candidate any more."""
        self._votes = None

    def _stand(self) -> None:
        raft = self._raft
        self._pre = False
        self._votes = set()
        term = raft.log.term + 1
        raft.log.write_hard_state(term, raft.me)
        raft.sync(lambda: self._own_vote_synced(term))

    def _own_vote_synced(self, term: int) -> None:
        if self._votes is not None and not self._pre and self._raft.log.term == term:
            self._votes.add(self._raft.me)
            if not self._elected():
                self._ask(term)

    def _ask(self, term: int) -> None:
        raft = self._raft
        log = raft.log
        request = VoteRequest(raft.me, term, self._pre, self._force, log.last_index, log.last_term)
        for peer in raft.others:
            raft.send(peer, request)

    def _elected(self) -> bool:
        votes, raft = self._votes, self._raft
        if votes is None or len(votes) <= len(raft.peers) // 2:
            return False
        if self._pre:
            self._stand()
        else:
            self._votes = None
            raft.become_leader()
        return True

    def on_reply(self, reply: VoteReply) -> None:
        """An answer to a request of this member."""
        raft = self._raft
        if reply.term > raft.log.term and not (reply.pre and reply.granted):
            raft.step_down(reply.term, None)
            return
        expected = raft.log.term + 1 if reply.pre else raft.log.term
        if self._votes is not None and reply.granted and reply.pre == self._pre and reply.term == expected:
            self._votes.add(reply.src)
            self._elected()

    def on_timeout_now(self, message: TimeoutNow) -> None:
        """The leader hands over to this member."""
        if message.term == self._raft.log.term and self._raft.leadership is None:
            self.campaign(force=True)

    # The voter.

    def on_request(self, request: VoteRequest) -> None:
        """Answer, or be silent while a leader's lease may rest on this member."""
        raft, log = self._raft, self._raft.log
        if not request.force and self._protects_leader():
            return
        up_to_date = (request.last_term, request.last_index) >= (log.last_term, log.last_index)
        if request.pre:
            granted = up_to_date and request.term > log.term
            raft.send(request.src, VoteReply(raft.me, request.term if granted else log.term, True, granted))
            return
        if request.term > log.term:
            raft.step_down(request.term, None)
        free = log.vote == request.src or (log.vote is None and raft.leader is None)
        granted = up_to_date and request.term == log.term and free
        if granted:
            if log.vote is None:
                log.write_hard_state(log.term, request.src)
            self.restart_timer()
        reply = VoteReply(raft.me, log.term, False, granted)
        raft.sync(lambda: raft.send(request.src, reply))

    def _protects_leader(self) -> bool:
        raft = self._raft
        if raft.leadership is not None:
            return True
        return self._silent_since is not None and raft.node.monotonic() - self._silent_since < raft.config.election_ns
