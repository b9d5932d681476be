"""SVG from Python with escaping that cannot be forgotten: every attribute and every text goes through one door."""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup, escape

from reports.text import shown


def tag(name: str, *children: Markup | str, **attributes: str | float | None) -> Markup:
    """An element. Children that are not ``Markup`` are text; ``stroke_width=2`` becomes ``stroke-width="2"``.

    A trailing underscore is dropped (``class_``), an attribute of None is left out, numbers are rounded to 0.1.
    """
    parts = [f"<{name}"]
    for key, value in attributes.items():
        if value is not None:
            parts.append(f' {key.rstrip("_").replace("_", "-")}="{escape(_attribute(value))}"')
    inside = "".join(child if isinstance(child, Markup) else escape(shown(child)) for child in children)
    parts.append(f">{inside}</{name}>" if inside else "/>")
    return Markup("".join(parts))  # noqa: S704 (put together from escaped parts)


def _attribute(value: str | float) -> str:
    return shown(value, 10_000) if isinstance(value, str) else f"{round(value, 1):g}"


def group(children: Iterable[Markup], **attributes: str | float | None) -> Markup:
    """A ``g`` element."""
    return tag("g", *children, **attributes)


def picture(width: float, height: float, label: str, children: Iterable[Markup], class_: str) -> Markup:
    """An ``svg`` element that scales with its place; ``label`` says to those who cannot see it what it shows."""
    return tag(
        "svg",
        tag("title", label),
        *children,
        viewBox=f"0 0 {width:g} {height:g}",
        width=width,
        height=height,
        role="img",
        class_=class_,
    )
