"""A matplotlib figure as a piece of a page.

The colours that matplotlib is given are placeholders, replaced by CSS variables, so that one picture is right in light
and in dark; its text stays text, in the page's own font. The same figure gives the same bytes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

from markupsafe import Markup

INK, MUTED, GRID, OKAY, FAILED, UNSURE, BAND, WRONG = (f"#0f1e0{digit}" for digit in range(8))
_VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--line",
    OKAY: "--ok",
    FAILED: "--fail",
    UNSURE: "--info",
    BAND: "--fault",
    WRONG: "--bad",
}
_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "quorumquake",
    "text.parse_math": False,  # a label is never a formula: "$" comes from outside
    "path.simplify": False,
    "font.size": 10,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "ytick.left": False,
    "ytick.minor.left": False,
    "legend.frameon": False,
    "legend.labelcolor": MUTED,
    "legend.fontsize": 9.5,
    "text.color": INK,
}
_WIDTH = 10.4  # inches


def figure_svg(draw: Callable[[Any], None], height: float, name: str, label: str) -> Markup:
    """Let ``draw`` fill a figure of ``height`` inches; return it as an ``svg`` element that scales with its place.

    Args:
        draw: gets the ``matplotlib.figure.Figure``.
        height: in inches; the width is always the same.
        name: a word, different for each figure of a page.
        label: what the figure shows, for those who cannot see it.
    """
    import matplotlib as mpl  # noqa: PLC0415 (slow to import; only a report needs it)
    from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    # The user's matplotlibrc has no say; which windows are drawn in is none of our business.
    style: Any = {key: value for key, value in mpl.rcParamsDefault.items() if key != "backend"} | _STYLE
    with mpl.rc_context(style):
        figure = Figure(figsize=(_WIDTH, height), dpi=100)
        figure.patch.set_visible(False)
        FigureCanvasSVG(figure)
        draw(figure)
        for axes in figure.axes:
            axes.patch.set_visible(False)
        sink = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(sink, format="svg", metadata=nothing, transparent=True)
    return _inline(sink.getvalue(), name, label)


_PROLOGUE = re.compile(r"\A.*?(?=<svg)", re.DOTALL)
_SIZE = re.compile(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', re.DOTALL)
_LEFTOVERS = re.compile(r"<metadata>.*?</metadata>|<style [^>]*>.*?</style>|<!--.*?-->", re.DOTALL)
_GROUP_ID = re.compile(r'<g id="[^"]*"')
_COLOUR = re.compile("#0f1e0[0-7]")
_FONT = re.compile(r"font: ([0-9.]+)px [^;\"]*")
_BLANKS = re.compile(r"\s*\n\s*")
_XLINK = re.compile(r"xlink:href")
_REFERENCE = re.compile(r'(\sid="|href="#|url\(#)')


def _inline(document: str, name: str, label: str) -> Markup:
    """A stand-alone SVG file as an element of a page: no names that clash, colours by variable."""
    text = _LEFTOVERS.sub("", _PROLOGUE.sub("", document))
    text = _SIZE.sub(rf'<svg class="figure" role="img" viewBox="\1"><title>{label}</title>', text, count=1)
    text = _GROUP_ID.sub("<g", text)
    text = _FONT.sub(r"font-size:\1px", text)
    text = _COLOUR.sub(lambda match: f"var({_VARIABLES[match[0]]})", text)
    text = _REFERENCE.sub(rf"\1{name}-", _XLINK.sub("href", text))
    return Markup(_BLANKS.sub(" ", text).strip())  # noqa: S704 (matplotlib escapes its texts)
