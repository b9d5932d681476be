"""Delay, duplicates, reordering and rate, by a queueing discipline at a node's network device (``tc``).

It works on what leaves the node: a message from it is late, one to it is not, and a round trip takes the delay once.
Rate alone is tbf's business; everything else needs netem, with which rate goes along. The machines this was written on
have tbf and no netem. So what is sent to netem was checked against the grammar of ``tc``, which reads a command before
it asks the kernel, but was never seen working; every use of it is verified by measuring anyway (``network.py``).

Loss is not done here: netfilter does it in both directions, counts it, and is there on every machine.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from cluster.api import Degradation
from cluster.docker.netns import Done, NetNode, Runner
from harness.exit_codes import EnvironmentFailure

HANDLE: Final = "5155:"  # marks a discipline as ours

_MTU: Final = 1500
_QUEUE_MS: Final = 400  # tbf drops what would wait longer
_NETEM_LIMIT: Final = 20_000  # packets under way; the default of 1000 would drop some at high rates

TRIED_FOR_RATE: Final = (("tc", "qdisc", "replace", "dev", "lo", "root", "tbf", "rate", "1mbit", "burst", "4kb",
                          "latency", "1ms"),)  # fmt: skip
TRIED_FOR_NETEM: Final = (("tc", "qdisc", "replace", "dev", "lo", "root", "netem", "delay", "1ms"),)


def needs_netem(how: Degradation) -> bool:
    """Whether tbf is not enough for it."""
    return bool(how.delay_ns or how.duplicate_ppm or how.reorder_ppm)


def discipline(how: Degradation) -> list[str]:
    """The part of tc's command that names the discipline; empty: none is needed."""
    if needs_netem(how):
        words = ["netem", "limit", str(_NETEM_LIMIT)]
        words += ["delay", f"{how.delay_ns // 1000}us"] if how.delay_ns else []
        words += ["duplicate", _percent(how.duplicate_ppm)] if how.duplicate_ppm else []
        words += ["reorder", _percent(how.reorder_ppm)] if how.reorder_ppm and how.delay_ns else []
        return words + (["rate", f"{how.kbit}kbit"] if how.kbit else [])
    if how.kbit:
        burst = max(2 * _MTU, how.kbit * 1000 // 8 // 100)  # 10 ms of the rate, and at least two packets
        return ["tbf", "rate", f"{how.kbit}kbit", "burst", f"{burst}b", "latency", f"{_QUEUE_MS}ms"]
    return []


def _percent(ppm: int) -> str:
    return f"{ppm / 10_000:.4f}%"


async def shape(runner: Runner, node: NetNode, how: Degradation) -> dict[str, Any]:
    """Bring the node's device to ``how`` and return what tc then reports of our discipline; empty: there is none.

    Raises:
        EnvironmentFailure: it cannot be done.
    """
    device = await _device_of(runner, node)
    words, there = discipline(how), await _ours(runner, node, device)
    if not words and not there:
        return there
    if there and there["kind"] not in words[:1]:
        await _remove(runner, node, device)  # of another kind it cannot be changed into this one
    if words:
        where = ["qdisc", "replace", "dev", device, "root", "handle", HANDLE]
        _checked(await runner.run(node, ["tc", *where, *words]), node)
    return await _ours(runner, node, device)


async def shaped(runner: Runner, node: NetNode) -> dict[str, Any]:
    """What tc reports of our discipline on the node's device; empty: there is none."""
    return await _ours(runner, node, await _device_of(runner, node))


def rate_kbit(report: dict[str, Any]) -> int:
    """The rate in tc's report, in kilobits a second; 0: none."""
    rate = report.get("options", {}).get("rate", 0)
    return (rate.get("rate", 0) if isinstance(rate, dict) else rate) * 8 // 1000


def in_words(node: str, report: dict[str, Any]) -> str:
    """What of ours is there."""
    rate = rate_kbit(report)
    return f"{node} sends through {report['kind']}" + (f", {rate} kbit/s at most" if rate else "")


async def _device_of(runner: Runner, node: NetNode) -> str:
    done = _checked(await runner.run(node, ["ip", "-json", "-4", "address", "show"]), node)
    for device in json.loads(done.out or "[]"):
        if any(entry.get("local") == node.address for entry in device.get("addr_info", ())):
            return str(device["ifname"])
    raise EnvironmentFailure(f"{node.name} has no device with the address {node.address}")


async def _ours(runner: Runner, node: NetNode, device: str) -> dict[str, Any]:
    done = _checked(await runner.run(node, ["tc", "-statistics", "-json", "qdisc", "show", "dev", device]), node)
    return next((entry for entry in json.loads(done.out or "[]") if entry.get("handle") == HANDLE), {})


async def _remove(runner: Runner, node: NetNode, device: str) -> None:
    _checked(await runner.run(node, ["tc", "qdisc", "del", "dev", device, "root", "handle", HANDLE]), node)


def _checked(done: Done, node: NetNode) -> Done:
    if done.status:
        raise EnvironmentFailure(f"the network of {node.name} does not do it: tc says {done.complaint!r}")
    return done


def why_not(tried: Sequence[Done], what: str) -> str:
    """The reason why ``what`` cannot be had here, of what became of ``TRIED_FOR_...``; empty if it can."""
    failed = next((done for done in tried if done.status), None)
    if failed is None or failed.status == 127:
        return failed.complaint if failed else ""
    return f"tc says {failed.complaint!r}: this kernel has no {what}"
