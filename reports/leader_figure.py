"""Who led over the time of a run: a lane for PD and for each region, a bar for each reign."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from markupsafe import Markup

from harness.clock import MILLISECOND, SECOND
from reports.faults import Fault
from reports.figure_svg import INK, OKAY, WRONG, figure_svg
from reports.leaders import Reign
from reports.plots import LEFT, RIGHT, label, share_time

_LANES = 12
_REIGNS = 400  # of a lane
_CHARACTER, _PADDING = 0.0085, 0.012  # widths of the axes that a character of a name takes, and its margins


def leader_figure(rows: Mapping[str, Sequence[Reign]], faults: Sequence[Fault], end: int) -> tuple[Markup, int]:
    """Draw those who led, of PD and of the regions that changed most; return how many regions there is no room for."""
    names = sorted(rows, key=lambda what: (what != "pd", -len(rows[what]), _number(what), what))[:_LANES]
    lanes = sorted(names, key=lambda what: (what != "pd", _number(what), what))

    def draw(figure: Any) -> None:
        total = float(figure.get_size_inches()[1])
        axes = figure.add_axes((LEFT, 0.42 / total, RIGHT - LEFT, 1 - 0.72 / total))
        axes.set_title("leaders, as seen once a second")
        axes.grid(visible=False)
        for y, what in enumerate(lanes):
            _draw_lane(axes, y, rows[what][:_REIGNS], end)
        axes.set_yticks(range(len(lanes)), ["PD" if what == "pd" else label(what) for what in lanes])
        axes.set_ylim(len(lanes) - 0.4, -0.6)
        share_time([axes], faults, end, strip=False)

    height = 0.8 + 0.26 * len(lanes)
    figure = figure_svg(draw, height, "leaders", "Who led PD and the regions, over the time of the run")
    return figure, len(rows) - len(lanes)


def _number(what: str) -> int:
    digits = what.rpartition(" ")[2]
    return int(digits) if digits.isdecimal() and digits.isascii() and len(digits) < 19 else 0


def _draw_lane(axes: Any, y: int, reigns: Sequence[Reign], end: int) -> None:
    span = max(end, MILLISECOND) / SECOND
    for number, reign in enumerate(reigns):
        begin, finish = reign.begin / SECOND, min(reign.end if reign.end is not None else end, end) / SECOND
        width = max(finish - begin, 0.0)
        axes.barh(y, width, left=begin, height=0.62, color=OKAY, alpha=0.5 if number % 2 else 0.26, linewidth=0)
        name = label(reign.node)
        if width / span > len(name) * _CHARACTER + _PADDING:
            axes.text(begin + 0.004 * span, y, name, va="center", ha="left", fontsize=9, color=INK)
    for before, after in pairwise(reigns):
        if before.end is not None and after.begin > before.end:
            axes.plot([before.end / SECOND, after.begin / SECOND], [y, y], color=WRONG, linewidth=1.6)
