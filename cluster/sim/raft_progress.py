"""What a leader knows of one follower's log, and what to send it next."""

from __future__ import annotations

from typing import Final

from cluster.sim.raft_log import RaftStorage

PROBE: Final = 0  # where the logs meet is not known: one message at a time
REPLICATE: Final = 1  # it is: entries are sent without waiting
SNAPSHOT: Final = 2  # it needs the state; wait for it


class Progress:
    """One follower, as its leader sees it.

    Attributes:
        match: its log is known to agree, durably, up to here.
        next: the next entry to send.
        mode: PROBE, REPLICATE or SNAPSHOT.
        waiting: a probe or a snapshot is under way, sent as message ``sent_seq``.
        active: it has answered since the last check of the quorum.
    """

    __slots__ = ("active", "match", "mode", "next", "sent_seq", "waiting")

    def __init__(self, next_index: int) -> None:
        self.match = 0
        self.next = next_index
        self.mode = PROBE
        self.waiting = False
        self.sent_seq = 0
        self.active = True

    def accepted(self, index: int) -> bool:
        """It has everything up to ``index``; return whether that is news."""
        if self.mode != REPLICATE and index >= self.match:
            self.mode = REPLICATE
            self.waiting = False
            self.next = index + 1
        elif index >= self.next:
            self.next = index + 1
        if index <= self.match:
            return False
        self.match = index
        return True

    def rejected(self, prev_index: int, hint: int, hint_term: int, log: RaftStorage) -> bool:
        """It could not follow ``prev_index``; step back. Return False for an answer that is out of date."""
        if self.mode == REPLICATE:
            if prev_index <= self.match:
                return False
        elif self.mode == SNAPSHOT or prev_index != self.next - 1:
            return False
        meet = hint if hint < log.base_index else log.last_not_above(hint, hint_term)[0]
        self.mode = PROBE
        self.waiting = False
        self.next = max(min(prev_index, meet + 1), 1)
        return True

    def heard_end(self, last_index: int, seq: int) -> None:
        """Its log ends at ``last_index``, it says in answer to message ``seq``: were messages lost? Step back if so.

        Links keep their order, so what was sent before message ``seq`` and is not there has been lost.
        """
        if self.mode == REPLICATE:
            if last_index < self.next - 1:
                self.mode = PROBE
                self.next = last_index + 1
                self.waiting = False
        elif self.waiting and seq > self.sent_seq:
            self.mode = PROBE
            self.waiting = False
