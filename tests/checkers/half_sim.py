"""A bank on a store that is sound, driven through a client that may carry out a commit by half."""

from __future__ import annotations

from harness.op import Op
from tests.checkers.conftest import follow

EACH = 50  # in each account at the beginning


class SoundStore:
    """Versions by commit_ts; optimistic transactions on snapshots, checked only where they write."""

    def __init__(self, accounts):
        self.now = 10
        self.chains = {account: [(0, [account, EACH, 0, 0, -1])] for account in range(accounts)}

    def tick(self):
        self.now += 1
        return self.now

    def at(self, account, ts):
        return list(next(record for when, record in reversed(self.chains[account]) if when <= ts))

    def commit(self, start_ts, writes):
        if any(self.chains[record[0]][-1][0] > start_ts for record in writes):
            return None
        ts = self.tick()
        for record in writes:
            self.chains[record[0]].append((ts, record))
        return ts


class HalfBank:
    """Draws a history: transfers that overlap, some by half, reads, then final reads and readbacks."""

    def __init__(self, rng, size, *, accounts=3, half=0.3, share=1.0):
        self.rng, self.size, self.half, self.share = rng, size, half, share
        self.store = SoundStore(accounts)
        self.ops = []
        self.ids = 0
        self.dropped = {}  # id of a transfer -> accounts that it never wrote
        self.acknowledged = {}  # id -> (commit_ts, accounts)
        self.open = {}

    def add(self, process, kind, f, value, error=None):
        self.ops.append(Op(len(self.ops), 1000 * len(self.ops), process, kind, f, value, error))

    def draw(self):
        for _ in range(self.size):
            process = self.rng.randrange(4)
            if process in self.open:
                self.open.pop(process)()
            elif self.rng.random() < 0.6:
                self.transfer(process)
            else:
                self.read(process)
        for process in list(self.open):
            self.open.pop(process)()
        self.read(0)
        self.open.pop(0)()
        self.read_back()
        return self.ops

    def number(self):
        self.ids += 1
        return self.ids

    def transfer(self, process):
        source, target = sorted(self.rng.sample(list(self.store.chains), 2))
        value = {"id": self.number(), "from": source, "to": target, "amount": 1, "mode": "optimistic"}
        self.add(process, "invoke", "transfer", value)
        ts = self.store.tick()
        reads = [self.store.at(account, ts) for account in (source, target)]
        writes = follow(value["id"], reads)
        done = value | {"ts": ts, "read": reads, "write": writes}

        def end():
            dropped = set()
            if self.rng.random() < self.half:
                dropped = set(self.rng.choice([(source,), (target,), (source, target)]))
            commit_ts = self.store.commit(ts, [record for record in writes if record[0] not in dropped])
            if commit_ts is None:
                self.add(process, "fail", "transfer", done, "write-conflict")
                return
            self.acknowledged[value["id"]] = (commit_ts, [source, target])
            if dropped:
                self.dropped[value["id"]] = dropped
            self.add(process, "ok", "transfer", done | {"commit_ts": commit_ts})

        self.open[process] = end

    def read(self, process):
        via = self.rng.choice(["batch_get", "snapshot", "old-snapshot"])
        value = {"id": self.number(), "via": via}
        self.add(process, "invoke", "read", value)
        ts = self.rng.randint(10, self.store.now) if via == "old-snapshot" else self.store.tick()

        def end():
            read = [self.store.at(account, ts) for account in self.store.chains]
            self.add(process, "ok", "read", value | {"ts": ts, "read": read})

        self.open[process] = end

    def read_back(self):
        for number, (ts, accounts) in self.acknowledged.items():
            if self.rng.random() < self.share:
                value = {"id": self.number(), "of": number, "ts": ts, "accounts": accounts}
                self.add(0, "invoke", "readback", value)
                self.add(0, "ok", "readback", value | {"read": [self.store.at(account, ts) for account in accounts]})
