"""Where the simulated cluster and tikv-client on a cluster do not do the same, each stated once.

The simulation follows TiKV's protocol and TiDB's client; the rest is what tikv-client 0.0.4 does on top of it. All of
these errors are definite, so no verdict depends on them. A test asks for the entry of its world by name, so that a
difference that is gone fails too.
"""

from __future__ import annotations

from typing import Any, Final

from cluster.errors import Aborted, LockTimeout, WriteConflict

DIFFERENCES: Final[dict[str, dict[str, Any]]] = {
    # tikv-client does not lock again at a newer timestamp, as TiDB's client and the simulated one do.
    "after waiting for a lock whose owner commits": {"sim": b"1", "client": WriteConflict},
    # tikv-client tries to resolve the lock for 1.5 s. The simulated client gives way at once: waiting might be mutual.
    "an optimistic write meets a live lock": {"sim": WriteConflict, "client": LockTimeout},
    # The simulation has no deadlock detector, and ends both by time-out; TiKV's detector ends one at once.
    "locks taken in opposite order": {"sim": LockTimeout, "client": Aborted},
    # To go on with a transaction that has ended is an error of the program; tikv-client's own errors are all of a kind.
    "a call after the end": {"sim": RuntimeError, "client": Aborted},
    # tikv-client's scan adds what the transaction put and takes away what it deleted, but forgets what it inserted.
    "a scan sees the transaction's own inserts": {"sim": True, "client": False},
    # tikv-client asks after a lock's owner only when the lock's TTL is over, be it committed or not: so long are reads
    # refused that meet the locks of a client which died right after its commit. In seconds; 0: they are not.
    "committed locks of a client that is gone are in the way for": {"sim": 0, "client": 10},
    # tikv-client does not say.
    "start_ts is known": {"sim": True, "client": False},
}


def expected(name: str, kind: str) -> Any:
    """What the world of this kind does."""
    return DIFFERENCES[name][kind]
