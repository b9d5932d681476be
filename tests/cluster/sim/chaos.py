"""Concurrent transfers on the simulated cluster while faults come and go; as a script, its hash is printed."""

import asyncio
import hashlib
import sys
from dataclasses import dataclass, field

from cluster.api import Cut, Degradation
from cluster.errors import Aborted, StoreError, Undetermined
from cluster.sim.cluster import SimCluster
from harness.clock import MILLISECOND, SECOND
from harness.rng import Streams

ACCOUNTS = 12
INITIAL = 100
SPLIT_KEYS = (b"acc/003", b"acc/006", b"acc/009")


def key_of(account):
    return b"acc/%03d" % account


@dataclass
class Chaos:
    """What was seen."""

    log: list = field(default_factory=list)  # everything, in order
    totals: list = field(default_factory=list)
    outcomes: dict = field(default_factory=dict)
    evidence: list = field(default_factory=list)

    def note(self, clock, *what):
        self.log.append((clock.now(), *what))

    def count(self, outcome):
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1

    def hash(self):
        return hashlib.sha256(repr((self.log, self.outcomes)).encode()).hexdigest()


async def transfer(store, mode, a, b, amount):
    txn = await store.begin(mode)
    try:
        if mode == "pessimistic":
            first, second = sorted((a, b))
            found = {first: await txn.get_for_update(key_of(first)), second: await txn.get_for_update(key_of(second))}
        else:
            pairs = await txn.batch_get([key_of(a), key_of(b)])
            found = {a: pairs.get(key_of(a)), b: pairs.get(key_of(b))}
        if None in found.values() or int(found[a]) < amount:
            return None
        await txn.put(key_of(a), b"%d" % (int(found[a]) - amount))
        await txn.put(key_of(b), b"%d" % (int(found[b]) + amount))
        return await txn.commit()
    finally:
        await txn.rollback()


async def _attempt(seen, clock, name, what):
    """Do it as a harness would: an error is an outcome, and what takes too long is cut."""
    try:
        async with asyncio.timeout(10):
            result = await what
    except Aborted as error:
        result, outcome = None, error.word
    except Undetermined:
        result, outcome = None, "undetermined"
    except StoreError as error:
        result, outcome = None, f"indefinite-{error.word}"
    except TimeoutError:
        result, outcome = None, "timeout"
    else:
        outcome = "ok"
    seen.count(outcome)
    seen.note(clock, name, outcome, result)
    return result


async def _client(seen, cluster, number, stream, end):
    store = cluster.store(f"client-{number}")
    clock = cluster.clock
    old = None
    while clock.now() < end:
        kind = stream.below(10)
        if kind < 7:
            a, b = stream.sample(range(ACCOUNTS), 2)
            mode = "pessimistic" if kind < 3 else "optimistic"
            work = transfer(store, mode, a, b, stream.between(1, 30))
            await _attempt(seen, clock, f"client-{number} {mode}", work)
        else:
            read = await _attempt(seen, clock, f"client-{number} read", read_all(store, kind, old))
            if read is not None:
                old = read[0]
                seen.totals.append(read[1])
        await clock.sleep_until(clock.now() + stream.below(60 * MILLISECOND))
    await store.close()


async def read_all(store, kind, old):
    """A timestamp and the total at it: by one scan, by one batch, now or at the timestamp of an earlier read."""
    ts = old if kind == 9 and old is not None else await store.current_timestamp()
    snapshot = await store.snapshot(ts)
    if kind == 7:
        pairs = dict(await snapshot.scan(b"acc/", b"acc0", 1000))
    else:
        pairs = await snapshot.batch_get([key_of(account) for account in range(ACCOUNTS)])
    return ts, sum(int(balance) for balance in pairs.values())


def _actions(faults, kind, node, others, key, *, draw):
    """How a fault begins and how it is undone; None: it does not last."""
    both, one_way = Cut.between([node], others), Cut.one_way([node], others)
    return {
        "kill": (lambda: faults.kill(node), lambda: faults.start(node)),
        "pause": (lambda: faults.pause(node), lambda: faults.resume(node)),
        "cut": (lambda: faults.partition(both), lambda: faults.heal(both)),
        "one-way": (lambda: faults.partition(one_way), lambda: faults.heal(one_way)),
        "skew": (lambda: faults.skew(node, draw * 200 * MILLISECOND), lambda: faults.skew(node, 0)),
        "drift": (lambda: faults.drift(node, draw * 1000), lambda: faults.drift(node, 0)),
        "degrade": (
            lambda: faults.degrade([node], Degradation(loss_ppm=200_000, delay_ns=50 * MILLISECOND)),
            lambda: faults.degrade([node], Degradation()),
        ),
        "pd": (faults.transfer_pd_leader, None),
        "leader": (lambda: faults.transfer_region_leader(key), None),
        "split": (lambda: faults.split_region(key), None),
    }[kind]


KINDS = ("kill", "pause", "cut", "one-way", "skew", "drift", "degrade", "pd", "leader", "split")


async def _faults(seen, cluster, stream, end):
    clock = cluster.clock
    names = [node.name for node in cluster.nodes]
    while clock.now() < end:
        kind, node, key = stream.choice(KINDS), stream.choice(names), key_of(stream.below(ACCOUNTS))
        others = [name for name in names if name != node]
        for action in _actions(cluster.faults, kind, node, others, key, draw=stream.between(-20, 20)):
            if action is not None:
                evidence = await action()
                seen.evidence.append((kind, evidence))
                seen.note(clock, kind, node, evidence.verified, sorted(evidence.measured.items()))
                await clock.sleep_until(clock.now() + stream.between(100, 6000) * MILLISECOND)


async def _main(cluster, seed, seconds, clients, faults):
    seen = Chaos()
    streams = Streams(seed).below("chaos")
    await cluster.start(SPLIT_KEYS)
    store = cluster.store("setup")
    txn = await store.begin("optimistic")
    for account in range(ACCOUNTS):
        await txn.insert(key_of(account), b"%d" % INITIAL)
    await txn.commit()
    end = cluster.clock.now() + seconds * SECOND
    work = [_client(seen, cluster, i, streams("client", i), end) for i in range(clients)]
    work += [_faults(seen, cluster, streams("faults", i), end) for i in range(faults)]
    await asyncio.gather(*work)
    await cluster.clock.sleep_until(cluster.clock.now() + 30 * SECOND)
    _, total = await read_all(store, 7, None)
    seen.totals.append(total)
    await store.close()
    await cluster.stop()
    return seen


def chaos(seed, *, seconds=40, clients=5, faults=1, bugs=frozenset()):
    """Run it with so many faults at a time; the same seed gives the same ``hash``."""
    cluster = SimCluster(Streams(seed), 5, bugs)
    return cluster.run(_main(cluster, seed, seconds, clients, faults))


if __name__ == "__main__":
    seen = chaos(int(sys.argv[1]), seconds=12)
    print(seen.hash())  # noqa: T201
