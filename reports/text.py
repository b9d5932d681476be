"""Any value as text a person may safely look at: bounded, without characters that break or disguise a page.

What an operation carries was made by the system under test: it is hostile. Escaping for HTML is the template's business
(and ``reports.svg``'s); this is what escaping does not cover: control characters, lone surrogates, characters that turn
the direction of writing, and sheer length.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from harness.clock import MICROSECOND, MILLISECOND, SECOND

ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"
_VALUE_LIMIT = 400

# C0 and C1 controls but newline and tab, zero-width and direction marks, separators, lone surrogates, non-characters.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff\ufff9-\uffff]"
)


def shown(value: Any, limit: int = _VALUE_LIMIT) -> str:
    """Return ``value`` (any JSON value) in at most ``limit`` characters, unsafe ones as visible escapes."""
    text = value if isinstance(value, str) else _json(value)
    text = _UNSAFE.sub(_escaped, text[: limit + 1])
    return text if len(text) <= limit else text[: limit - 1] + ELLIPSIS


def _json(value: Any) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except (msgspec.MsgspecError, TypeError, UnicodeEncodeError, RecursionError):
        return repr(value)


def _escaped(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


def duration(ns: int) -> str:
    """A length of time with three digits that count: ``12.3 ms``."""
    for unit, name in ((SECOND, "s"), (MILLISECOND, "ms"), (MICROSECOND, "\N{MICRO SIGN}s")):
        if abs(ns) >= unit:
            value = ns / unit
            return f"{value:.0f} {name}" if value >= 100 else f"{value:.3g} {name}"
    return f"{ns} ns"


def instant(ns: int) -> str:
    """A moment of the run, in seconds since its start, to the millisecond: ``12.304 s``."""
    return f"{ns / SECOND:.3f} s"


def count(number: int, noun: str, plural: str = "") -> str:
    """``1 fault``, ``3 faults``, ``10,000 operations``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def listed(words: list[str], conjunction: str = "and") -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {conjunction} {words[-1]}" if words else ""


def either(words: list[str]) -> str:
    """``a``, ``a or b``, ``a, b or c``: after a ``not`` it is none of them."""
    return listed(words, "or")
