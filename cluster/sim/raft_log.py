"""A Raft member's log, term and vote: as written, and as a kill would leave them.

What is written goes to the end of a write-ahead log; an fsync makes durable all records up to the position it was
asked for. Entries that replace others are a record as well: until it is synced, a kill brings the old ones back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from cluster.sim.raft_messages import Entry


class RaftStorage:
    """One member's log and hard state.

    The log begins after a snapshot at ``base_index`` with ``base_term``, which the state machine holds.

    Attributes:
        term, vote: the hard state as written.
        base_index, base_term: the last entry that is compacted away (0, 0: none is).
        last_index, last_term: the end of the log as written.
        stable: every entry up to this index is on disk as it stands in the log.
    """

    __slots__ = (
        "_durable",
        "_durable_hard_state",
        "_entries",
        "_origin",
        "_position",
        "_records",
        "base_index",
        "base_term",
        "last_index",
        "last_term",
        "stable",
        "term",
        "vote",
    )

    def __init__(self, base_index: int = 0, base_term: int = 0) -> None:
        self._origin = (base_index, base_term)
        self.term = base_term
        self.vote: str | None = None
        self.base_index = self.last_index = self.stable = base_index
        self.base_term = self.last_term = base_term
        self._entries: list[Entry] = []
        self._durable: list[Entry] = []
        self._durable_hard_state: tuple[int, str | None] = (base_term, None)
        self._records: deque[list[Entry] | tuple[int, str | None]] = deque()  # written, not yet synced
        self._position = 0  # number of records ever written

    # Reading.

    @property
    def fresh(self) -> bool:
        """Whether this member has never taken part in an election nor heard from a leader."""
        return (self.last_index, self.term, self.vote) == (*self._origin, None)

    @property
    def hard_state_synced(self) -> bool:
        """Whether the term and the vote as written would survive a kill."""
        return self._durable_hard_state == (self.term, self.vote)

    def term_at(self, index: int) -> int | None:
        """The term of the entry at ``index``; None where the log does not have it (any more)."""
        if index == self.last_index:
            return self.last_term
        if index == self.base_index:
            return self.base_term
        if self.base_index < index < self.last_index:
            return self._entries[index - self.base_index - 1].term
        return None

    def entries(self, first: int, last: int) -> list[Entry]:
        """The entries ``first .. last``, both included, which must be there."""
        return self._entries[first - self.base_index - 1 : last - self.base_index]

    def last_not_above(self, index: int, term: int) -> tuple[int, int]:
        """The last entry up to ``index`` whose term is at most ``term``, as (index, term): where two logs may meet."""
        index = min(index, self.last_index)
        while index > self.base_index:
            found = self._entries[index - self.base_index - 1].term
            if found <= term:
                return index, found
            index -= 1
        return self.base_index, self.base_term

    # Writing. Nothing is durable before ``persist`` was called with a later ``position``.

    def write_hard_state(self, term: int, vote: str | None) -> None:
        """Write the term and the vote."""
        self.term, self.vote = term, vote
        self._records.append((term, vote))
        self._position += 1

    def write_entries(self, entries: list[Entry]) -> None:
        """Write entries that follow the log without a gap; what was there from the first one on is replaced."""
        first = entries[0].index
        if first <= self.last_index:
            del self._entries[first - self.base_index - 1 :]
            self.stable = min(self.stable, first - 1)
        self._entries += entries
        last = entries[-1]
        self.last_index, self.last_term = last.index, last.term
        self._records.append(entries)
        self._position += 1

    @property
    def position(self) -> int:
        """The end of the write-ahead log: what an fsync asked for now will cover."""
        return self._position

    def persist(self, position: int) -> None:
        """An fsync has completed that was asked for at ``position``."""
        records = self._records
        for _ in range(len(records) - (self._position - position)):
            record = records.popleft()
            if isinstance(record, tuple):
                self._durable_hard_state = record
            else:
                self._put(record)
        stable = self.base_index + len(self._durable)
        for record in records:
            if isinstance(record, list):
                stable = min(stable, record[0].index - 1)
        self.stable = stable

    def _put(self, entries: Sequence[Entry]) -> None:
        keep = entries[0].index - self.base_index - 1
        if keep < len(self._durable):
            # A record that was written before a compaction may begin below the base.
            del self._durable[max(keep, 0) :]
            entries = entries[max(-keep, 0) :]
        self._durable += entries

    # Compaction, snapshots, death. The state machine's own flush makes these durable with it.

    def compact(self, index: int) -> None:
        """Drop the entries up to ``index``, which the state machine has on disk and which are ``stable``."""
        drop = index - self.base_index
        if drop <= 0:
            return
        self.base_term = self._entries[drop - 1].term
        self.base_index = index
        del self._entries[:drop]
        del self._durable[:drop]

    def reset(self, index: int, term: int) -> None:
        """Start over after a snapshot that the state machine has on disk; the hard state is written out with it."""
        self.base_index = self.last_index = self.stable = index
        self.base_term = self.last_term = term
        self._entries, self._durable = [], []
        self.term = max(self.term, term)
        self._durable_hard_state = (self.term, self.vote)
        self._records.clear()

    def lose_unsynced(self, flushed: int) -> None:
        """The process was killed. The state machine has ``flushed`` on disk, whose flush synced the log so far."""
        missing = flushed - self.base_index - len(self._durable)
        if missing > 0:
            self._durable = self._entries[: flushed - self.base_index]
        self._entries = list(self._durable)
        self.term, self.vote = self._durable_hard_state
        self.last_index = self.stable = self.base_index + len(self._entries)
        self.last_term = self._entries[-1].term if self._entries else self.base_term
        self._records.clear()
