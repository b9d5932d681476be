"""A cycle of dependencies drawn: operations as cards on a ring, edges numbered and labelled.

Cards are read clockwise from the upper left: the upper row, down the right side, the lower row backwards, up the left.
Adjacent operations of the cycle are adjacent on the ring, so that edges never cross and never pass below a card.
"""

from __future__ import annotations

from collections.abc import Sequence

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
_CHARACTERS = 44
_CIRCLED = "\N{CIRCLED DIGIT ONE}"


def draw_cycle(ops: Sequence[OpView], edges: Sequence[Edge]) -> Markup:
    """Draw ``ops`` in the order of the cycle with ``edges`` between them (none: the cards alone).

    Returns an empty string when there is nothing to draw, or too much (above ``LIMIT``).
    """
    if not ops or len(ops) > LIMIT:
        return Markup("")
    height = _HEAD + _LINE * (1 + max(len(op.facts) for op in ops)) + 12
    centres, width, total = _ring(len(ops), height)
    place = {op.index: centre for op, centre in zip(ops, centres, strict=True)}
    arrows: list[Markup] = []
    pills: list[Markup] = []
    both_ways = len(ops) == 2
    for number, edge in enumerate(edges, 1):
        if edge.source in place and edge.target in place and edge.source != edge.target:
            shift = (-1 if place[edge.source][0] < place[edge.target][0] else 1) * height * 0.22 if both_ways else 0
            begin, end = _clipped(place[edge.source], place[edge.target], height, shift)
            arrows.append(_arrow(begin, end, edge.label))
            pills.append(_pill(begin, end, number, edge.label))
    cards = [_card(op, place[op.index], height) for op in ops]
    names = ", ".join(f"{op.label} {op.title}" for op in ops)
    kinds = ", ".join(edge.label for edge in edges)
    label = f"Cycle of {len(ops)} operations ({names}) with edges {kinds}" if edges else f"Operations: {names}"
    return picture(width, total, shown(label), [*arrows, *cards, *pills], "cycle")


def edge_number(number: int) -> str:
    """The mark of an edge in the drawing and in the list: a digit in a circle."""
    return chr(ord(_CIRCLED) + number - 1) if number <= 20 else str(number)


def _ring(count: int, height: float) -> tuple[list[Point], float, float]:
    """Centres of ``count`` cards clockwise, and the size of the whole."""
    columns = min(_COLUMNS, (count + 1) // 2 if count > 2 else count)
    upper = columns
    lower = min(columns, count - upper)
    sides = count - upper - lower
    right = (sides + 1) // 2
    rows = (2 if lower else 1) + right
    gap = _GAP_X_PAIR if count <= 4 else _GAP_X
    step_x, step_y = _WIDTH + gap, height + _GAP_Y
    width = columns * _WIDTH + (columns - 1) * gap + 2 * _MARGIN
    total = rows * height + (rows - 1) * _GAP_Y + 2 * _MARGIN
    left_x, top_y = _MARGIN + _WIDTH / 2, _MARGIN + height / 2
    bottom_y, right_x = top_y + (rows - 1) * step_y, left_x + (columns - 1) * step_x
    indent = (columns - lower) * step_x / 2
    centres = [(left_x + column * step_x, top_y) for column in range(upper)]
    centres += [(right_x, top_y + (row + 1) * step_y) for row in range(right)]
    centres += [(right_x - indent - column * step_x, bottom_y) for column in range(lower)]
    left = sides - right
    centres += [(left_x, bottom_y - (row + 1) * (bottom_y - top_y) / (left + 1)) for row in range(left)]
    return centres, width, total


def _clipped(source: Point, target: Point, height: float, shift: float) -> tuple[Point, Point]:
    """The part of the line between two centres that lies outside of the cards, moved down by ``shift``."""
    (x1, y1), (x2, y2) = source, target
    dx, dy = x2 - x1, y2 - y1
    reach = min(
        (_WIDTH / 2 + 4) / abs(dx) if dx else float("inf"),
        (height / 2 + 4) / abs(dy) if dy else float("inf"),
    )
    return (x1 + dx * reach, y1 + dy * reach + shift), (x2 - dx * reach, y2 - dy * reach + shift)


def _arrow(begin: Point, end: Point, label: str) -> Markup:
    (x1, y1), (x2, y2) = begin, end
    length = max(((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5, 1.0)
    ux, uy = (x2 - x1) / length, (y2 - y1) / length
    base = x2 - 11 * ux, y2 - 11 * uy
    head = f"{x2:.1f},{y2:.1f} {base[0] - 5 * uy:.1f},{base[1] + 5 * ux:.1f} {base[0] + 5 * uy:.1f},{base[1] - 5 * ux:.1f}"
    return group(
        [tag("line", x1=x1, y1=y1, x2=base[0], y2=base[1]), tag("polygon", points=head)],
        class_=f"edge {_edge_class(label)}",
    )


def _edge_class(label: str) -> str:
    return f"edge-{label}" if label in ("ww", "wr", "rw", "process", "realtime") else "edge-other"


def _pill(begin: Point, end: Point, number: int, label: str) -> Markup:
    x, y = (begin[0] + end[0]) / 2, (begin[1] + end[1]) / 2
    text = f"{edge_number(number)} {shown(label, 12)}"
    width = 16 + 7.6 * len(text)
    return group(
        [
            tag("rect", x=x - width / 2, y=y - 12, width=width, height=24, rx=12),
            tag("text", text, x=x, y=y + 4.5, text_anchor="middle"),
        ],
        class_=f"pill {_edge_class(label)}",
    )


def _card(op: OpView, centre: Point, height: float) -> Markup:
    x, y = centre[0] - _WIDTH / 2, centre[1] - height / 2
    lines = [f"process {op.process} \N{MIDDLE DOT} {op.when} \N{MIDDLE DOT} {op.outcome}", *op.facts]
    texts = [
        tag("text", shown(line, _CHARACTERS), x=x + 14, y=y + _HEAD + 16 + _LINE * row, class_="when" if not row else None)
        for row, line in enumerate(lines)
    ]
    heading = tag(
        "text",
        tag("tspan", op.label, class_="label"),
        tag("tspan", shown(op.title, 32), dx=8),
        x=x + 14,
        y=y + 21,
        class_="title",
    )
    return group(
        [
            tag("rect", x=x, y=y, width=_WIDTH, height=height, rx=8),
            tag("line", x1=x, y1=y + _HEAD, x2=x + _WIDTH, y2=y + _HEAD),
            heading,
            *texts,
        ],
        class_="card",
    )
