"""What the members of a Raft group say to each other, and the entries of its log.

All are immutable once sent. ``seq`` and ``sent`` of what a leader sends are echoed in the answer: ``seq`` numbers the
leader's messages (a read index needs an answer to a message that is younger than the read), ``sent`` is the leader's
own clock when it sent the message (its lease counts from there).
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class Entry(Struct, frozen=True, gc=False):
    """One entry of the log; ``data`` is None for the no-op with which a leader begins its term."""

    index: int
    term: int
    data: Any


class VoteRequest(Struct, frozen=True, gc=False):
    """Ask for a vote in ``term``, or with ``pre`` whether one would be given.

    ``force``: the leader itself asked for this election (a transfer), so a fresh lease is no reason to refuse.
    """

    src: str
    term: int
    pre: bool
    force: bool
    last_index: int
    last_term: int


class VoteReply(Struct, frozen=True, gc=False):
    """The answer. ``term`` is that of the request if granted, else the voter's own."""

    src: str
    term: int
    pre: bool
    granted: bool


class Append(Struct, frozen=True, gc=False):
    """Entries to follow the one at ``prev_index``; none: to learn how far the follower is."""

    src: str
    term: int
    seq: int
    sent: int
    prev_index: int
    prev_term: int
    entries: list[Entry]
    commit: int


class AppendReply(Struct, frozen=True, gc=False):
    """Accepted: durable up to ``index``. Rejected: ``prev_index`` did not fit, ``index`` and ``log_term`` are a hint.

    The hint is the follower's last entry up to there whose term is not above that of the leader's own.
    """

    src: str
    term: int
    seq: int
    sent: int
    accepted: bool
    prev_index: int
    index: int
    log_term: int


class Heartbeat(Struct, frozen=True, gc=False):
    """I still lead. ``commit`` is not beyond what the follower is known to have."""

    src: str
    term: int
    seq: int
    sent: int
    commit: int


class HeartbeatReply(Struct, frozen=True, gc=False):
    """The answer; ``last_index`` is the end of the follower's log, by which the leader sees what was lost."""

    src: str
    term: int
    seq: int
    sent: int
    last_index: int


class InstallSnapshot(Struct, frozen=True, gc=False):
    """The state after the entry at ``index``, for a follower whose next entry is compacted away."""

    src: str
    term: int
    seq: int
    sent: int
    index: int
    log_term: int
    state: Any


class TimeoutNow(Struct, frozen=True, gc=False):
    """From the leader: start an election at once."""

    src: str
    term: int


Message = VoteRequest | VoteReply | Append | AppendReply | Heartbeat | HeartbeatReply | InstallSnapshot | TimeoutNow
