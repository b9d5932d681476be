"""Planted bugs: small changes inside the simulated cluster, each of a kind that a real system has had.

Off by default. ``expects`` was fixed before the bug was first run: the anomaly that must be named. The code that is
changed asks ``NAME in self.bugs``; looking for the name finds the place.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

SKIP_WRITE_CONFLICT: Final = "skip-write-conflict"
DROP_SECONDARY: Final = "drop-secondary"
WALL_CLOCK_LEASE: Final = "wall-clock-lease"
TSO_FALLBACK: Final = "tso-fallback"
UNSYNCED_LOG: Final = "unsynced-log"
MINORITY_LEADER: Final = "minority-leader"
READ_SKIPS_LOCK: Final = "read-skips-lock"
ROLLBACK_IGNORED: Final = "rollback-ignored"


class Bug(Struct, frozen=True):
    """A planted bug.

    Attributes:
        name: what ``--bug`` takes.
        summary: what is wrong, in one sentence.
        seen_in: the real bug of this kind.
        expects: names of anomalies of which at least one must be reported.
        needs: the faults (nemesis names) without which it does not show; empty: none.
    """

    name: str
    summary: str
    seen_in: str
    expects: tuple[str, ...]
    needs: tuple[str, ...] = ()


_AGAINST_TIME: Final = tuple(
    f"{cycle}-{order}" for cycle in ("G-single", "G-nonadjacent", "G2-item") for order in ("realtime", "process")
)

BUGS: Final = {
    bug.name: bug
    for bug in (
        Bug(
            SKIP_WRITE_CONFLICT,
            "Prewrite does not look for a write newer than start_ts.",
            "tidb#10075 (automatic retry loses updates)",
            expects=("lost-update",),
        ),
        Bug(
            DROP_SECONDARY,
            "The client drops a secondary region's share of the mutations and commits the primary.",
            "tikv-client 0.0.4 (a failed region lookup drops a shard)",
            expects=("wrong-total",),
        ),
        Bug(
            WALL_CLOCK_LEASE,
            "The leader's lease trusts wall clocks: it counts from the follower's and ends by the leader's own.",
            "tikv#964 (lease against clocks)",
            # A deposed leader answers from the past. Read alone that breaks only the order in time; beside regions that
            # answer from the present it tears the snapshot, which is a cycle without time (or a wrong old snapshot).
            expects=(*_AGAINST_TIME, "G-single", "G-nonadjacent", "stale-read"),
            needs=("partition", "clock"),
        ),
        Bug(
            TSO_FALLBACK,
            "A new PD leader starts from its own clock, not from the saved window.",
            "pd#3423, pd#8889 (timestamps fall back)",
            # A snapshot from the past is whole: only the order in time is broken, of whoever reads or of one process.
            expects=_AGAINST_TIME,
            needs=("clock", "pd"),
        ),
        Bug(
            UNSYNCED_LOG,
            "Raft entries are acknowledged before they are synced, so a kill loses them.",
            "tikv#994, etcd#14370 (acknowledged before the log was synced)",
            expects=("lost-update",),
            needs=("kill",),
        ),
        Bug(
            MINORITY_LEADER,
            "A leader commits what it alone has, without a quorum.",
            "tikv#9070 (callback of an uncommitted proposal)",
            expects=("lost-update",),
            needs=("partition",),
        ),
        Bug(
            READ_SKIPS_LOCK,
            "A read passes a lock whose transaction may already be committed.",
            "tikv#9069 (batch get drops locked keys)",
            expects=("wrong-total",),
        ),
        Bug(
            ROLLBACK_IGNORED,
            "A prewrite that is sent again is accepted although the transaction was rolled back.",
            "tikv#921 (prewrite after a rollback)",
            expects=("wrong-total",),
            needs=("partition",),
        ),
    )
}
