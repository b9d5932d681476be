"""The two voices of a command: data on standard output, all else on standard error."""

from __future__ import annotations

import sys


def show(text: str) -> None:
    """Data: what a command was asked for."""
    print(text)  # noqa: T201 (standard output is where data goes)


def say(text: str) -> None:
    """A sentence on how it goes."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201
