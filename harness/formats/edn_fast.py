"""EDN at the speed of JSON: whole blocks of simple operations are turned into JSON lines by replacing bytes.

Keys become ``"key":``, other keywords ``"keyword"``, nil null, spaces commas. Which keywords there are is learned from
operations that were read token by token. It does not matter whether a replacement meets what it was meant for: every
colon in the outcome stands for a key and its blank, every comma for a blank, every other token for itself. So where the
outcome is JSON at all, its objects are the maps, its arrays the vectors, in the same order. Where it is not, or where a
token could be JSON for something else, the block is read token by token.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from harness.formats.edn_ops import Raw, Whole

_RECORD: Final = b"#jepsen.history.Op{"
_PLAIN: Final = (string.ascii_letters + string.digits + " ,\t\n:{}[]-+.*!_?/<>=%&$|").encode()
_BLANKS: Final = bytes.maketrans(b",\t", b"  ")
_DIGITS: Final = bytes.maketrans(string.digits.encode(), b"0" * 10)
_BEYOND: Final = b"0" * 19  # so many digits may be more than 64 bits
_FIELDS: Final = frozenset(("type", "f", "process", "error"))  # whose values are keywords
_KEYWORD: Final = re.compile(rb":([^\s,:{}\[\]]+)(?=([ ,\]}]))")
_ENOUGH: Final = 64  # patterns; whoever uses more keywords than this is read slowly


def is_plain(text: bytes) -> bool:
    """Whether there is nothing in it that only the reader of tokens understands."""
    return not text.translate(None, _PLAIN) or not text.replace(_RECORD, b"{").translate(None, _PLAIN)


class FastLines:
    """Decodes operations, one on each line, as far as it has learned the keywords."""

    def __init__(self) -> None:
        self._pairs: dict[bytes, bytes] = {}  # a key and its keyword
        self._keys: dict[bytes, bytes] = {}
        self._words: dict[bytes, bytes] = {}
        self._decoders = [msgspec.json.Decoder(Whole), msgspec.json.Decoder(Raw)]

    def learn(self, text: bytes, value: dict[str, Any]) -> None:
        """Learn the keywords of an operation, which is ``value``."""
        if not is_plain(text) or len(self._pairs) + len(self._keys) + len(self._words) > _ENOUGH:
            return
        keys = _all_keys(value)
        words = [(match[1], match[2].replace(b",", b" ")) for match in _KEYWORD.finditer(text)]
        fields = {name: str(value[name]).encode() for name in _FIELDS & value.keys()}
        for name, word in fields.items():
            key = name.encode()
            for end in {end for found, end in words if found == word}:
                self._pairs[b":%b :%b%b" % (key, word, end)] = b'"%b":"%b"%b' % (key, word, end)
        for word, end in words:
            if word.decode() in keys:
                self._keys[b":%b " % word] = b'"%b":' % word
            elif word not in fields.values():
                self._words[b":%b%b" % (word, end)] = b'"%b"%b' % (word, end)
        for pattern in self._keys.keys() & self._words.keys():
            del self._words[pattern]

    def decode(self, text: bytes, lines: int) -> Sequence[Raw | Whole] | None:
        """The operations of plain lines, None if they must be read token by token."""
        text = text.replace(_RECORD, b"{")
        if b"null" in text or _BEYOND in text.translate(_DIGITS):
            return None
        text = text.replace(b", ", b" ")
        if b"," in text or b"  " in text or b"\t" in text or b" \n" in text or b"\n " in text or b" ]" in text:
            text = _tidy(text)
        for patterns in (self._pairs, self._keys, self._words):
            for pattern, replacement in patterns.items():
                text = text.replace(pattern, replacement)
        text = text.replace(b" nil", b" null").replace(b":nil", b":null").replace(b"[nil", b"[null").replace(b" ", b",")
        # No object holds such a line break: see ``json_lines``.
        if not (text.startswith(b"{") and text.endswith(b"}\n") and text.count(b"}\n{") == lines - 1):
            return None
        for decoder in self._decoders:
            try:
                raws = decoder.decode_lines(text)
            except msgspec.ValidationError:
                continue  # something is missing
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                return None
            return raws if len(raws) == lines else None
        return None


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
