"""Writes operations as EDN that Jepsen's own tools read: a map a line.

Keywords are what Jepsen has as such: the keys of maps (but whole numbers, which are numbers), ``:type``, ``:f``, the
nemesis, the word of an error, and what begins a micro-operation, ``[:append 3 1]``. All other strings are strings. The
keys of ``ext`` stand beside the others, unless one cannot; then they stand in a map ``:ext``.
"""

from __future__ import annotations

import re
from typing import Any, Final

from harness.formats.edn_ops import Raw
from harness.op import Op

MICRO_OPERATIONS: Final = frozenset(("append", "r", "w"))

_KEYWORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_*!?-]*+(?:/[A-Za-z][A-Za-z0-9_*!?-]*+)?")
_WHOLE: Final = re.compile(r"0|-?[1-9][0-9]{0,17}")
_TAKEN: Final = frozenset((*Raw.__struct_fields__, "key"))
_ESCAPES: Final = str.maketrans(
    {
        **{chr(code): f"\\u{code:04x}" for code in (*range(32), 127)},
        "\n": "\\n",
        "\r": "\\r",
        "\t": "\\t",
        '"': '\\"',
        "\\": "\\\\",
    }
)


def edn_line(op: Op) -> bytes:
    """The operation as a line, with its end.

    Raises:
        ValueError: it holds what EDN cannot.
        RecursionError: it is nested too deeply.
    """
    parts = [f":index {op.index}, :time {op.time}, :type :{op.type}, :process {_word(op.process)}, :f {_word(op.f)}"]
    parts.append(f":value {_text(op.value)}")
    if op.error is not None:
        parts.append(f":error {_error(op.error)}")
    if op.node is not None:
        parts.append(f":node {_string(op.node)}")
    if op.ext is not None:
        if op.ext and all(_KEYWORD.fullmatch(key) and key not in _TAKEN for key in op.ext):
            parts += [f":{key} {_text(value)}" for key, value in op.ext.items()]
        else:
            parts.append(f":ext {_text(op.ext)}")
    return f"{{{', '.join(parts)}}}\n".encode()


def _text(value: Any) -> str:
    """Any JSON value."""
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise ValueError("a number is beyond 64 bits")
        return repr(value)
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, list):
        return f"[{' '.join(_items(value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_key(key)} {_text(each)}' for key, each in value.items())}}}"
    raise ValueError(f"{type(value).__name__} is no JSON value")


def _items(value: list[Any]) -> list[str]:
    items = [_text(each) for each in value]
    if len(value) == 3 and isinstance(value[0], str) and value[0] in MICRO_OPERATIONS:
        items[0] = f":{value[0]}"
    return items


def _key(key: str) -> str:
    return key if _WHOLE.fullmatch(key) else _word(key)


def _word(value: str | int) -> str:
    """A keyword, if it can be one."""
    if isinstance(value, int):
        return str(value)
    return f":{value}" if _KEYWORD.fullmatch(value) else _string(value)


def _error(error: str | list[Any]) -> str:
    if isinstance(error, str):
        return _word(error)
    words = [_word(each) if isinstance(each, str) else _text(each) for each in error[:1]]
    return f"[{' '.join([*words, *map(_text, error[1:])])}]"


def _string(text: str) -> str:
    return f'"{text.translate(_ESCAPES)}"'
