"""The simulated network: directed links with latency, order, loss, cuts, and connections that break.

A link keeps the order of its messages, as a TCP connection does. A message is dropped if its link is cut when it is
sent or when it would arrive. Each link draws from a stream of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cluster.sim.latency import NETWORK_NS
from cluster.sim.node import SimNode
from harness.rng import Stream, Streams
from harness.virtual_time import Timer, VirtualLoop

_MILLION = 1_000_000


class RpcError:
    """A call without an answer: ``why`` is ``timeout``, ``refused`` (nobody listens) or ``broken`` (it died)."""

    __slots__ = ("why",)

    def __init__(self, why: str) -> None:
        self.why = why

    def __repr__(self) -> str:
        return f"RpcError({self.why!r})"


class _Link:
    __slots__ = ("bits", "cuts", "delay", "free_at", "loss_ppm", "losses")

    def __init__(self, latencies: Stream) -> None:
        self.bits = latencies.bits
        self.losses: Stream | None = None  # a stream of its own: losing messages must not change the latencies drawn
        self.free_at = 0  # nothing arrives before what was sent earlier
        self.cuts = 0  # how many partitions cut it
        self.loss_ppm = 0
        self.delay = 0  # added to every message, in ns


class _Call:
    __slots__ = ("dst", "on_reply", "src", "timer")

    def __init__(self, src: SimNode, dst: str, on_reply: Callable[[Any], object]) -> None:
        self.src = src
        self.dst = dst
        self.on_reply = on_reply
        self.timer: Timer | None = None


class Network:
    """All nodes and links. Messages are Python objects that nobody may change after sending."""

    def __init__(self, loop: VirtualLoop, streams: Streams) -> None:
        self._loop = loop
        self._streams = streams
        self._links: dict[tuple[str, str], _Link] = {}
        self._nodes: dict[str, SimNode] = {}
        self._calls: dict[int, _Call] = {}
        self._next_call = 0

    def add(self, node: SimNode) -> None:
        """Connect a node."""
        self._nodes[node.name] = node

    def node(self, name: str) -> SimNode:
        """The node of that name."""
        return self._nodes[name]

    # Messages.

    def send(self, src: str, dst: str, fn: Callable[..., object], *args: Any) -> None:
        """Execute ``fn(*args)`` on ``dst`` after the link's latency; dropped if the link is cut or ``dst`` is dead."""
        self._transmit(src, dst, self._nodes[dst].run, fn, *args)

    def _transmit(self, src: str, dst: str, deliver: Callable[..., object], *args: Any) -> None:
        link = self._link(src, dst)
        if link.cuts or (link.loss_ppm and link.losses is not None and link.losses.below(_MILLION) < link.loss_ppm):
            return
        arrival = self._loop.now() + NETWORK_NS[link.bits(6)] + link.delay
        if arrival <= link.free_at:
            arrival = link.free_at + 1
        link.free_at = arrival
        self._loop.at(arrival, self._arrive, link, deliver, args)

    def _arrive(self, link: _Link, deliver: Callable[..., object], args: tuple[Any, ...]) -> None:
        if not link.cuts:
            deliver(*args)

    # Calls.

    def call(self, src: str, dst: str, request: Any, on_reply: Callable[[Any], object], timeout_ns: int) -> None:
        """Let ``dst`` handle the request; ``on_reply`` runs on ``src`` exactly once, with the answer or an RpcError.

        It does not run if ``src`` is killed before. A server that is dead refuses at once; one that dies while the
        call is open breaks the connection; a partition is seen as a time-out.
        """
        node = self._nodes[src]
        self._next_call += 1
        number = self._next_call
        call = _Call(node, dst, on_reply)
        self._calls[number] = call
        call.timer = node.after(timeout_ns, self._finish, number, RpcError("timeout"))
        self._transmit(src, dst, self._request_arrives, number, src, dst, request)

    def _request_arrives(self, number: int, src: str, dst: str, request: Any) -> None:
        node = self._nodes[dst]
        if not node.alive:
            self.send(dst, src, self._finish, number, RpcError("refused"))
            return
        incarnation = node.incarnation

        def reply(response: Any) -> None:
            if node.incarnation == incarnation:
                self.send(dst, src, self._finish, number, response)

        node.run(node.handle, src, request, reply)

    def _finish(self, number: int, response: Any) -> None:
        call = self._calls.pop(number, None)
        if call is None:
            return
        if call.timer is not None:
            call.timer.cancel()
        call.on_reply(response)

    def break_connections(self, dead: str) -> None:
        """Tell the callers of a node that has just died; forget the calls it had made itself."""
        for number, call in list(self._calls.items()):
            if call.src.name == dead:
                if call.timer is not None:
                    call.timer.cancel()
                del self._calls[number]
            elif call.dst == dead:
                self.send(dead, call.src.name, self._finish, number, RpcError("broken"))

    # Faults.

    def cut(self, src: str, dst: str) -> None:
        """Drop what flows from ``src`` to ``dst``; counted, so that cuts may overlap."""
        self._link(src, dst).cuts += 1

    def mend(self, src: str, dst: str) -> None:
        """Take one cut of this link away."""
        link = self._link(src, dst)
        link.cuts = max(0, link.cuts - 1)

    def is_cut(self, src: str, dst: str) -> bool:
        """Whether messages from ``src`` to ``dst`` are dropped."""
        return self._link(src, dst).cuts > 0

    def degrade(self, src: str, dst: str, loss_ppm: int, delay_ns: int) -> None:
        """Lose this share of the messages of a link, and delay the others."""
        link = self._link(src, dst)
        if loss_ppm and link.losses is None:
            link.losses = self._streams("loss", src, dst)
        link.loss_ppm = loss_ppm
        link.delay = delay_ns

    def degradation(self, src: str, dst: str) -> tuple[int, int]:
        """The loss (ppm) and the delay (ns) in force on a link."""
        link = self._link(src, dst)
        return link.loss_ppm, link.delay

    def probe(self, src: str, dst: str, arrived: Callable[..., object], *args: Any) -> None:
        """Send a message that the host of ``dst`` notices, whatever its process does: it measures the link alone."""
        self._transmit(src, dst, arrived, *args)

    def _link(self, src: str, dst: str) -> _Link:
        link = self._links.get((src, dst))
        if link is None:
            link = self._links[src, dst] = _Link(self._streams("link", src, dst))
        return link
