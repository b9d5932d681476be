"""A cycle of dependencies drawn: operations as cards on a ring, edges numbered and labelled.

Cards are read clockwise from the upper left: the upper row, down the right side, the lower row backwards, up the left.
Adjacent operations of the cycle are adjacent on the ring, so that edges never cross and never pass below a card.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from harness.verdict import Edge
from reports.op_words import OpView
from reports.svg import group, picture, tag
from reports.text import shown

Point = tuple[float, float]

LIMIT = 14  # more cards than this say less than the list does
_WIDTH, _LINE, _HEAD = 292.0, 18.0, 32.0
_GAP_X, _GAP_X_PAIR, _GAP_Y = 116.0, 210.0, 92.0
_MARGIN = 8.0
_COLUMNS = 3
_CHARACTERS, _HEADING = 42, 30
_CIRCLED = "\N{CIRCLED DIGIT ONE}"


class _Place(NamedTuple):
    """Where a card is: its centre and its height."""

    x: float
    y: float
    height: float


def draw_cycle(ops: Sequence[OpView], edges: Sequence[Edge]) -> Markup:
    """Draw ``ops`` in the order of the cycle with ``edges`` between them (none: the cards alone).

    Returns an empty string when there is nothing to draw, or too much (above ``LIMIT``).
    """
    if not ops or len(ops) > LIMIT:
        return Markup("")
    places, width, height = _layout(ops)
    place = {op.index: where for op, where in zip(ops, places, strict=True)}
    arrows: list[Markup] = []
    pills: list[Markup] = []
    for number, edge in enumerate(edges, 1):
        if edge.source in place and edge.target in place and edge.source != edge.target:
            begin, end = _clipped(place[edge.source], place[edge.target], both_ways=len(ops) == 2)
            arrows.append(_arrow(begin, end, edge.label))
            pills.append(_pill(begin, end, number, edge.label))
    cards = [_card(op, place[op.index]) for op in ops]
    names = ", ".join(f"{op.label} {op.title}" for op in ops)
    kinds = ", ".join(edge.label for edge in edges)
    label = f"Cycle of {len(ops)} operations ({names}) with edges {kinds}" if edges else f"Operations: {names}"
    return picture(width, height, shown(label), [*arrows, *cards, *pills], "cycle")


def edge_number(number: int) -> str:
    """The mark of an edge in the drawing and in the list: a digit in a circle."""
    return chr(ord(_CIRCLED) + number - 1) if number <= 10 else f"{number}."


def _layout(ops: Sequence[OpView]) -> tuple[list[_Place], float, float]:
    """Places of the cards, and the size of the whole. A row is as high as its fullest card."""
    cells, columns, rows = _ring(len(ops))
    gap = _GAP_X_PAIR if columns < _COLUMNS else _GAP_X
    heights = [0.0] * rows
    for op, (_, row) in zip(ops, cells, strict=True):
        heights[row] = max(heights[row], _HEAD + _LINE * (2 + len(op.facts)) + 10)
    tops = [_MARGIN + sum(heights[:row]) + row * _GAP_Y for row in range(rows)]
    places = [
        _Place(_MARGIN + _WIDTH / 2 + column * (_WIDTH + gap), tops[row] + heights[row] / 2, heights[row])
        for column, row in cells
    ]
    return places, 2 * _MARGIN + columns * _WIDTH + (columns - 1) * gap, tops[-1] + heights[-1] + _MARGIN


def _ring(count: int) -> tuple[list[tuple[float, int]], int, int]:
    """Cells (column, row) of ``count`` cards clockwise, and how many columns and rows there are."""
    upper = min(_COLUMNS, (count + 1) // 2 if count > 2 else count)
    lower = min(upper, count - upper)
    sides = count - upper - lower
    right = (sides + 1) // 2
    bottom = right + 1 if lower else 0
    cells = [(float(column), 0) for column in range(upper)]
    cells += [(upper - 1.0, row) for row in range(1, right + 1)]
    cells += [(upper - 1 - (upper - lower) / 2 - column, bottom) for column in range(lower)]
    cells += [(0.0, bottom - row) for row in range(1, sides - right + 1)]
    return cells, upper, bottom + 1


def _clipped(source: _Place, target: _Place, *, both_ways: bool) -> tuple[Point, Point]:
    """The part of the line between two centres that lies outside of the cards; of a pair of lines, each to its side."""
    dx, dy = target.x - source.x, target.y - source.y
    across = (_WIDTH / 2 + 4) / abs(dx) if dx else float("inf")
    leave = min(across, (source.height / 2 + 4) / abs(dy) if dy else float("inf"))
    enter = min(across, (target.height / 2 + 4) / abs(dy) if dy else float("inf"))
    shift = (-1 if dx > 0 else 1) * source.height * 0.2 if both_ways else 0.0
    begin = source.x + dx * leave, source.y + dy * leave + shift
    return begin, (target.x - dx * enter, target.y - dy * enter + shift)


def _arrow(begin: Point, end: Point, label: str) -> Markup:
    (x1, y1), (x2, y2) = begin, end
    length = max(((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5, 1.0)
    ux, uy = (x2 - x1) / length, (y2 - y1) / length
    base = x2 - 11 * ux, y2 - 11 * uy
    head = (
        f"{x2:.1f},{y2:.1f} {base[0] - 5 * uy:.1f},{base[1] + 5 * ux:.1f} {base[0] + 5 * uy:.1f},{base[1] - 5 * ux:.1f}"
    )
    return group(
        [tag("line", x1=x1, y1=y1, x2=base[0], y2=base[1]), tag("polygon", points=head)],
        class_=f"edge {edge_class(label)}",
    )


def edge_class(label: str) -> str:
    """The class of an edge with this label; the style sheet colours by it."""
    return f"edge-{label}" if label in ("ww", "wr", "rw", "process", "realtime") else "edge-other"


def _pill(begin: Point, end: Point, number: int, label: str) -> Markup:
    x, y = (begin[0] + end[0]) / 2, (begin[1] + end[1]) / 2
    text = f"{edge_number(number)} {shown(label, 12)}"
    width = 20 + 8 * len(text)
    if begin[1] == end[1] and abs(begin[0] - end[0]) < width + 60:
        y -= 18  # a short line would vanish below it
    return group(
        [
            tag("rect", x=x - width / 2, y=y - 12, width=width, height=24, rx=12),
            tag("text", text, x=x, y=y + 4.5, text_anchor="middle"),
        ],
        class_=f"pill {edge_class(label)}",
    )


def _card(op: OpView, place: _Place) -> Markup:
    x, y = place.x - _WIDTH / 2, place.y - place.height / 2
    about = [f"operation {op.index} by process {op.process}, {op.outcome}", op.when]
    lines = [(line, "when") for line in about] + [(line, None) for line in op.facts]
    texts = [
        tag("text", shown(line, _CHARACTERS), x=x + 14, y=y + _HEAD + 17 + _LINE * row, class_=class_)
        for row, (line, class_) in enumerate(lines)
    ]
    parts = (
        tag("tspan", op.label, class_="label"),
        tag("tspan", shown(op.title, max(_HEADING - len(op.label), 8)), dx=8),
    )
    return group(
        [
            tag("rect", x=x, y=y, width=_WIDTH, height=place.height, rx=8),
            tag("line", x1=x, y1=y + _HEAD, x2=x + _WIDTH, y2=y + _HEAD),
            tag("text", *parts, x=x + 14, y=y + 21, class_="title"),
            *texts,
        ],
        class_="card",
    )
