"""EDN at the speed of JSON: whole blocks of simple operations are turned into JSON lines by replacing bytes.

Keys become ``"key":``, other keywords ``"keyword"``, nil null, spaces commas; strings without a backslash are taken out
before and put back unchanged, and so are maps from integers to integers, which are put back as JSON. Which keywords
there are, and what stands around them, is learned from operations that were read token by token. It does not matter
whether a replacement meets what it was meant for: every colon in the outcome stands for the blank behind a keyword,
every comma for another blank, every bracket and every number for itself. So where the outcome is JSON at all, its
objects are the maps, its arrays the vectors, with the same in them in the same order. Where it is not, the operations
are read token by token.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from harness.formats.edn_ops import Raw, Whole

_HOLE: Final = b"\x01"  # where a string was
_MAP_HOLE: Final = b"\x02"  # where a map from integers to integers was
_MERGED: Final = _HOLE + b":"  # a keyword right behind a string, which could be JSON for a key and its value
_RECORD: Final = b"#jepsen.history.Op{"
_PLAIN: Final = (string.ascii_letters + string.digits + " ,\t\n:{}[]-+.*!_?/<>=%&$|").encode()
_BLANKS: Final = bytes.maketrans(b",\t", b"  ")
_COMMAS: Final = bytes.maketrans(b" ", b",")
# Keywords in a row, a key first: in an operation's map most of what stands between two values.
_ROW: Final = re.compile(rb"([{ ,]+)((?::[^\s,:{}\[\]\x01\x02]+(?:[ ,]+|(?=[}\]])))+)")
_KEYWORD: Final = re.compile(rb":([^\s,:{}\[\]\x01\x02]+)([ ,]+|[}\]]|)")
_INTEGER: Final = rb"(?:0|-?[1-9]\d{0,17})"
_INTEGER_MAP: Final = re.compile(rb"\{(?:%b (?:%b|nil)(?:,? |(?=\})))+\}" % (_INTEGER, _INTEGER))
_ENOUGH: Final = 64  # patterns; whoever uses more keywords than this is read slowly


def is_plain(text: bytes) -> bool:
    """Whether there is nothing in it that only the reader of tokens understands."""
    if b'"' in text:
        if b"\\" in text:
            return False
        text = b" ".join(text.split(b'"')[::2])
    return not text.translate(None, _PLAIN) or not text.replace(_RECORD, b"{").translate(None, _PLAIN)


class FastLines:
    """Decodes operations, one on each line, as far as it has learned the keywords."""

    def __init__(self) -> None:
        self._decoders = [msgspec.json.Decoder(Whole), msgspec.json.Decoder(Raw)]
        self._as_is = _Patterns()
        self._tidied = _Patterns()
        self._tidy_first = False

    def learn(self, text: bytes, value: dict[str, Any]) -> None:
        """Learn the keywords of an operation, which is ``value``."""
        if is_plain(text):
            text = _without_maps(_without_strings(text)[0].replace(_RECORD, b"{"))[0]
            keys = _all_keys(value)
            self._as_is.learn(text, keys)
            self._tidied.learn(_tidy(text), keys)

    def decode(self, text: bytes, lines: int) -> Sequence[Raw | Whole] | None:
        """The operations of plain lines, None if they must be read token by token."""
        text, strings = _without_strings(text)
        if _MERGED in text:
            return None
        if b"#" in text:
            text = text.replace(_RECORD, b"{")
        text, maps = _without_maps(text)
        for tidied in (self._tidy_first, not self._tidy_first):
            json = self._tidied.to_json(_tidy(text)) if tidied else self._as_is.to_json(text)
            json = _filled(json, _MAP_HOLE, maps) if maps else json
            raws = self._decode(_with_strings(json, strings) if strings else json, lines)
            if raws is not None:
                self._tidy_first = tidied
                return raws
        return None

    def _decode(self, json: bytes, lines: int) -> Sequence[Raw | Whole] | None:
        # No object holds such a line break: see ``json_lines``.
        if not (json.startswith(b"{") and json.endswith(b"}\n") and json.count(b"}\n{") == lines - 1):
            return None
        for decoder in self._decoders:
            try:
                raws = decoder.decode_lines(json)
            except msgspec.ValidationError:
                continue  # something is missing
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                return None
            return raws if len(raws) == lines else None
        return None


class _Patterns:
    """What is replaced by what. The longer a pattern, the faster it is found, so they are as long as can be."""

    def __init__(self) -> None:
        self._rows: dict[bytes, bytes] = {}
        self._words: dict[bytes, bytes] = {}
        self._in_order: list[tuple[bytes, bytes]] = []

    def learn(self, text: bytes, keys: set[str]) -> None:
        """Learn the keywords of an operation whose maps have these keys."""
        # Where a keyword has nil in it, nothing may be replaced but what is nil.
        if len(self._in_order) > _ENOUGH or any(b"nil" in word for word, _ in _KEYWORD.findall(text)):
            return
        for before, row in _ROW.findall(text):
            found = _KEYWORD.findall(row)
            whole = len(found) % 2 == 0 or found[-1][1]  # no key right before a bracket
            if whole and found[0][0].decode() in keys and before.count(b"{") <= 1:
                opening = b"" if before.startswith(b"{") else b","
                parts = [(b'"%b":' if at % 2 == 0 else b'"%b",' if gap else b'"%b"') % word
                         for at, (word, gap) in enumerate(found)]  # fmt: skip
                self._rows[before + row] = opening + b"{" * before.count(b"{") + b"".join(parts)
        rest = _ROW.sub(lambda match: b" " if match[0] in self._rows else match[0], text)
        for word, end in _KEYWORD.findall(rest):
            if end:
                self._words[b":%b%b" % (word, end)] = b'"%b"%b' % (word, end if end in b"}]" else b",")
        # A shorter one may be part of a longer one.
        self._in_order = sorted(self._rows.items(), key=lambda row: -len(row[0])) + list(self._words.items())

    def to_json(self, text: bytes) -> bytes:
        """The text with everything replaced."""
        for pattern, replacement in self._in_order:
            text = text.replace(pattern, replacement)
        return text.translate(_COMMAS).replace(b"nil", b"null")


def _without_strings(text: bytes) -> tuple[bytes, list[bytes]]:
    """The text with holes where strings were, and the strings."""
    if b'"' not in text:
        return text, []
    parts = text.split(b'"')
    return _HOLE.join(parts[::2]), parts[1::2]


def _without_maps(text: bytes) -> tuple[bytes, list[bytes]]:
    """The text with holes where maps from integers to integers (or nil) were, and these as JSON."""
    maps: list[bytes] = []

    def taken(match: re.Match[bytes]) -> bytes:
        words = match[0][1:-1].replace(b",", b"").replace(b"nil", b"null").split(b" ")
        maps.append(b'{"%b}' % b',"'.join(map(b'":'.join, zip(words[::2], words[1::2], strict=True))))
        return _MAP_HOLE

    return _INTEGER_MAP.sub(taken, text), maps


def _with_strings(text: bytes, strings: list[bytes]) -> bytes:
    """The strings in their holes again; if some are missing, it will not be JSON."""
    return _filled(text, _HOLE, [b'"%b"' % each for each in strings])


def _filled(text: bytes, hole: bytes, pieces: list[bytes]) -> bytes:
    """The text with the pieces in its holes; nothing if there are more of them, or fewer."""
    parts = text.split(hole)
    if len(parts) != len(pieces) + 1:
        return b""
    filled = [b""] * (2 * len(pieces) + 1)
    filled[::2] = parts
    filled[1::2] = pieces
    return b"".join(filled)


def _all_keys(value: Any) -> set[str]:
    """The keys of a map and of all maps in it."""
    if isinstance(value, dict):
        return set(value).union(*map(_all_keys, value.values()))
    return set().union(*map(_all_keys, value)) if isinstance(value, list) else set()


def _tidy(text: bytes) -> bytes:
    """One blank between two values, none elsewhere."""
    text = text.translate(_BLANKS)
    while b"  " in text:
        text = text.replace(b"  ", b" ")
    for blank, none in ((b" \n", b"\n"), (b"\n ", b"\n"), (b" ]", b"]"), (b" }", b"}"), (b"[ ", b"["), (b"{ ", b"{")):
        text = text.replace(blank, none)
    return text.removeprefix(b" ")
