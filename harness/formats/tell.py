"""Which format a file has, from what it begins with. A file's name says nothing."""

from __future__ import annotations

import re
from typing import Final

from harness.formats.edn_history import Edn
from harness.formats.etcd_log import BEGINNING, EtcdLog
from harness.formats.form import Format, refused
from harness.formats.json_lines import JsonLines
from harness.history_source import Source

_LOOK: Final = 1 << 16  # bytes

# A comment, a map with a keyword, a list of maps, a tag, or what is left out by #_.
_EDN: Final = re.compile(
    rb"[\s,]*+(?:;|\{[\s,]*+:|#[A-Za-z_:]|[\[(][\s,]*+(?:;|\{[\s,]*+(?::|\Z)|#[A-Za-z_:]|[\])]|\Z))"
)


_TEXT: Final = re.compile(rb"\s*(?::?\w+\t|\S+ \S+\tINFO\t)", re.ASCII)  # what Jepsen writes for people to read


def format_of(source: Source) -> Format:
    """The format; what looks like an object is doubted as JSON lines.

    Raises:
        UsageError: it looks like none.
    """
    beginning = source.read(0, _LOOK)
    if BEGINNING.match(beginning):
        return EtcdLog()
    if _EDN.match(beginning):
        return Edn()
    if beginning.strip() and not beginning.lstrip().startswith(b"{"):
        raise refused(source, len(beginning) - len(beginning.lstrip()), _why_none(beginning.lstrip()))
    return JsonLines()


def _why_none(beginning: bytes) -> str:
    """What it may be instead."""
    if beginning.startswith(b"JEPSEN"):
        return "not JSON lines or EDN, but Jepsen's binary file; take the history.edn beside it"
    if _TEXT.match(beginning):
        return "not JSON lines or EDN, but what Jepsen prints, it seems; take the history.edn beside it"
    if beginning.startswith((b"[", b"(")):
        return "not JSON lines, with an operation on each, nor a list of operations in EDN"
    return "not JSON lines, nor EDN, nor any other format that is known"
