"""A store's line to PD: finds the member that leads, and asks again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from cluster.sim.network import Network, RpcError
from cluster.sim.node import SimNode
from cluster.sim.wire_pd import PdNotLeader, PdRequest
from harness.clock import MILLISECOND, SECOND

_TIMEOUT_NS: Final = SECOND
_PAUSE_NS: Final = 100 * MILLISECOND


class PdLine:
    """Asks whichever PD member leads: follows hints, else tries them in turn."""

    def __init__(self, node: SimNode, network: Network, members: Sequence[str]) -> None:
        self._node = node
        self._network = network
        self._members = tuple(members)
        self._at = 0

    def ask(self, request: PdRequest, on_answer: Callable[[Any], object], tries: int) -> None:
        """Call ``on_answer`` with PD's answer, or with None after so many tries."""
        heard = partial(self._answered, request, on_answer, tries, self._at)
        self._network.call(self._node.name, self._members[self._at], request, heard, _TIMEOUT_NS)

    def _answered(
        self, request: PdRequest, on_answer: Callable[[Any], object], tries: int, asked: int, answer: Any
    ) -> None:
        if not isinstance(answer, RpcError | PdNotLeader):
            on_answer(answer)
            return
        if asked == self._at:  # else an answer to another question has shown the way meanwhile
            hint = answer.leader if isinstance(answer, PdNotLeader) else None
            self._at = self._members.index(hint) if hint in self._members else (asked + 1) % len(self._members)
        if tries > 1:
            self._node.after(_PAUSE_NS, self.ask, request, on_answer, tries - 1)
        else:
            on_answer(None)
