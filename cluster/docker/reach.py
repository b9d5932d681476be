"""Whether links carry anything: tried from inside the nodes' network namespaces.

Two things are sent over each link (source, destination), from a socket in the source's namespace:

- Datagrams, to a socket of ours in the destination's namespace. They go one way only and need no server, so they tell
  the directions of a cut apart, and whether the destination's process is dead or frozen makes no difference.
- A connection attempt, to the destination's server, as its peers make them. It needs both directions. A refusal proves
  as much as a connection: the answer of a host where nobody listens has come back. A frozen process is connected to,
  too: the kernel accepts for it.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from cluster.docker.netns import NetNode, Runner
from harness.together import all_of

Link = tuple[str, str]

CLOSED_S: Final = 0.3  # a link that has carried nothing for so long is cut; an open one takes well below 1 ms
OPEN_S: Final = 2.5  # for one that should carry: a lost SYN is sent again after a second
AGAIN_S: Final = 0.05
DATAGRAMS: Final = 3
WAVE: Final = 40  # datagrams to a socket that are under way at once; its buffer takes 200

_FORM: Final = struct.Struct("!16sIIQ")  # of a datagram: this measurement, link, number, time sent


class Reach(msgspec.Struct):
    """What became of what was sent over a link.

    Attributes:
        sent: datagrams.
        arrived: those that did, each counted once.
        twice: how many arrived more than once.
        fastest_ns: the shortest time that one took; 0 if none arrived.
        connection: ``connected``, ``refused``, ``timeout``, another error's name, or empty: not tried.
    """

    sent: int = 0
    arrived: int = 0
    twice: int = 0
    fastest_ns: int = 0
    connection: str = ""

    @property
    def carries(self) -> bool:
        """Whether anything came through."""
        return self.arrived > 0 or self.answered

    @property
    def answered(self) -> bool:
        """Whether the connection attempt got an answer, so that packets went both ways."""
        return self.connection in ("connected", "refused")


async def reach(
    runner: Runner,
    nodes: Mapping[str, NetNode],
    links: Collection[Link],
    cut: Collection[Link],
    closed_s: float = CLOSED_S,
) -> dict[Link, Reach]:
    """Try all links at once, each until it carries or its time is up.

    Args:
        runner: to get into the namespaces.
        nodes: by name, all that the links name.
        links: those to try.
        cut: those that should carry nothing; all others get more time, and more datagrams.
        closed_s: the time for those that are cut.

    Raises:
        EnvironmentFailure: a namespace is gone.
    """
    async with _sockets(runner, nodes, links) as (post, streams):
        attempts = [
            _connect(streams[(a, b)], nodes[b], closed_s if (a, b) in cut or (b, a) in cut else OPEN_S)
            for a, b in links
        ]
        should = {link: link not in cut for link in links}
        connections, _ = await asyncio.gather(asyncio.gather(*attempts), _send_datagrams(post, should, closed_s))
        for link, connection in zip(links, connections, strict=True):
            post.reached[link].connection = connection
        return post.reached


async def flood(
    runner: Runner, nodes: Mapping[str, NetNode], links: Sequence[Link], each: int, patience_s: float
) -> dict[Link, Reach]:
    """Send ``each`` datagrams over every link, for counting those lost; wait so long for those that are late."""
    async with _sockets(runner, nodes, links, connect=False) as (post, _):
        into: defaultdict[str, list[Link]] = defaultdict(list)
        for link in links:
            into[link[1]].append(link)

        async def fill(those: list[Link]) -> None:
            queue = [link for _ in range(each) for link in those]
            for start in range(0, len(queue), WAVE):
                wave = queue[start : start + WAVE]
                missing = post.missing(those)
                for link in wave:
                    post.send(link)
                await post.settled(those, missing, patience_s / 50)

        await asyncio.gather(*map(fill, into.values()))
        await post.settled(list(links), 0, patience_s)
        return post.reached


class _Post:
    """Datagrams between sockets in several namespaces, and what is known of each."""

    def __init__(self, sockets: Mapping[str, socket.socket], links: Collection[Link]) -> None:
        self._sockets = sockets
        self._ports = {name: each.getsockname() for name, each in sockets.items()}
        self._links = list(links)
        self._numbers = {link: number for number, link in enumerate(links)}
        self._mark = os.urandom(16)
        self._seen: set[tuple[int, int]] = set()
        self._news = asyncio.Event()
        self.reached: dict[Link, Reach] = {link: Reach() for link in links}

    def send(self, link: Link) -> None:
        """Send one; one that the sender's own filter drops counts as sent."""
        source, destination = link
        reach = self.reached[link]
        letter = _FORM.pack(self._mark, self._numbers[link], reach.sent, time.monotonic_ns())
        reach.sent += 1
        try:
            self._sockets[source].sendto(letter, self._ports[destination])
        except OSError:
            return

    def collect(self, name: str) -> None:
        """Take what has arrived at a node."""
        while True:
            try:
                letter = self._sockets[name].recv(256)
            except OSError:
                return
            if len(letter) == _FORM.size and letter.startswith(self._mark):
                self._note(letter)

    def _note(self, letter: bytes) -> None:
        _, number, count, sent_ns = _FORM.unpack(letter)
        reach = self.reached[self._links[number]]
        if (number, count) in self._seen:
            reach.twice += 1
            return
        self._seen.add((number, count))
        took = max(1, time.monotonic_ns() - sent_ns)
        reach.fastest_ns = min(reach.fastest_ns or took, took)
        reach.arrived += 1
        self._news.set()

    def missing(self, links: Collection[Link]) -> int:
        """How many that were sent over these links have not arrived."""
        return sum(self.reached[link].sent - self.reached[link].arrived for link in links)

    async def settled(self, links: Collection[Link], missing: int, patience_s: float) -> None:
        """Wait until no more than ``missing`` are, or nothing has come for a while."""
        while self.missing(links) > missing:
            self._news.clear()
            try:
                async with asyncio.timeout(patience_s):
                    await self._news.wait()
            except TimeoutError:
                return


