"""How long a client waits between tries, and when it gives up.

As in client-go: a table of growing delays for each cause, half of each drawn at random, and one budget for all the
causes of a call. The cause on which the budget ends decides the error. Delays are integers from tables.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from cluster.errors import Aborted, LockTimeout, UnavailableBeforeCommit
from harness.clock import MILLISECOND, SECOND
from harness.rng import Stream
from harness.virtual_time import VirtualLoop

RPC_TIMEOUT_NS: Final = 2 * SECOND
CALL_BUDGET_NS: Final = 8 * SECOND


class Cause(Struct, frozen=True):
    """Why a request is tried again, after which delays (the last one repeats), and what it means if that ends."""

    name: str
    delays_ns: tuple[int, ...]
    error: type[Aborted] = UnavailableBeforeCommit


def _growing(first_ms: int, cap_ms: int) -> tuple[int, ...]:
    delays = []
    while first_ms < cap_ms:
        delays.append(first_ms * MILLISECOND)
        first_ms *= 2
    return (*delays, cap_ms * MILLISECOND)


STALE_ROUTE: Final = Cause("stale route", _growing(1, 500))  # the region moved or changed: the next try knows better
NO_LEADER: Final = Cause("no leader", _growing(10, 500))
BUSY: Final = Cause("server busy", _growing(5, 500))
NO_ANSWER: Final = Cause("no answer", _growing(50, 1000))
PD_NO_ANSWER: Final = Cause("PD does not answer", _growing(50, 1000))
LOCK: Final = Cause("locked", _growing(4, 500), LockTimeout)


class Budget:
    """The time one call of the client may take, over all its requests and waits.

    Attributes:
        unanswered: some request may have been executed (or may be yet) though no answer said so.
    """

    __slots__ = ("_deadline", "_loop", "_stream", "_tries", "unanswered")

    def __init__(self, loop: VirtualLoop, stream: Stream, limit_ns: int = CALL_BUDGET_NS) -> None:
        self._loop = loop
        self._stream = stream
        self._deadline = loop.now() + limit_ns
        self._tries: dict[str, int] = {}
        self.unanswered = False

    async def back_off(self, cause: Cause, at_most_ns: int = SECOND) -> None:
        """Wait before the next try.

        Raises:
            Aborted: the budget is used up (of the type that belongs to the cause). It is definite only as far as no
                commit was sent; who sends one looks at ``unanswered``.
        """
        tries = self._tries.get(cause.name, 0)
        self._tries[cause.name] = tries + 1
        delay = cause.delays_ns[min(tries, len(cause.delays_ns) - 1)]
        delay = min(delay // 2 + self._stream.below(delay // 2 + 1), at_most_ns)
        when = self._loop.now() + delay
        if when >= self._deadline:
            raise cause.error(f"gave up after {sum(self._tries.values())} tries: {cause.name}")
        await self._loop.sleep_until(when)

    def rpc_timeout_ns(self) -> int:
        """How long to wait for the next answer."""
        return max(MILLISECOND, min(RPC_TIMEOUT_NS, self._deadline - self._loop.now()))
