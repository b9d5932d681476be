"""Reads EDN, Clojure's notation for data, as plain JSON values.

After https://github.com/edn-format/edn, with what Clojure prints beside it (``##Inf``, ``#"regex"``, hexadecimal
numbers, maps with a common namespace). Keywords, symbols and characters become strings, keywords without their colon;
lists, vectors and sets become lists (sets sorted); the keys of maps become strings, as JSON has it (``{0 10}`` is
``{"0": 10}``); a tagged value is the value, ratios and decimals are floats, what is no number is None, as is null.
"""

from __future__ import annotations

import math
import re
from typing import Any, Final, NamedTuple

import msgspec

DEPTH_LIMIT: Final = 500  # of what stands in what; nothing that is no attack comes near

_DELIMITED: Final = rb'[^\s,;"()\[\]{}\\@^`~]'
_SKIP: Final = re.compile(rb"(?:[\s,]++|;[^\n]*+)*+")
_TOKEN: Final = re.compile(
    _SKIP.pattern + rb"(?::(" + _DELIMITED + rb"+)"
    rb'|([-+]?(?:0|[1-9]\d{0,17})(?=[\s,;"()\[\]{}]))'
    rb"|([\])}])"
    rb"|([\[({]|#\{)"
    rb'|#?"((?:[^"\\]++|\\.)*+)"'
    rb"|##?([A-Za-z_:]" + _DELIMITED + rb"*)"
    rb"|\\(u[0-9a-fA-F]{4}|o[0-7]{1,3}|[A-Za-z]+|[\x00-\x7f]|[\xc0-\xff][\x80-\xbf]*)"
    rb"|((?:#')?[^\s,;\"()\[\]{}\\@^`~#:]" + _DELIMITED + rb"*))",
    re.DOTALL,
)
_KEYWORD, _INTEGER, _CLOSE, _OPEN, _STRING, _TAG, _CHARACTER, _OTHER = range(1, 9)

_CLOSING: Final = {b"[": b"]", b"(": b")", b"{": b"}", b"#{": b"}"}
_ESCAPE: Final = re.compile(r"\\(u[0-9a-fA-F]{4}|[0-7]{1,3}|.)", re.DOTALL)
_ESCAPES: Final = {"t": "\t", "r": "\r", "n": "\n", "b": "\b", "f": "\f", "\\": "\\", '"': '"'}
_CHARACTERS: Final = {
    "newline": "\n",
    "return": "\r",
    "space": " ",
    "tab": "\t",
    "backspace": "\b",
    "formfeed": "\f",
}
_NUMBER: Final = re.compile(
    rb"([-+]?(?:0|[1-9]\d*))N?|([-+]?(?:0|[1-9]\d*)(?:\.\d*)?(?:[eE][-+]?\d+)?)M?|([-+]?\d+)/(\d+)|([-+]?)0[xX]([0-9a-fA-F]+)N?"
)
_MOST_DIGITS: Final = 4000  # no number is as long as this; of 64 bits or not is for those who take it into columns
_DISCARD: Final = b"#_"
_CONSTANTS: Final[dict[bytes, Any]] = {b"nil": None, b"null": None, b"true": True, b"false": False}


class EdnError(ValueError):
    """It is not EDN."""

    def __init__(self, at: int, reason: str) -> None:
        super().__init__(reason)
        self.at = at


class Unfinished(Exception):
    """The text ends inside a value."""


class Closed(NamedTuple):
    """Instead of a value: a bracket closes that was not opened in this text."""

    bracket: bytes


END: Final = Closed(b"")  # instead of a value: the text ends


class _Frame(NamedTuple):
    """What was opened: a collection, or what takes one value (a tag, a discard)."""

    opened: bytes  # the bracket; ``#tag`` or ``#_``
    items: list[Any]
    at: int
    inside: int  # where the first value in it may begin


def skip(text: bytes, at: int = 0) -> int:
    """Where the next value begins: behind blanks, commas and comments."""
    match = _SKIP.match(text, at)
    assert match is not None
    return match.end()


def read_value(text: bytes, at: int = 0) -> tuple[Any, int]:
    """Read one value; return it, or ``END`` or a ``Closed``, and where it ends.

    Of a word at the very end of the text nobody knows whether it goes on; that counts only inside of something.

    Raises:
        EdnError: it is none.
        Unfinished: the text ends before it does.
    """
    frames: list[_Frame] = []
    items: list[Any] | None = None  # of the innermost collection, where values go
    match_token = _TOKEN.match
    while (match := match_token(text, at)) is not None:
        kind = match.lastindex
        at = match.end()
        if items is not None and kind == _INTEGER:
            items.append(int(match[_INTEGER]))
            continue
        opened = _opened(match, text)
        if opened is not None:
            at = opened.inside
            frames.append(opened)
            if len(frames) > DEPTH_LIMIT:
                raise EdnError(opened.at, "it is nested too deeply")
        else:
            if kind != _CLOSE:
                value = _atom(match, text, inside=bool(frames))
            elif frames:
                value = _collection(frames.pop(), match[_CLOSE], at - 1)
            else:
                return Closed(match[_CLOSE]), at
            value = _through_tags(frames, value)
            if value is not END:
                if not frames:
                    return value, at
                frames[-1].items.append(value)
        items = _items(frames)
    return _at_end(text, skip(text, at), inside=bool(frames))


def _items(frames: list[_Frame]) -> list[Any] | None:
    """Of the innermost collection, if that is what takes the next value."""
    return frames[-1].items if frames and frames[-1].opened in _CLOSING else None


