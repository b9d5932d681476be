"""What the report says of how the cluster did: when nothing worked, who led, and what a skewed clock does not do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.leader_watch import LeaderChange
from reports.fault_words import named
from reports.gaps import Gap
from reports.leader_figure import leader_figure
from reports.leaders import leader_moves, leaders_words, reigns
from reports.overview import Overview
from reports.text import count, duration, instant

_GAPS, _MOVES = 20, 60
_CLOCKS = (
    "A clock was skewed as a process reads it. Waits inside the kernel (sleeps, time-outs of epoll and of futexes) "
    "keep true time, so a process whose monotonic clock is off may spin, or wait for longer than it meant to."
)
_STEADY = "No leader changed, as far as was seen."


def availability(spec: Mapping[str, Any], seen: Overview, leaders: Sequence[LeaderChange]) -> dict[str, Any]:
    """The template's values for gaps, leaders and clocks."""
    skewed = any("clock" in fault.kind or fault.beyond for fault in seen.faults)
    return {
        "clock_note": _CLOCKS if skewed and spec.get("cluster") != "sim" else "",
        "gap": _gap(seen),
        "gaps": _longest(seen.gaps),
        "gaps_left_out": max(len(seen.gaps) - _GAPS, 0),
        **_leader_section(leaders, seen),
    }


def meanwhile(gap: Gap) -> str:
    """What was in force in a gap, or was over shortly before."""
    if gap.faults:
        return named(gap.faults)
    if gap.last is None:
        return "no fault"
    return f"no fault; {named([gap.last])} was over {duration(gap.begin - gap.last.end_ns)} before"


def _gap(seen: Overview) -> str:
    if seen.longest_gap is None:
        return ""
    gap = seen.longest_gap
    return (
        f"The longest time without an ok was {duration(gap.length)}, from {instant(gap.begin)} to {instant(gap.end)}."
    )


def _longest(gaps: Sequence[Gap]) -> list[Gap]:
    """The longest of them, in the order of time."""
    return sorted(sorted(gaps, key=lambda gap: -gap.length)[:_GAPS], key=lambda gap: gap.begin)


def _leader_section(changes: Sequence[LeaderChange], seen: Overview) -> dict[str, Any]:
    rows = reigns(changes)
    moves = leader_moves(rows, seen.faults)
    drawn, left_out = leader_figure(rows, seen.faults, seen.duration_ns) if rows else (None, 0)
    note = f"{count(len(moves), 'leader change')} seen: {leaders_words(moves)}." if moves else _STEADY
    return {
        "leaders": drawn,
        "leaders_note": note + (f" {count(left_out, 'other region')} not drawn." if left_out else ""),
        "moves": moves[:_MOVES],
        "moves_left_out": max(len(moves) - _MOVES, 0),
    }