@asynccontextmanager
async def _sockets(
    runner: Runner, nodes: Mapping[str, NetNode], links: Collection[Link], *, connect: bool = True
) -> AsyncIterator[tuple[_Post, dict[Link, socket.socket]]]:
    """One socket for datagrams in each node that the links touch, and one for each connection attempt."""
    names = sorted({name for link in links for name in link})
    outgoing = {name: [link for link in links if connect and link[0] == name] for name in names}
    made: dict[str, list[socket.socket]] = {}
    loop = asyncio.get_running_loop()

    async def make(name: str) -> None:
        made[name] = await runner.open_sockets(nodes[name], len(outgoing[name]))

    try:
        await all_of(map(make, names))
        post = _Post({name: sockets[0] for name, sockets in made.items()}, links)
        for name, sockets in made.items():
            loop.add_reader(sockets[0], post.collect, name)
        yield post, {link: made[name][k] for name in names for k, link in enumerate(outgoing[name], start=1)}
    finally:
        for sockets in made.values():
            loop.remove_reader(sockets[0])
            for each in sockets:
                each.close()


async def _connect(stream: socket.socket, to: NetNode, patience_s: float) -> str:
    try:
        async with asyncio.timeout(patience_s):
            await asyncio.get_running_loop().sock_connect(stream, (to.address, to.port))
    except ConnectionRefusedError:
        return "refused"
    except TimeoutError:
        return "timeout"
    except OSError as error:
        return type(error).__name__
    return "connected"


async def _send_datagrams(post: _Post, links: Mapping[Link, bool], closed_s: float) -> None:
    """Send some over each link, and more over those that should carry and have not yet."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    for _ in range(DATAGRAMS):
        for link in links:
            post.send(link)
        await asyncio.sleep(AGAIN_S / 5)
    while True:
        passed = loop.time() - began
        silent = [link for link, should in links.items() if should and not post.reached[link].arrived]
        if passed >= OPEN_S or (not silent and (all(links.values()) or passed >= closed_s)):
            return
        await asyncio.sleep(AGAIN_S)
        for link in silent:
            post.send(link)