def _through_tags(frames: list[_Frame], value: Any) -> Any:
    """What the tags before a value make of it; ``END`` if it was to be left out."""
    while frames and frames[-1].opened not in _CLOSING:
        frame = frames.pop()
        if frame.opened == _DISCARD:
            return END
        value = _tagged(frame.opened, value)
    return value


def _opened(match: re.Match[bytes], text: bytes) -> _Frame | None:
    """What begins here and takes values, if it does."""
    if match.lastindex == _OPEN:
        return _Frame(match[_OPEN], [], match.start(_OPEN), match.end())
    if match.lastindex != _TAG:
        return None
    begin = match.start(_TAG) - 1
    tag = match[_TAG]
    if tag.startswith(b"_"):
        return _Frame(_DISCARD, [], begin, begin + 2)
    return None if text.startswith(b"#", begin - 1) else _Frame(b"#" + tag, [], begin, match.end())


def _at_end(text: bytes, at: int, *, inside: bool) -> tuple[Any, int]:
    """What it means that no token begins at ``at``."""
    if at >= len(text) and not inside:
        return END, at
    rest = text[at : at + 3]
    if rest in (b"", b"#", b"##", b"\\", b":", b"#'") or rest.startswith((b'"', b'#"')):
        raise Unfinished
    raise EdnError(at, f"not EDN: {rest[:1].decode('latin-1')!a} cannot stand there")


def _atom(match: re.Match[bytes], text: bytes, *, inside: bool) -> Any:
    kind = match.lastindex
    assert kind is not None
    token = match[kind]
    if kind != _STRING and inside and match.end() == len(text):
        raise Unfinished
    try:
        if kind == _KEYWORD:
            return token.decode("utf-8", "replace")
        if kind == _TAG:
            return None  # ##Inf and the like, which JSON does not have
        if kind == _STRING:
            return token.decode() if text.startswith(b"#", match.start(_STRING) - 2) else _string(token.decode())
        if kind == _CHARACTER:
            return _character(token.decode())
        return _CONSTANTS[token] if token in _CONSTANTS else _other(token)
    except UnicodeError:
        raise EdnError(match.start(kind), "not EDN: it is not UTF-8") from None
    except (ValueError, ArithmeticError) as error:
        raise EdnError(match.start(kind), f"not EDN: {error}") from None


def _other(token: bytes) -> Any:
    """A number that is not a plain one, or a symbol."""
    match = _NUMBER.fullmatch(token)
    if match is None:
        if token.lstrip(b"+-")[:1].isdigit():
            raise ValueError(f"{token[:40].decode()!a} is no number")
        return token.decode()
    integer, fraction, above, below, sign, digits = match.groups()
    if max(map(len, (integer or b"", above or b"", below or b"", digits or b""))) > _MOST_DIGITS:
        raise ValueError("a number is beyond 64 bits")
    if integer is not None:
        return int(integer)
    if digits is not None:
        return int(sign + digits, 16)
    value = float(fraction) if fraction is not None else int(above) / int(below)
    if not math.isfinite(value):
        raise ValueError("a number is beyond 64 bits")
    return value


def _string(text: str) -> str:
    if "\\" not in text:
        return text
    text = _ESCAPE.sub(_unescaped, text)
    # Java writes what is beyond 16 bits as two.
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")


def _unescaped(match: re.Match[str]) -> str:
    letter = match[1]
    if letter in _ESCAPES:
        return _ESCAPES[letter]
    if letter[0] == "u" and len(letter) == 5:
        return chr(int(letter[1:], 16))
    if letter[0] in "01234567":
        return chr(int(letter, 8))
    raise ValueError(f"a string cannot hold {match[0]!a}")


def _character(name: str) -> str:
    if len(name) == 1:
        return name
    if name in _CHARACTERS:
        return _CHARACTERS[name]
    if name[0] == "u" and len(name) == 5:
        return chr(int(name[1:], 16)).encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    if name[0] == "o" and name[1:].isdigit():
        return chr(int(name[1:], 8))
    raise ValueError(f"there is no character {name[:20]!a}")


def _collection(frame: _Frame, closing: bytes, at: int) -> Any:
    wanted = _CLOSING.get(frame.opened)
    if wanted is None:
        raise EdnError(frame.at, "not EDN: a tag without a value")
    if closing != wanted:
        raise EdnError(at, f"not EDN: {closing.decode()} where {wanted.decode()} should be")
    if frame.opened == b"{":
        keys, values = frame.items[::2], frame.items[1::2]
        if len(keys) != len(values):
            raise EdnError(frame.at, "not EDN: a map with a key that has no value")
        return dict(zip([key if type(key) is str else key_text(key) for key in keys], values, strict=True))
    return sorted(frame.items, key=_rank) if frame.opened == b"#{" else frame.items


def key_text(key: Any) -> str:
    """What a key of a map is in JSON."""
    return key if isinstance(key, str) else msgspec.json.encode(key).decode()


def _rank(value: Any) -> tuple[int, Any, str]:
    if isinstance(value, (int, float)):
        return 0, value, ""
    return (1, 0, value) if isinstance(value, str) else (2, 0, msgspec.json.encode(value).decode())


def _tagged(tag: bytes, value: Any) -> Any:
    if tag.startswith(b"#jepsen.independent") and isinstance(value, dict):
        return list(value.values())  # of a pair of a key and what belongs to it
    if tag.startswith(b"#:") and isinstance(value, dict):
        space = tag[2:].decode("utf-8", "replace")
        return {key if "/" in key else f"{space}/{key}": each for key, each in value.items()}
    return value
