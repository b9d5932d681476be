"""Who did what around one moment: a lane for each process, a bar for each operation from invocation to completion.

An outcome shows in the bar's form as well as in its colour: ok is filled, fail is hollow, info is dashed.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from markupsafe import Markup

from harness.clock import MILLISECOND, SECOND
from harness.columns import INFO_CODE, INVOKE_CODE, TYPES
from harness.history import History
from reports.faults import Fault
from reports.gaps import Gap
from reports.op_words import OpView
from reports.svg import picture, tag
from reports.text import count, duration, shown

_WIDTH, _LEFT, _RIGHT, _TOP = 1040.0, 92.0, 1028.0, 14.0
_LANE, _LANE_INVOLVED = 20.0, 38.0
_LANES, _BARS = 20, 900


class Window(msgspec.Struct, frozen=True):
    """What part of the run to show, in ns; why, in words."""

    begin: int
    end: int
    why: str


class _Bar(msgspec.Struct, frozen=True):
    index: int
    process: int
    begin: int
    end: int | None
    type: int


def window_around(ops: Sequence[OpView], gap: Gap | None, end: int) -> Window | None:
    """Around the operations of an anomaly; without one, around the longest gap without an ok."""
    if ops:
        begins = [op.begin_ns for op in ops]
        # An operation without a known outcome may stay open for seconds after all else is over.
        closed = [op.end_ns for op in ops if op.end_ns is not None and op.outcome in ("ok", "fail")]
        first, last, why = min(begins), max(begins + closed), "around the operations of the anomaly"
    elif gap is not None:
        first, last, why = gap.begin, gap.end, "around the longest time without an ok operation"
    else:
        return None
    margin = max((last - first) // 6, 20 * MILLISECOND)
    return Window(max(first - margin, 0), min(last + margin, max(end, last)), why)


def draw_timeline(history: History, window: Window, involved: Sequence[OpView], faults: Sequence[Fault]) -> Markup:
    """Draw the ``window`` of ``history`` with the operations in ``involved`` named."""
    labels = {op.index: op.label for op in involved}
    bars = _bars(history, window)
    lanes, left_out = _chosen(bars, labels)
    shown_bars = [bar for bar in bars if bar.process in lanes]
    if len(shown_bars) > _BARS:
        keep = sorted(shown_bars, key=lambda bar: (bar.index not in labels, -(_end(bar, window) - bar.begin)))[:_BARS]
        left_out_bars = len(shown_bars) - len(keep)
        shown_bars = sorted(keep, key=lambda bar: bar.index)
    else:
        left_out_bars = 0
    parts, height = _lanes(lanes, shown_bars, window, labels)
    bands = _bands(faults, window, height)
    axis = _axis(window, height)
    notes = [count(left_out, "other process", "other processes") if left_out else ""]
    notes.append(count(left_out_bars, "short operation") if left_out_bars else "")
    note = " and ".join(filter(None, notes))
    foot = (
        [tag("text", f"not drawn: {note}", x=_RIGHT, y=height + 36, text_anchor="end", class_="axis")] if note else []
    )
    label = f"Operations by process, {window.why}"
    return picture(_WIDTH, height + (44 if foot else 24), label, [*bands, *axis, *parts, *foot], "timeline")


def _bars(history: History, window: Window) -> list[_Bar]:
    time, process = np.asarray(history.time), np.asarray(history.process)
    kind, pair = np.asarray(history.type), np.asarray(history.pair)
    begin = np.flatnonzero((process >= 0) & (kind == INVOKE_CODE) & (time <= window.end))
    partner = pair[begin]
    ends = np.where(partner >= 0, time[np.maximum(partner, 0)], window.end + 1)
    begin, partner = begin[ends >= window.begin], partner[ends >= window.begin]
    return [
        _Bar(
            index=int(index),
            process=int(process[index]),
            begin=int(time[index]),
            end=int(time[other]) if other >= 0 else None,
            type=int(kind[other]) if other >= 0 else INFO_CODE,
        )
        for index, other in zip(begin, partner, strict=True)
    ]


def _chosen(bars: Sequence[_Bar], labels: dict[int, str]) -> tuple[list[int], int]:
    """Processes to draw, ascending: those of the anomaly first of all; and how many there is no room for."""
    everybody = {bar.process for bar in bars}
    first = {bar.process for bar in bars if bar.index in labels}
    others = sorted(everybody - first)[: max(_LANES - len(first), 0)]
    lanes = sorted([*first, *others])
    return lanes, len(everybody) - len(lanes)


def _end(bar: _Bar, window: Window) -> int:
    return window.end if bar.end is None else min(bar.end, window.end)


def _x(time: int, window: Window) -> float:
    share = (time - window.begin) / max(window.end - window.begin, 1)
    return _LEFT + min(max(share, 0.0), 1.0) * (_RIGHT - _LEFT)


def _lanes(
    lanes: Sequence[int], bars: Sequence[_Bar], window: Window, labels: dict[int, str]
) -> tuple[list[Markup], float]:
    y = _TOP
    parts: list[Markup] = []
    for process in lanes:
        mine = [bar for bar in bars if bar.process == process]
        named = [bar for bar in mine if bar.index in labels]
        height = _LANE_INVOLVED if named else _LANE
        middle = y + height - _LANE / 2
        name = tag("text", f"process {process}", x=_LEFT - 12, y=middle + 4, text_anchor="end", class_="axis")
        parts += [name, tag("line", x1=_LEFT, y1=middle, x2=_RIGHT, y2=middle, class_="rule")]
        parts += [_bar(bar, middle, window, labels) for bar in mine]
        parts += _names(named, middle, window, labels)
        y += height
    return parts, y + 4


def _bar(bar: _Bar, middle: float, window: Window, labels: dict[int, str]) -> Markup:
    x, end = _x(bar.begin, window), _x(_end(bar, window), window)
    thick = 6.5 if bar.index in labels else 4.0
    kind = TYPES[bar.type]
    classes = f"bar bar-{kind}" + (" involved" if bar.index in labels else "")
    ended = "no completion" if bar.end is None else f"{kind} after {duration(bar.end - bar.begin)}"
    title = tag("title", f"operation {bar.index}, process {bar.process}: {ended}")
    return tag("rect", title, x=x, y=middle - thick, width=max(end - x, 2.0), height=2 * thick, rx=2, class_=classes)


def _names(named: Sequence[_Bar], middle: float, window: Window, labels: dict[int, str]) -> list[Markup]:
    """Labels above their bars, moved to the right where they would overlap."""
    parts: list[Markup] = []
    free = _LEFT
    for bar in named:
        x = min(max(_x(bar.begin, window), free), _RIGHT - 22)
        parts.append(tag("text", labels[bar.index], x=x, y=middle - 11, class_="label"))
        free = x + 12 + 8 * len(labels[bar.index])
    return parts


def _bands(faults: Sequence[Fault], window: Window, height: float) -> list[Markup]:
    parts: list[Markup] = []
    for fault in faults:
        if fault.end_ns < window.begin or fault.start_ns > window.end:
            continue
        x, end = _x(fault.start_ns, window), _x(fault.end_ns, window)
        until = f" to {fault.end_ns / SECOND:.3f} s" if fault.lasting else " s"
        words = f"{fault.kind} {', '.join(fault.targets)}, {fault.start_ns / SECOND:.3f}{until}"
        parts.append(
            tag("rect", tag("title", shown(words)), x=x, y=4, width=max(end - x, 1.5), height=height - 4, class_="band")
        )
    return parts


def _axis(window: Window, height: float) -> list[Markup]:
    span = max(window.end - window.begin, 1)
    step = _step(span)
    places = 3 if step < 10 * MILLISECOND else 2 if step < 100 * MILLISECOND else 1 if step < SECOND else 0
    parts: list[Markup] = []
    tick = -(-window.begin // step) * step
    while tick <= window.end:
        x = _x(tick, window)
        parts.append(tag("line", x1=x, y1=4, x2=x, y2=height, class_="rule"))
        text = f"{tick / SECOND:.{places}f} s"
        parts.append(tag("text", text, x=min(x, _RIGHT - 14), y=height + 16, text_anchor="middle", class_="axis"))
        tick += step
    return parts


def _step(span: int) -> int:
    """A round number of ns that gives 4 to 10 ticks."""
    step = 1
    while span / step > 10:
        step *= 10
    for factor in (5, 2):
        if step % factor == 0 and span / (step // factor) <= 9:
            return step // factor
    return max(step, 1)
