"""Errors of a store, each saying whether it is definite.

Definite means: it is certain that the transaction did not and will not happen. Whatever is not on this list is
indefinite, so a completion made from it is ``info``, never ``fail``.
"""

from __future__ import annotations

from typing import ClassVar


class StoreError(Exception):
    """An operation on the store did not succeed.

    Attributes:
        definite: the transaction certainly did not happen.
        word: a short stable word for the history's ``error``.
    """

    definite: ClassVar[bool] = False
    word: ClassVar[str] = "store-error"


class Undetermined(StoreError):
    """The commit was sent and no answer came: it may have happened, or may yet."""

    word = "undetermined"


class Aborted(StoreError):
    """The transaction certainly did not happen."""

    definite = True
    word = "aborted"


class WriteConflict(Aborted):
    """Another transaction wrote one of the keys first."""

    word = "write-conflict"


class LockTimeout(Aborted):
    """A lock of another transaction stayed for longer than this one was willing to wait."""

    word = "lock-timeout"


class RolledBack(Aborted):
    """Another client found this transaction's lock expired and rolled it back."""

    word = "rolled-back"


class KeyExists(Aborted):
    """An insert met a key that is there already."""

    word = "key-exists"


class Unavailable(StoreError):
    """No answer within the retries. Definite only where the caller knows that no commit was sent."""

    word = "unavailable"


class UnavailableBeforeCommit(Unavailable, Aborted):
    """No answer within the retries, and no commit had been sent: it cannot happen any more."""

    definite = True
    word = "unavailable"
