"""Consistency models, from weak to strong, and which of them an anomaly rules out.

Models of transactions form a grid. One way leads through Adya's levels (*Weak Consistency*, 1999): which cycles of the
dependency graph may not be. The other adds an order that a cycle may also use: none, that of each process
(``strong-session-``), that of time (``strong-``). Snapshot isolation is generalised SI (snapshots may be old), which
serializability implies. Models of registers are those people choose between. After Crooks and others (PODC 2017),
Viotti and Vukolić (*Consistency in non-transactional distributed storage systems*, 2016), and Elle's graph of models.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from harness.verdict import Validity, worst

READ_UNCOMMITTED: Final = "read-uncommitted"
READ_COMMITTED: Final = "read-committed"
SNAPSHOT_ISOLATION: Final = "snapshot-isolation"
SERIALIZABLE: Final = "serializable"
SESSION_SNAPSHOT_ISOLATION: Final = "strong-session-snapshot-isolation"
STRONG_SNAPSHOT_ISOLATION: Final = "strong-snapshot-isolation"
SESSION_SERIALIZABLE: Final = "strong-session-serializable"
STRICT_SERIALIZABLE: Final = "strict-serializable"

LINEARIZABLE: Final = "linearizable"
SEQUENTIAL: Final = "sequential"
CAUSAL: Final = "causal"
EVENTUAL: Final = "eventual"
MONOTONIC_READS: Final = "monotonic-reads"
MONOTONIC_WRITES: Final = "monotonic-writes"
READ_YOUR_WRITES: Final = "read-your-writes"
WRITES_FOLLOW_READS: Final = "writes-follow-reads"

# The grid: rows are levels, columns orders, each from weak to strong.
LEVELS: Final = (READ_UNCOMMITTED, READ_COMMITTED, SNAPSHOT_ISOLATION, SERIALIZABLE)
ORDERS: Final = ("", "process", "realtime")
GRID: Final = (
    (READ_UNCOMMITTED, "strong-session-read-uncommitted", "strong-read-uncommitted"),
    (READ_COMMITTED, "strong-session-read-committed", "strong-read-committed"),
    (SNAPSHOT_ISOLATION, SESSION_SNAPSHOT_ISOLATION, STRONG_SNAPSHOT_ISOLATION),
    (SERIALIZABLE, SESSION_SERIALIZABLE, STRICT_SERIALIZABLE),
)
TRANSACTIONAL: Final = tuple(model for row in GRID for model in row)
OF_REGISTERS: Final = (
    EVENTUAL,
    MONOTONIC_READS,
    MONOTONIC_WRITES,
    READ_YOUR_WRITES,
    WRITES_FOLLOW_READS,
    CAUSAL,
    SEQUENTIAL,
    LINEARIZABLE,
)


def _of_grid() -> dict[str, tuple[str, ...]]:
    return {
        GRID[level][order]: tuple(
            GRID[up][along]
            for up, along in ((level + 1, order), (level, order + 1))
            if up < len(LEVELS) and along < len(ORDERS)
        )
        for level in range(len(LEVELS))
        for order in range(len(ORDERS))
    }


# Of each model, those right above it.
_STRONGER: Final[Mapping[str, tuple[str, ...]]] = _of_grid() | {
    **dict.fromkeys((MONOTONIC_READS, MONOTONIC_WRITES, READ_YOUR_WRITES, WRITES_FOLLOW_READS), (CAUSAL,)),
    CAUSAL: (SEQUENTIAL,),
    SEQUENTIAL: (LINEARIZABLE,),
    EVENTUAL: (LINEARIZABLE,),
    LINEARIZABLE: (),
}

# The level whose cycles these are.
CYCLES: Final = {
    "G0": 0,
    "G1c": 1,
    "G-single": 2,
    "G-nonadjacent": 2,
    "G2-item": 3,
}

# The weakest model that each anomaly rules out; anomalies in the order in which they are told, the gravest first.
_WEAKEST_BROKEN: Final = {
    "duplicate-elements": READ_UNCOMMITTED,
    "cyclic-versions": READ_UNCOMMITTED,
    "lost-update": SNAPSHOT_ISOLATION,
    "G0": READ_UNCOMMITTED,
    "dirty-update": READ_COMMITTED,
    "G1a": READ_COMMITTED,
    "garbage-read": READ_UNCOMMITTED,
    "incompatible-order": READ_COMMITTED,
    "G1b": READ_COMMITTED,
    "G1c": READ_COMMITTED,
    "future-read": READ_COMMITTED,
    "internal": SNAPSHOT_ISOLATION,
    **{f"{name}{suffix}": GRID[level][order]
       for order, suffix in enumerate(("", "-process", "-realtime"))
       for name, level in CYCLES.items() if order or level >= 2},
    # A read at a timestamp that does not show the state at that timestamp.
    "stale-read": STRONG_SNAPSHOT_ISOLATION,
    "wrong-total": SNAPSHOT_ISOLATION,
    # Of registers. Those in capitals are the bad patterns of Bouajjani and others.
    "own-write-missed": READ_YOUR_WRITES,
    "non-monotonic-read": MONOTONIC_READS,
    "non-monotonic-write": MONOTONIC_WRITES,
    "cause-missed": WRITES_FOLLOW_READS,
    "ThinAirRead": CAUSAL,
    "CyclicCO": CAUSAL,
    "WriteCOInitRead": CAUSAL,
    "WriteCORead": CAUSAL,
    "double-cas": SEQUENTIAL,
    "non-sequential": SEQUENTIAL,
    "not-converged": EVENTUAL,
    "stale-final-read": EVENTUAL,
    "non-linearizable": LINEARIZABLE,
}  # fmt: skip

_RANK: Final = {name: rank for rank, name in enumerate(_WEAKEST_BROKEN)}


def rules_out(anomaly: str) -> list[str]:
    """The models that cannot hold with this anomaly, the weakest first; empty for what is no matter of models."""
    return stronger(_WEAKEST_BROKEN[anomaly]) if anomaly in _WEAKEST_BROKEN else []


def stronger(model: str) -> list[str]:
    """The model and all that imply it, weaker ones first."""
    found = [model]
    for each in found:
        found += [above for above in _STRONGER[each] if above not in found]
    return found


def rank(anomaly: str) -> int:
    """Where an anomaly belongs in a list that begins with the gravest."""
    return _RANK.get(anomaly, len(_RANK))


ALL_MODELS: Final = tuple(_STRONGER)


def is_model(name: str) -> bool:
    """Whether there is a model of that name."""
    return name in _STRONGER


def closed(models: Mapping[str, Validity]) -> dict[str, Validity]:
    """The same with what follows: where a model is broken so are the stronger ones, where one holds so do the weaker.

    Raises:
        ValueError: a model that holds is stronger than one that is broken.
    """
    found: dict[str, Validity] = dict(models)
    for model in models:
        above = [each for each in stronger(model) if each in models]
        if models[model] is False:
            found |= dict.fromkeys(above, False)
    for model in models:
        if any(found[each] is True for each in stronger(model) if each in models):
            if found[model] is False:
                raise ValueError(f"{model} cannot be broken where a stronger model holds")
            found[model] = True
    return found


def weakest_broken(models: Mapping[str, Validity]) -> list[str]:
    """Of the models that are broken, those that imply no other broken one."""
    broken = [model for model, valid in models.items() if valid is False]
    return [model for model in broken if not any(model in stronger(other)[1:] for other in broken)]


def strongest_surviving(models: Mapping[str, Validity]) -> list[str]:
    """Of the models that hold, those that no other one that holds implies."""
    holding = [model for model, valid in models.items() if valid is True]
    return [model for model in holding if not any(other in stronger(model)[1:] for other in holding)]


def together(verdicts: Iterable[Mapping[str, Validity]]) -> dict[str, Validity]:
    """What several checkers say of models: broken for one is broken; who knows counts more than who does not."""
    found: dict[str, Validity] = {}
    for models in verdicts:
        for model, valid in models.items():
            if valid is False or found.get(model, "unknown") == "unknown":
                found[model] = valid
    return found


def answer(models: Mapping[str, Validity], asked: Iterable[str]) -> Validity:
    """What the models that were decided say to those asked for, false > unknown > true."""
    return worst(models.get(model, "unknown") for model in asked)
