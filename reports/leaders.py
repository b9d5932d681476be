"""Leader changes, from what was seen of them once a second (``leaders.jsonl``)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from harness.clock import SECOND
from harness.leader_watch import EVERY_NS, LeaderChange
from reports.faults import Fault, in_force

_BYTES = 4_000_000  # of the file that are read: some 60,000 changes


class Reign(msgspec.Struct, frozen=True):
    """A time during which one node led, as far as was seen.

    Attributes:
        what: ``pd``, or ``region ID``.
        node: who led.
        begin: when it was first seen to lead, ns.
        end: when that was first seen to be over; None: it led until the end.
    """

    what: str
    node: str
    begin: int
    end: int | None


class LeaderMove(msgspec.Struct, frozen=True):
    """One led after another, or after the same with nobody in between.

    Attributes:
        what: ``pd``, or ``region ID``.
        source: who led before.
        target: who led then; None: nobody any more.
        lost: when the former was seen not to lead any more, ns.
        at: when the latter was first seen to lead; the same as ``lost`` where nobody did.
        faults: that were in force meanwhile, or in the second before.
    """

    what: str
    source: str
    target: str | None
    lost: int
    at: int
    faults: tuple[Fault, ...]


def read_leaders(path: Path) -> list[LeaderChange]:
    """The lines of ``leaders.jsonl`` in order; none where there is no such file. What is no such line is left out."""
    try:
        with path.open("rb") as file:
            content = file.read(_BYTES)
    except OSError:
        return []
    decode = msgspec.json.Decoder(LeaderChange).decode
    found: list[LeaderChange] = []
    for line in content.splitlines():
        try:
            found.append(decode(line))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue
    return sorted(found, key=lambda change: change.time)


def reigns(changes: Iterable[LeaderChange]) -> dict[str, list[Reign]]:
    """Who led one after the other, by what was led."""
    known: dict[str, LeaderChange] = {}
    found: dict[str, list[Reign]] = {}
    for change in changes:
        before = known.get(change.what)
        if before is not None and before.node == change.node:
            continue
        known[change.what] = change
        if before is not None and before.node is not None:
            found[change.what].append(Reign(change.what, before.node, before.time, change.time))
        found.setdefault(change.what, [])
    for what, change in known.items():
        if change.node is not None:
            found[what].append(Reign(what, change.node, change.time, None))
    return {what: row for what, row in found.items() if row}


def leader_moves(rows: dict[str, list[Reign]], faults: Sequence[Fault]) -> list[LeaderMove]:
    """All changes of leaders, in the order of time."""
    found: list[LeaderMove] = []
    for what, row in rows.items():
        for number, reign in enumerate(row):
            if reign.end is None:
                continue
            then = row[number + 1] if number + 1 < len(row) else None
            at = reign.end if then is None else then.begin
            # A change is seen up to a second after it happened.
            there = tuple(in_force(faults, reign.end - EVERY_NS, at))
            found.append(LeaderMove(what, reign.node, None if then is None else then.node, reign.end, at, there))
    return sorted(found, key=lambda move: move.at)


def leaderless(move: LeaderMove) -> int | None:
    """For how long nobody was seen to lead, ns; None: until the end."""
    return None if move.target is None else move.at - move.lost


def leaders_words(moves: Sequence[LeaderMove]) -> str:
    """How often leaders changed: ``2 of PD, 7 of regions``; empty without any."""
    of_pd = sum(move.what == "pd" for move in moves)
    of_regions = len(moves) - of_pd
    parts = [f"{of_pd:,} of PD"] * bool(of_pd) + [f"{of_regions:,} of regions"] * bool(of_regions)
    waits = [wait for move in moves if (wait := leaderless(move)) is not None and wait >= SECOND]
    longest = f"; for up to {max(waits) / SECOND:.0f} s nobody was seen to lead" if waits else ""
    return ", ".join(parts) + longest
