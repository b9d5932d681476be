"""Which format a file has, from what it begins with. A file's name says nothing."""

from __future__ import annotations

import re
from typing import Final

from harness.formats.edn_history import Edn
from harness.formats.etcd_log import BEGINNING, EtcdLog
from harness.formats.form import Format
from harness.formats.json_lines import JsonLines
from harness.history_source import Source

_LOOK: Final = 1 << 16  # bytes

# A comment, a map with a keyword, a list of maps, a tag, or what is left out by #_.
_EDN: Final = re.compile(
    rb"[\s,]*+(?:;|\{[\s,]*+:|#[A-Za-z_:]|[\[(][\s,]*+(?:;|\{[\s,]*+(?::|\Z)|#[A-Za-z_:]|[\])]|\Z))"
)


def format_of(source: Source) -> Format:
    """The format; what looks like none is doubted as JSON lines."""
    beginning = source.read(0, _LOOK)
    if BEGINNING.match(beginning):
        return EtcdLog()
    if _EDN.match(beginning):
        return Edn()
    return JsonLines()
