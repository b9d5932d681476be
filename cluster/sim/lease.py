"""How a leader knows that it still leads at the moment it serves a read: the lease, and else the read index.

Every message of the leader is numbered and carries the leader's clock. When a quorum has answered messages sent at or
after time t, none of it votes for anybody else before t plus the election time-out on its own clock, so the leader may
serve reads without asking until t plus a shorter lease. Clocks that err in rate by 2 % each are covered by 9 s against
10 s; clocks that step are not, here as in TiKV.

Without a lease a read waits until a quorum has answered a message that is younger than the read (Ongaro's thesis, 6.4).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

ReadDone = Callable[[bool], object]


class LeaderLease:
    """One term's lease and read indices. It ends with the leadership."""

    __slots__ = ("_acked_sent", "_acked_seq", "_clock", "_length", "_needed", "_reads", "_suspended", "seq")

    def __init__(self, clock: Callable[[], int], length: int, followers: Sequence[str]) -> None:
        self.seq = 0  # number of the last message sent
        self._clock = clock
        self._length = length
        self._needed = (len(followers) + 1) // 2  # answers that make a quorum with the leader itself
        self._acked_seq = dict.fromkeys(followers, 0)
        self._acked_sent = dict.fromkeys(followers, clock() - length)
        self._reads: deque[tuple[int, int, ReadDone]] = deque()
        self._suspended = False

    def stamp(self) -> tuple[int, int]:
        """Number and time for the next message or round of messages."""
        self.seq += 1
        return self.seq, self._clock()

    def answered(self, follower: str, seq: int, sent: int) -> None:
        """A follower has answered the message of that stamp, in this term."""
        if seq > self._acked_seq[follower]:
            self._acked_seq[follower] = seq
            self._acked_sent[follower] = sent

    def answered_within(self, follower: str, ns: int) -> bool:
        """Whether a follower has answered something sent in the last ``ns``."""
        return self._clock() - self._acked_sent[follower] < ns

    def valid(self) -> bool:
        """Whether the lease holds at this moment."""
        if self._suspended:
            return False
        if not self._needed:
            return True
        sent = sorted(self._acked_sent.values())
        return self._clock() - sent[-self._needed] < self._length

    def suspend(self) -> None:
        """Do without a lease for the rest of this term: the leader has asked another member to take over.

        Giving the transfer up does not bring the lease back. The request may be delivered much later (to a process that
        was paused, say), and the election it starts does not respect leases. Read indices stay safe.
        """
        self._suspended = True

    # Read indices.

    def await_quorum(self, index: int, done: ReadDone) -> None:
        """Keep a read of the state at ``index`` until a quorum has answered a message sent from now on."""
        self._reads.append((self.seq + 1, index, done))

    def confirmed(self) -> list[tuple[int, ReadDone]]:
        """Take out the reads (index, done) that a quorum has confirmed."""
        if not self._reads:
            return []
        acked = sorted(self._acked_seq.values())[-self._needed] if self._needed else self.seq + 1
        ready: list[tuple[int, ReadDone]] = []
        while self._reads and self._reads[0][0] <= acked:
            _, index, done = self._reads.popleft()
            ready.append((index, done))
        return ready

    def abandon(self) -> list[ReadDone]:
        """Take out all reads: the leadership is over."""
        waiting = [done for _, _, done in self._reads]
        self._reads.clear()
        return waiting
