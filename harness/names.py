"""Keys and values of foreign histories as integers, so that columns can hold them.

Integers stand for themselves. Whatever else a history uses (strings, keywords, booleans, fractions) is numbered in the
order in which it comes up, from the lowest integers on. ``nil`` has a number of its own.
"""

from __future__ import annotations

from typing import Any, Final

NIL: Final = 2**63 - 1
_LOWEST: Final = -(2**63)
_NAMED: Final = 1 << 40  # as many names as this; integers begin above


class Names:
    """Numbers for one history; both ways."""

    def __init__(self) -> None:
        self._codes: dict[Any, int] = {None: NIL}
        self._named: list[Any] = []

    def code(self, value: Any) -> int:
        """The integer that stands for ``value``.

        Raises:
            ValueError: it is a list or a map, or an integer that is beyond 64 bits.
        """
        if type(value) is int:
            if not _LOWEST + _NAMED <= value < NIL:
                raise ValueError("a number is beyond 64 bits")
            return value
        # 1 == 1.0 == True, so the type belongs to the name.
        try:
            code = self._codes.get(value if value is None else (type(value), value))
        except TypeError:
            raise ValueError(f"{value!r:.80} is neither a number nor a name") from None
        if code is None:
            code = _LOWEST + len(self._named)
            self._named.append(value)
            self._codes[type(value), value] = code
        return code

    def value(self, code: int) -> Any:
        """What ``code`` stands for."""
        if code == NIL:
            return None
        at = code - _LOWEST
        return self._named[at] if at < _NAMED else code
