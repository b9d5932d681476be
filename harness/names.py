"""Keys and values of foreign histories as integers, so that columns can hold them.

Integers stand for themselves. Whatever else a history uses (strings, keywords, booleans, fractions; for keys also lists
and maps) is numbered in the order in which it comes up, from the lowest integers on. ``nil`` has a number of its own.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

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
        return self._new((type(value), value), value) if code is None else code

    def key(self, value: Any) -> int:
        """The same for a key, which may also be a list or a map.

        Raises:
            ValueError: it is an integer beyond 64 bits, or nothing that JSON knows.
        """
        if type(value) not in (list, dict):
            return self.code(value)
        try:
            name = msgspec.json.encode(value, order="sorted")  # in which 1, too, is neither 1.0 nor true
        except (msgspec.MsgspecError, TypeError, UnicodeEncodeError, RecursionError) as error:
            raise ValueError(f"{value!r:.80} is no key: {error}") from None
        code = self._codes.get((list, name))
        return self._new((list, name), value) if code is None else code

    def _new(self, name: Any, value: Any) -> int:
        code = self._codes[name] = _LOWEST + len(self._named)
        self._named.append(value)
        return code

    def value(self, code: int) -> Any:
        """What ``code`` stands for."""
        if code == NIL:
            return None
        at = code - _LOWEST
        return self._named[at] if at < _NAMED else code
