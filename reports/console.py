"""What a person sees while a run goes on: one live line on a terminal, a plain line now and then everywhere else.

All of it goes to standard error; standard output is for data.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self, TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from harness.clock import SECOND
from harness.op import FAIL, HEAL_ALL, INFO, INVOKE, NEMESIS, OK, Op
from reports.text import shown

_LIVE_EVERY: Final = 0.1  # seconds of real time between two pictures of the live line
_PLAIN_EVERY: Final = 5.0  # and between two plain lines


class LiveLine:
    """The progress of a run, told every operation.

    ``observe`` only counts; a line is made at most every 0.1 s (on a terminal) or 5 s (elsewhere) of real time. Use it
    as a context manager, or ``close`` it: the terminal's cursor is hidden in between.
    """

    def __init__(
        self,
        time_limit_ns: int,
        stream: TextIO | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin.

        Args:
            time_limit_ns: length of the main phase, in the run's time.
            stream: where to; standard error if None.
            now: seconds of real time, for the throttle.
        """
        self.counts: dict[str, int] = dict.fromkeys((INVOKE, OK, FAIL, INFO), 0)
        self._limit = time_limit_ns
        self._now = now
        self._time = 0
        self._faults: dict[str, int] = {}
        self._pending: set[str] = set()
        self._final = False
        console = Console(file=stream or sys.stderr, highlight=False)
        self._console = console
        self._live: Live | None = None
        if console.is_terminal and not console.is_dumb_terminal:
            self._live = Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False)
            self._live.start()
        self._every = _LIVE_EVERY if self._live else _PLAIN_EVERY
        self._next = now() + (0 if self._live else _PLAIN_EVERY)

    def observe(self, op: Op) -> None:
        """Count ``op``, an invocation or a completion; show the line if it is time to."""
        if op.process == NEMESIS:
            self._observe_nemesis(op)
        else:
            self.counts[op.type] += 1
        self._time = op.time
        self.tick()

    def _observe_nemesis(self, op: Op) -> None:
        """Both entries of a fault are ``info``: the first of an ``f`` and id begins it, the second ends it."""
        identity = op.value.get("id") if isinstance(op.value, dict) else None
        key = f"{op.f} {identity}"
        if key not in self._pending:
            self._pending.add(key)
            return
        self._pending.discard(key)
        if op.f == HEAL_ALL:
            self._faults.clear()
            self._final = True
        elif op.error is None and op.f.startswith("start-"):
            kind = op.f.removeprefix("start-")
            self._faults[kind] = self._faults.get(kind, 0) + 1
        elif op.error is None and op.f.startswith("stop-"):
            kind = op.f.removeprefix("stop-")
            if self._faults.get(kind, 0) > 1:
                self._faults[kind] -= 1
            else:
                self._faults.pop(kind, None)

    def tick(self) -> None:
        """Show the line if it is time to, though nothing has happened."""
        if self._now() >= self._next:
            self.refresh()

    def refresh(self) -> None:
        """Show the line now. To be called from time to time where operations may be long in coming."""
        self._next = self._now() + self._every
        if self._live is not None:
            self._live.update(self._styled(), refresh=True)
        else:
            self._console.print(self._styled(), soft_wrap=True)

    def say(self, sentence: str) -> None:
        """Print a sentence above the line."""
        self._console.print(Text(shown(sentence, 2000)), soft_wrap=True)

    def line(self) -> str:
        """The line as plain text."""
        return self._styled().plain

    def _styled(self) -> Text:
        counts = self.counts
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append(f"{counts[INVOKE]:,} operations", style="bold")
        for kind, style in ((OK, "green"), (FAIL, "yellow"), (INFO, "magenta")):
            text.append("  ")
            text.append(f"{counts[kind]:,} {kind}", style=style)
        text.append("  |  ")
        names = [shown(kind, 20) + (f" x{number}" if number > 1 else "") for kind, number in self._faults.items()]
        text.append(", ".join(names) or ("healed" if self._final else "no fault"), style="red" if names else "dim")
        text.append("  |  ")
        left = self._limit - self._time
        text.append(f"{-(-left // SECOND)} s left" if left > 0 and not self._final else "final phase")
        return text

    def close(self) -> None:
        """Take the live line away, or print the last plain line; a second time it does nothing."""
        if self._live is not None:
            self._live.stop()
            self._live = None
        elif self._next != float("inf") and self.counts[INVOKE]:
            self.refresh()
        self._next = float("inf")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
