"""Runs to report on, made up operation by operation: a small bank under faults, with or without a planted anomaly."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np

from harness.clock import MILLISECOND as MS
from harness.clock import SECOND
from harness.history import History
from harness.op import Op
from harness.results import Results
from harness.verdict import Anomaly, Edge, Verdict

ACCOUNTS, BALANCE = 8, 100


class Bank:
    """Makes up a history of a correct bank: every operation takes effect at its completion."""

    def __init__(self, processes: int = 10, seed: int = 1) -> None:
        self.random = random.Random(seed)
        self.records = [[account, BALANCE, 0, 0, -1] for account in range(ACCOUNTS)]
        self.entries: list[tuple[int, int, Op]] = []
        self.free = [(0, process) for process in range(processes)]
        self.next_id = 1
        self.processes = processes

    def add(self, time: int, process: int | str, type_: Any, f: str, *data: Any) -> Op:
        value, error = (*data, None)[:2]
        op = Op(index=0, time=time, process=process, type=type_, f=f, value=value, error=error)
        self.entries.append((time, len(self.entries), op))
        return op

    def fault(self, kind: str, start: int, end: int, targets: list[str], measured: dict[str, Any], **more: Any) -> None:
        identity = self.next_id
        self.next_id += 1
        verified = more.pop("verified", True)
        plan = {"id": identity, **more}
        done = {**plan, "targets": targets, "evidence": {"verified": verified, "measured": measured}}
        pairs = ((f"start-{kind}", start), (f"stop-{kind}", end)) if end > start else ((kind, start),)
        for f, at in pairs:
            self.add(at, "nemesis", "info", f, plan)
            self.add(at + 3 * MS, "nemesis", "info", f, done)

    def run(self, until: int, step: int, slow: Callable[[int], float] = lambda _: 1.0) -> None:
        """Operations by whichever process is free, about one a ``step``."""
        time = 0
        while time < until:
            time += self.random.randrange(step // 2, step * 3 // 2)
            begin, process = min(self.free)
            begin = max(begin, time)
            latency = int(self.random.lognormvariate(1.8, 0.5) * MS * slow(begin))
            self.free.remove((min(self.free)[0], process))
            self.free.append((begin + latency + 1, self.one(process, begin, begin + latency)))

    def one(self, process: int, begin: int, end: int) -> int:
        identity, self.next_id = self.next_id, self.next_id + 1
        if self.random.random() < 0.25:
            plan: dict[str, Any] = {"id": identity, "via": self.random.choice(["batch_get", "scan", "snapshot"])}
            self.add(begin, process, "invoke", "read", plan)
            if end - begin > 900 * MS:
                self.add(end, process, "info", "read", plan, ["timeout", "10 s"])
                return process + self.processes
            self.add(end, process, "ok", "read", {**plan, "ts": end, "read": [list(r) for r in self.records]})
            return process
        source, target = self.random.sample(range(ACCOUNTS), 2)
        amount = self.random.randrange(1, 40)
        plan = {"id": identity, "from": source, "to": target, "amount": amount, "mode": "optimistic"}
        self.add(begin, process, "invoke", "transfer", plan)
        read = [list(self.records[account]) for account in sorted((source, target))]
        seen = {**plan, "ts": begin, "read": read}
        if end - begin > 900 * MS:
            self.add(end, process, "info", "transfer", seen, "timeout")
            return process + self.processes
        if self.records[source][1] < amount:
            self.add(end, process, "fail", "transfer", seen, "insufficient-funds")
            return process
        for account, change in ((source, -amount), (target, amount)):
            old = self.records[account]
            self.records[account] = [account, old[1] + change, old[2] + 1, identity, old[3]]
        write = [list(self.records[account]) for account in sorted((source, target))]
        self.add(end, process, "ok", "transfer", {**seen, "write": write, "commit_ts": end})
        return process

    def ops(self) -> list[Op]:
        self.entries.sort(key=lambda entry: entry[:2])
        return [op for *_, op in self.entries]


def bank_run(seconds: int = 30, step: int = 12 * MS) -> Bank:
    bank = Bank()
    windows = [(4, 9), (14, 18), (16, 22)]
    scale = seconds / 30
    spans = [(int(a * scale * SECOND), int(b * scale * SECOND)) for a, b in windows]
    bank.fault("partition", *spans[0], ["kv1", "kv2"], {"dropped": 312}, cut="minority")
    bank.fault("kill", *spans[1], ["kv3"], {"state": "dead"})
    bank.fault("clock-skew", *spans[2], ["kv5"], {"offset_ms": -4312}, offset_ms=-4312)
    at = int(11.5 * scale * SECOND)
    bank.fault("leader-transfer", at, at, ["kv2"], {"leader": "kv2"}, region=3)
    bank.fault("split", at + SECOND, at + SECOND, [], {}, verified=False)
    bank.run(
        int(seconds * SECOND), step, lambda t: 9.0 * (1 + bank.random.random() * 30 * (bank.random.random() < 0.08))
        if any(a <= t <= b for a, b in spans) else 1.0,
    )  # fmt: skip
    end = int(seconds * SECOND)
    bank.add(end, "nemesis", "info", "heal-all", {"id": 99})
    bank.add(end + 5 * MS, "nemesis", "info", "heal-all", {"id": 99, "targets": [], "evidence": {"verified": True}})
    return bank


def spec(**changes: Any) -> dict[str, Any]:
    fields = {
        "workload": "bank", "cluster": "sim", "nemesis": ["partition", "kill", "pause", "clock"],
        "nemesis_interval_s": 5.0, "time_limit_s": 30.0, "concurrency": 10, "rate": 50.0, "seed": 7, "nodes": 5,
        "bug": None, "out": "runs",
        "workload_options": {"accounts": ACCOUNTS, "total": ACCOUNTS * BALANCE, "mode": "mixed"},
        "versions": {"quorumquake": "0.1.0", "python": "3.11.9"},
    }  # fmt: skip
    return {**fields, **changes}


def verdicts(*anomalies: Anomaly) -> list[Verdict]:
    counts = dict.fromkeys((anomaly.name for anomaly in anomalies), 1)
    return [
        Verdict("strict-serializability", not anomalies, list(anomalies), counts, took_s=0.21),
        Verdict("total-balance", valid=True, took_s=0.02),
    ]


def results(valid: Any = True, **changes: Any) -> Results:
    code = {True: 0, False: 1, "unknown": 3}[valid]
    base = {
        "stage": "judged", "valid": valid, "exit_code": code, "workload": "bank", "claim": "strict-serializable",
        "history_sha256": "9f" * 32, "verdicts": verdicts() if valid is True else [],
    }  # fmt: skip
    return Results(**{**base, **changes})


def cycle_of(history: History, size: int, start: int = 400) -> Anomaly:
    """A cycle through ``size`` ok operations in a row: its form is right, its claim is made up."""
    done = np.flatnonzero((history.type == 1) & (history.process >= 0))
    chosen = history.pair[done[done >= start][:size]].tolist()
    labels = ["wr", "rw", "ww", "realtime", "process", "rw", "wr"]
    names = {index: f"T{history.op(index).value['id']}" for index in chosen}
    edges = [
        Edge(
            a, b, labels[i % 7], f"{names[a]} wrote version {i + 4} of account 3 (balance 95), and {names[b]} read it."
        )
        for i, (a, b) in enumerate(zip(chosen, [*chosen[1:], chosen[0]], strict=True))
    ]
    words = [
        f"G-single-realtime: a read missed a write that it must have seen (read skew), among {size} transactions.",
        *(edge.why for edge in edges),
        f"So {names[chosen[0]]} would have to come before itself, which no order of the transactions allows.",
    ]
    return Anomaly("G-single-realtime", chosen, " ".join(words), edges, ["strict-serializable", "linearizable"])
