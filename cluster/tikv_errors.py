"""What a message of tikv-client 0.0.4 proves about a transaction.

Every error of that client is a bare ``Exception`` with a text, so the text and the phase are all there is. Before
``commit`` is called nothing can have happened, whatever the text. Out of ``commit`` everything is undetermined except
the messages listed here, each with its argument; the client's source is client-rust at b12f95e.

The client's ``commit`` is: prewrite all keys; when all of them are answered without an error, ask for the commit_ts;
commit the primary; answer; commit the rest behind the caller's back. Async commit and one-phase commit are off. So a
message that only prewrite can raise proves that the commit of the primary was never sent, and without it nobody else
can commit the transaction either: whoever meets its locks asks the primary. (Should a server ever send one of these in
answer to a commit, the checker says so: a failed write that is seen is G1a.)
"""

from __future__ import annotations

import re

from cluster.errors import (
    Aborted,
    KeyExists,
    LockTimeout,
    RolledBack,
    StoreError,
    UnavailableBeforeCommit,
    Undetermined,
    WriteConflict,
)

_CONFLICT = "conflict: Some(WriteConflict"
_EXISTS = "already_exist: Some(AlreadyExist"
_UNRESOLVED = "Failed to resolve lock"
_KEY_ERRORS = "Multiple key errors: ["

# A text that follows a location inside the client's build, "[/root/.cargo/…/cluster.rs:189]: PD cluster failed …".
_LOCATION = re.compile(r"\[/[^\]]*\.rs:\d+\]: ")
# Fields without content, of which a key error has many: "locked: None, ".
_EMPTY = re.compile(r"\b\w+: (?:None|\"\"|\[\])(?:, | )")
_LOST = re.compile(r"TimestampRequest channel is closed|rust future panicked|Leader of region \d+ is not found")
_LONGEST = 200


def before_commit(text: str) -> Aborted:
    """The error of a call before ``commit``: definite always, since nothing had been asked for yet."""
    brief = shorten(text)
    if _CONFLICT in text:
        return WriteConflict(brief)
    if _EXISTS in text or "Duplicate key insertion" in text:
        return KeyExists(brief)
    if _UNRESOLVED in text or "ResolveLockError" in text:
        return LockTimeout(brief)
    if any(sign in text for sign in ("TxnLockNotFound", "txn_not_found: Some", "PessimisticLockNotFound")):
        return RolledBack(brief)
    if "deadlock: Some" in text:
        return Aborted(brief)
    return UnavailableBeforeCommit(brief)


def out_of_commit(text: str) -> StoreError:
    """The error of ``commit``: ``Aborted`` if the text proves it, else ``Undetermined``."""
    brief = shorten(text)
    # Prewrite's key errors come with this beginning; those of the primary's commit come as "Multiple errors: [", since
    # only prewrite's plan merges the answers of its regions. TiKV's commit compares with no newer version either.
    if text.startswith(_KEY_ERRORS) and _CONFLICT in text:
        return WriteConflict(brief)
    # Only prewrite checks that an inserted key is absent.
    if text.startswith(_KEY_ERRORS) and _EXISTS in text:
        return KeyExists(brief)
    # The whole text: another transaction's lock outlived ten attempts to resolve it. Only prewrite meets locks of
    # others; a commit finds its own lock, or none.
    if text == _UNRESOLVED:
        return LockTimeout(brief)
    return Undetermined(brief)


def lost_its_connection(text: str) -> bool:
    """Whether the connection that raised this is of no use any more.

    Its stream of timestamps has ended: after the first message it tries to reconnect, which panics (src/pd/cluster.rs,
    an ``unwrap`` of the members it does not have), and so does each later call. Or it has asked a PD that had just
    become leader, and knew a region but not yet its leader: the client keeps that answer and asks no more, so whatever
    touches the region fails from then on (seen here for 110 s, until the end of a run).
    """
    return _LOST.search(text) is not None


def shorten(text: str) -> str:
    """The text on one line of at most 200 characters, without empty fields and paths of the machine it was built on."""
    line = " ".join(_EMPTY.sub("", _LOCATION.sub("", text)).split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
