"""Figures over the time of a run: latency and throughput under the faults, and what the reads saw of the balances.

What is drawn is bounded whatever the length of the history: quantiles by bucket and a sample of points.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from harness.clock import MILLISECOND, SECOND
from harness.columns import FAIL_CODE, INFO_CODE, OK_CODE
from reports.balances import Balances
from reports.faults import Fault
from reports.figure_svg import BAND, FAILED, GRID, MUTED, OKAY, UNSURE, WRONG, figure_svg
from reports.overview import Completions, Ints
from reports.text import duration

LEFT, RIGHT = 0.118, 0.985
_BUCKETS = 160
_SAMPLE = 1_500
_MARKS = 250
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")


def performance_figure(done: Completions, faults: Sequence[Fault], end: int) -> Markup:
    """Faults by kind, latency and throughput, one above the other over the same time axis."""
    rows = _rows(faults)

    def draw(figure: Any) -> None:
        strip = 0.24 * max(len(rows), 1)
        total = float(figure.get_size_inches()[1])
        grid = figure.add_gridspec(
            3, 1, height_ratios=[strip, 2.3, 1.5], hspace=0.42, left=LEFT, right=RIGHT,
            top=1 - 0.3 / total, bottom=0.42 / total,
        )  # fmt: skip
        axes = [figure.add_subplot(cell) for cell in grid]
        _draw_faults(axes[0], rows)
        _draw_latency(axes[1], done)
        _draw_throughput(axes[2], done, end)
        share_time(axes, faults, end, strip=True)

    height = 5.3 + 0.24 * max(len(rows), 1)
    return figure_svg(draw, height, "performance", "Faults, latency and throughput over the time of the run")


def balance_figure(balances: Balances, expected: int | None, faults: Sequence[Fault], end: int) -> Markup:
    """The total that each read saw, and the balance of each account."""
    lanes = len(balances.accounts)

    def draw(figure: Any) -> None:
        total = float(figure.get_size_inches()[1])
        grid = figure.add_gridspec(
            2, 1, height_ratios=[1.2, 0.26 * lanes], hspace=0.3 * 2 / (0.6 + 0.13 * lanes), left=LEFT, right=RIGHT,
            top=1 - 0.3 / total, bottom=0.42 / total,
        )  # fmt: skip
        axes = [figure.add_subplot(cell) for cell in grid]
        _draw_total(axes[0], balances, expected)
        _draw_accounts(axes[1], balances)
        share_time(axes, faults, end, strip=False)

    height = 2.5 + 0.26 * lanes
    label = "The total as seen by reads, and the balance of each account, over the time of the run"
    return figure_svg(draw, height, "balance", label)


def _rows(faults: Sequence[Fault]) -> dict[str, list[Fault]]:
    rows: dict[str, list[Fault]] = {}
    for fault in faults:
        rows.setdefault(fault.kind, []).append(fault)
    return rows


def _draw_faults(axes: Any, rows: dict[str, list[Fault]]) -> None:
    axes.set_title("faults" if rows else "no faults")
    axes.grid(visible=False)
    axes.set_ylim(len(rows) - 0.4, -0.6) if rows else axes.set_ylim(0, 1)
    axes.set_yticks(range(len(rows)), [label(kind) for kind in rows])
    for row, faults in enumerate(rows.values()):
        colour = WRONG if faults[0].beyond else BAND
        axes.axhline(row, color=GRID, linewidth=0.7, zorder=0)
        for fault in faults:
            begin, end = fault.start_ns / SECOND, fault.end_ns / SECOND
            solid = {"color": colour} if fault.verified else {"facecolor": "none", "edgecolor": colour}
            if fault.lasting:
                axes.barh(row, end - begin, left=begin, height=0.62, linewidth=1, **solid)
            else:
                face = colour if fault.verified else "none"
                axes.plot([begin], [row], marker="d", color=colour, markerfacecolor=face, markersize=6, linewidth=0)


def _draw_latency(axes: Any, done: Completions) -> None:
    axes.set_title("latency")
    axes.set_yscale("log")
    latency = np.maximum(done.at - done.invoked, 1)
    good = done.type == OK_CODE
    _bands(axes, done.at[good], latency[good])
    _points(axes, done.at[good] / SECOND, latency[good])
    for code, name, colour, marker in ((FAIL_CODE, "fail", FAILED, "x"), (INFO_CODE, "info", UNSURE, "^")):
        chosen = _sample(np.flatnonzero(done.type == code), latency, _MARKS)
        at = done.at[chosen] / SECOND
        face = "none" if marker == "^" else colour
        axes.plot(at, latency[chosen], marker, color=colour, markerfacecolor=face, markersize=4.5, label=name)
    if len(latency):
        axes.set_ylim(int(latency.min()) / 1.6, int(latency.max()) * 1.8)
    axes.yaxis.set_major_formatter(lambda value, _: duration(round(value)))
    axes.yaxis.set_minor_formatter(lambda _value, _: "")
    _legend(axes)


def _bands(axes: Any, at: Ints, latency: Ints) -> None:
    """Median, and the range from the 5th to the 95th percentile, where a bucket holds enough to speak of quantiles."""
    if len(at) < 40:
        return
    count = min(_BUCKETS, len(at) // 10)
    edges = np.linspace(int(at.min()), int(at.max()) + 1, count + 1)
    order = np.argsort(at, kind="stable")
    at, latency = at[order], latency[order]
    cuts = np.searchsorted(at, edges)
    middle, low, median, high = ([] for _ in range(4))
    for begin, end, left, right in zip(cuts, cuts[1:], edges, edges[1:], strict=False):
        enough = end - begin >= 5
        five, fifty, ninety_five = np.percentile(latency[begin:end], (5, 50, 95)) if enough else [np.nan] * 3
        middle.append((left + right) / 2 / SECOND)
        low.append(five)
        median.append(fifty)
        high.append(ninety_five)
    axes.fill_between(middle, low, high, color=OKAY, alpha=0.22, linewidth=0, label="5 % to 95 %")
    axes.plot(middle, median, color=OKAY, linewidth=1.4, label="median")


def _points(axes: Any, at: npt.NDArray[np.float64], latency: Ints) -> None:
    """A sample of the ok operations: one path of dots, a tenth of the bytes of as many markers."""
    from matplotlib.patches import PathPatch  # noqa: PLC0415 (slow to import; only a report needs it)
    from matplotlib.path import Path  # noqa: PLC0415

    chosen = _sample(np.arange(len(at)), latency, _SAMPLE)
    if not len(chosen):
        return
    spots = np.repeat(np.column_stack((at[chosen], latency[chosen])), 2, axis=0)
    path = Path(spots, np.tile([Path.MOVETO, Path.LINETO], len(chosen)))
    axes.add_patch(PathPatch(path, edgecolor=OKAY, alpha=0.55, linewidth=2.2, capstyle="round", snap=False))
    axes.plot([], [], "o", color=OKAY, alpha=0.55, markersize=3, label="ok")


def _sample(candidates: Ints, weight: Ints, limit: int) -> Ints:
    """At most ``limit`` of the candidates: half of them the heaviest, the rest evenly spaced."""
    if len(candidates) <= limit:
        return candidates
    heaviest = candidates[np.argsort(-weight[candidates], kind="stable")[: limit // 2]]
    spaced = candidates[np.linspace(0, len(candidates) - 1, limit - limit // 2).astype(np.int64)]
    return np.unique(np.concatenate((heaviest, spaced)))


def _draw_throughput(axes: Any, done: Completions, end: int) -> None:
    axes.set_title("operations completed per second")
    seconds = max(end, MILLISECOND) / SECOND
    count = int(np.clip(len(done.at) // 20, 10, _BUCKETS))
    edges = np.linspace(0, seconds, count + 1)
    middle = (edges[:-1] + edges[1:]) / 2
    for code, name, colour, dashes in (
        (OK_CODE, "ok", OKAY, "-"),
        (FAIL_CODE, "fail", FAILED, (0, (5, 2))),
        (INFO_CODE, "info", UNSURE, (0, (1.5, 1.5))),
    ):
        amount, _ = np.histogram(done.at[done.type == code] / SECOND, edges)
        axes.plot(middle, amount * count / seconds, color=colour, linestyle=dashes, linewidth=1.5, label=name)
    axes.set_ylim(bottom=0)
    _legend(axes)


def _draw_total(axes: Any, balances: Balances, expected: int | None) -> None:
    axes.set_title("total as seen by reads")
    at, total = balances.at / SECOND, balances.total
    wrong = np.zeros(len(total), dtype=bool) if expected is None else total != expected
    if expected is not None:
        axes.axhline(expected, color=MUTED, linewidth=1, linestyle=(0, (4, 3)), label=f"expected {expected:,}")
    right = _sample(np.flatnonzero(~wrong), balances.at, 400)
    axes.plot(at[right], total[right], ".", color=OKAY, markersize=3.5, label="as expected" if len(right) else None)
    bad = _sample(np.flatnonzero(wrong), np.abs(total - (expected or 0)), 400)
    if len(bad):
        axes.plot(at[bad], total[bad], "x", color=WRONG, markersize=6, label="wrong")
    seen = [*total.tolist(), *([] if expected is None else [expected])]
    margin = max((max(seen) - min(seen)) * 0.25, abs(max(seen)) * 0.02, 1)
    axes.set_ylim(min(seen) - margin, max(seen) + margin)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.locator_params(axis="y", nbins=4, integer=True)
    _legend(axes)


def _draw_accounts(axes: Any, balances: Balances) -> None:
    highest = max(int(np.nanmax(lane, initial=1)) for lane in balances.lanes)
    axes.set_title(f"balance of each account (the height of a lane is {highest:,})")
    axes.grid(visible=False)
    for row, lane in enumerate(balances.lanes):
        floor = len(balances.lanes) - 1 - row
        axes.axhline(floor, color=GRID, linewidth=0.7, zorder=0)
        level = np.asarray(lane, dtype=np.float64) / highest * 0.82 + floor
        axes.plot(balances.lane_at / SECOND, level, color=OKAY, linewidth=1.1, drawstyle="steps-post")
    axes.set_yticks(range(len(balances.lanes)), [f"account {account}" for account in reversed(balances.accounts)])
    axes.set_ylim(-0.15, len(balances.lanes))


def _legend(axes: Any) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        place: dict[str, Any] = {"loc": "lower right", "bbox_to_anchor": (1.0, 1.01), "borderaxespad": 0}
        axes.legend(handles, labels, ncols=len(handles), handlelength=1.6, columnspacing=1.4, **place)


def share_time(axes: Sequence[Any], faults: Sequence[Fault], end: int, *, strip: bool) -> None:
    """The same seconds for all, faults as bands over those that do not list them, the numbers only at the bottom."""
    for place, each in enumerate(axes):
        each.set_xlim(0, max(end, MILLISECOND) / SECOND)
        each.tick_params(axis="x", bottom=each is axes[-1], labelbottom=each is axes[-1], length=3)
        if not (strip and place == 0):
            for begin, finish in _spans(faults):
                each.axvspan(begin / SECOND, finish / SECOND, color=BAND, alpha=0.14, linewidth=0, zorder=0)
    axes[-1].set_xlabel("seconds since the start of the run", fontsize=9.5)


def _spans(faults: Iterable[Fault]) -> list[tuple[int, int]]:
    """When at least one lasting fault was there: overlapping ones are one band."""
    spans: list[tuple[int, int]] = []
    for fault in sorted((fault for fault in faults if fault.lasting), key=lambda fault: fault.start_ns):
        if spans and fault.start_ns <= spans[-1][1]:
            spans[-1] = spans[-1][0], max(spans[-1][1], fault.end_ns)
        else:
            spans.append((fault.start_ns, fault.end_ns))
    return spans


def label(text: str) -> str:
    """Text for matplotlib, which knows the widths of few characters."""
    return _UNPRINTABLE.sub("?", text)[:18]
