"""Which lines of the nodes' logs stand beside which fault and which anomaly, within bounds for the whole page."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from harness.clock import SECOND
from reports.faults import Fault
from reports.node_logs import AROUND_NS, NodeLines, NodeLogs
from reports.op_words import OpView
from reports.text import instant

_CHARACTERS = 3_000_000  # of lines in a page
_WINDOWS = 4  # around the operations of an anomaly
_LONGEST_NS = 10 * SECOND  # of an operation, as far as lines around it are shown


class Window(msgspec.Struct, frozen=True):
    """Lines around a moment, or around several that are close together."""

    title: str
    nodes: list[NodeLines]


class LogWindows:
    """Takes lines out of the logs until the page has enough of them.

    Attributes:
        full: some were left out.
    """

    def __init__(self, logs: NodeLogs | None) -> None:
        self._logs = logs
        self._left = _CHARACTERS
        self.full = False

    def of_fault(self, fault: Fault) -> list[Window]:
        """Around its start and around its end; lines of its targets first."""
        begin, end = fault.start_ns, fault.end_ns
        if not fault.lasting or not fault.healed:
            spans = [(begin, begin, f"around {instant(begin)}")]
        elif end - begin <= 2 * AROUND_NS:
            spans = [(begin, end, f"around {instant(begin)} and {instant(end)}: put in place and taken away")]
        else:
            spans = [
                (begin, begin, f"around {instant(begin)}: put in place"),
                (end, end, f"around {instant(end)}: taken away"),
            ]
        return [window for span in spans if (window := self._window(*span, first=fault.targets))]

    def of_operations(self, ops: Sequence[OpView]) -> list[Window]:
        """Around operations; those that are close to each other together."""
        spans: list[tuple[int, int]] = []
        for op in sorted(ops, key=lambda op: op.begin_ns):
            end = op.begin_ns if op.end_ns is None else min(op.end_ns, op.begin_ns + _LONGEST_NS)
            if spans and op.begin_ns - spans[-1][1] <= 2 * AROUND_NS:
                spans[-1] = spans[-1][0], max(spans[-1][1], end)
            else:
                spans.append((op.begin_ns, end))
        titles = [(begin, end, f"{begin / SECOND:.3f} \N{EN DASH} {instant(end)}") for begin, end in spans[:_WINDOWS]]
        return [window for span in titles if (window := self._window(*span, first=()))]

    def _window(self, begin: int, end: int, title: str, first: Sequence[str]) -> Window | None:
        if self._logs is None:
            return None
        if self._left <= 0:
            self.full = True
            return None
        nodes = self._logs.around(begin - AROUND_NS, begin, end + AROUND_NS)
        self._left -= sum(len(line.text) + 20 for node in nodes for line in node.lines)
        return Window(title, sorted(nodes, key=lambda node: node.node not in first)) if nodes else None
