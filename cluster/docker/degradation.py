"""Whether a degradation is really there: datagrams are sent, and counted and timed where they arrive."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from cluster.api import Degradation, Evidence
from cluster.docker import shaping
from cluster.docker.netns import NetNode, Runner
from cluster.docker.reach import Link, flood

PEERS: Final = 4  # so many other nodes are enough to measure with

_MILLION: Final = 1_000_000
_SLOW_KBIT: Final = 1_000  # what is slower than this would take seconds for many datagrams
_WAIT_S: Final = 0.5


async def measure_degradation(
    runner: Runner,
    nodes: Mapping[str, NetNode],
    degraded: Collection[str],
    loss: Mapping[Link, int],
    how: Degradation,
) -> Evidence:
    """Send datagrams over links from and to the degraded nodes; unverified without a link.

    Loss is a matter of chance. It is believed if what was lost is within five standard deviations of what should be,
    and three; at 0.1 % that proves little, and above a limited rate more may be lost: the queue is full then.

    Args:
        runner: to get into the namespaces.
        nodes: by name.
        degraded: the nodes that ``how`` is about.
        loss: the links to measure, none of them cut, each with what it should lose, parts in a million.
        how: what there should be.
    """
    links = list(loss)
    chances = [ppm / _MILLION for ppm in loss.values()]
    each = -(-_total(how) // len(links)) if links else 0
    reached = await flood(runner, nodes, links, each, _WAIT_S + how.delay_ns / 1e9)
    sent = sum(reach.sent for reach in reached.values())
    lost = sent - sum(reach.arrived for reach in reached.values())
    expected = each * sum(chances)
    deviation = math.sqrt(each * sum(chance * (1 - chance) for chance in chances))
    leaving = [reached[link] for link in links if link[0] in degraded]
    fastest = min((reach.fastest_ns for reach in leaving if reach.arrived), default=0)
    measured: dict[str, Any] = {"sent": sent, "lost": lost, "expected": round(expected), "fastest_ns": fastest}
    margin = 5 * deviation + 3
    believed = lost >= expected - margin and (lost <= expected + margin or how.kbit > 0)
    some = lost < sent or min(chances, default=0) > 0.9
    verified = bool(links) and some and believed and fastest >= how.delay_ns
    if how.duplicate_ppm:
        measured["twice"] = sum(reach.twice for reach in leaving)
        verified = verified and (measured["twice"] > 0 or how.duplicate_ppm * each * len(leaving) < 10 * _MILLION)
    return Evidence(verified, measured)


def as_asked(how: Degradation, reports: Sequence[dict[str, Any]]) -> bool:
    """Whether tc reports of each node the discipline that was asked for, at its rate."""
    kind = (shaping.discipline(how) or [""])[0]
    return all(report.get("kind", "") == kind and shaping.rate_kbit(report) == how.kbit for report in reports)


def _total(how: Degradation) -> int:
    """How many datagrams: so many that some twenty are lost, within reason."""
    rarest = min((ppm for ppm in (how.loss_ppm, how.duplicate_ppm) if ppm), default=_MILLION)
    return 100 if 0 < how.kbit < _SLOW_KBIT else min(2_000, max(200, 20 * _MILLION // rarest))
