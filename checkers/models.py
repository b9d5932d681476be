"""Consistency models, from weak to strong, and which of them an anomaly rules out.

Snapshot isolation is generalised SI (snapshots may be old), which serializability implies. ``strong-session-`` adds
the order of each process, ``strong-`` and ``strict-`` the order in time. After Adya 1999, Crooks and others (PODC
2017), and Elle's graph of models.
"""

from __future__ import annotations

from typing import Final

READ_UNCOMMITTED: Final = "read-uncommitted"
READ_COMMITTED: Final = "read-committed"
SNAPSHOT_ISOLATION: Final = "snapshot-isolation"
SESSION_SNAPSHOT_ISOLATION: Final = "strong-session-snapshot-isolation"
STRONG_SNAPSHOT_ISOLATION: Final = "strong-snapshot-isolation"
SERIALIZABLE: Final = "serializable"
SESSION_SERIALIZABLE: Final = "strong-session-serializable"
STRICT_SERIALIZABLE: Final = "strict-serializable"

# Of each model, those right above it.
_STRONGER: Final = {
    READ_UNCOMMITTED: (READ_COMMITTED,),
    READ_COMMITTED: (SNAPSHOT_ISOLATION,),
    SNAPSHOT_ISOLATION: (SESSION_SNAPSHOT_ISOLATION, SERIALIZABLE),
    SESSION_SNAPSHOT_ISOLATION: (STRONG_SNAPSHOT_ISOLATION, SESSION_SERIALIZABLE),
    STRONG_SNAPSHOT_ISOLATION: (STRICT_SERIALIZABLE,),
    SERIALIZABLE: (SESSION_SERIALIZABLE,),
    SESSION_SERIALIZABLE: (STRICT_SERIALIZABLE,),
    STRICT_SERIALIZABLE: (),
}

_SI_CYCLES: Final = ("G-single", "G-nonadjacent")
_COMMITTED_CYCLES: Final = ("G0", "G1c", *_SI_CYCLES)

# The weakest model that each anomaly rules out; anomalies in the order in which they are told, the gravest first.
_WEAKEST_BROKEN: Final = {
    "lost-update": SNAPSHOT_ISOLATION,
    "G0": READ_UNCOMMITTED,
    "G1a": READ_COMMITTED,
    "garbage-read": READ_UNCOMMITTED,
    "G1c": READ_COMMITTED,
    "future-read": READ_COMMITTED,
    **dict.fromkeys(_SI_CYCLES, SNAPSHOT_ISOLATION),
    "G2-item": SERIALIZABLE,
    **{f"{name}-process": SESSION_SNAPSHOT_ISOLATION for name in _COMMITTED_CYCLES},
    "G2-item-process": SESSION_SERIALIZABLE,
    **{f"{name}-realtime": STRONG_SNAPSHOT_ISOLATION for name in _COMMITTED_CYCLES},
    "G2-item-realtime": STRICT_SERIALIZABLE,
    # A read at a timestamp that does not show the state at that timestamp.
    "stale-read": STRONG_SNAPSHOT_ISOLATION,
    "wrong-total": SNAPSHOT_ISOLATION,
}

_RANK: Final = {name: rank for rank, name in enumerate(_WEAKEST_BROKEN)}


def rules_out(anomaly: str) -> list[str]:
    """The models that cannot hold with this anomaly, the weakest first; empty for what is no matter of models."""
    if anomaly not in _WEAKEST_BROKEN:
        return []
    found = [_WEAKEST_BROKEN[anomaly]]
    for model in found:
        found += [stronger for stronger in _STRONGER[model] if stronger not in found]
    return found


def rank(anomaly: str) -> int:
    """Where an anomaly belongs in a list that begins with the gravest."""
    return _RANK.get(anomaly, len(_RANK))
