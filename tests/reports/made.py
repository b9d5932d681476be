"""Runs to report on, made up operation by operation: a small bank under faults, with or without a planted anomaly."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from checkers.bank.columns import BANK_ENCODER
from harness.clock import MILLISECOND as MS
from harness.clock import SECOND
from harness.history import History
from harness.op import Op
from harness.recorder import Recorder
from harness.results import Results
from harness.run_folder import RunFolder
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
        verified, removal = more.pop("verified", True), more.pop("removal", measured)
        plan = {"id": identity, **more}
        first, second = (
            {**plan, "targets": targets, "evidence": {"verified": sure, "measured": facts}}
            for sure, facts in ((verified, measured), (True, removal))
        )
        lasting = ((f"start-{kind}", start, first), (f"stop-{kind}", end, second))
        for f, at, done in lasting if end > start else ((kind, start, first),):
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


EPOCH_NS = 1_795_432_640_905_402_389  # when time 0 of a run on a real cluster was
REAL_NODES = ("pd1", "pd2", "pd3", "kv1", "kv2", "kv3")


def real_run() -> Bank:
    """As of a real cluster: evidence with before, during and after, a long gap, a thread that is late to recover."""
    bank = Bank(processes=12)
    s = SECOND
    bank.fault(
        "partition", 5 * s, 9 * s, ["kv1"], on="pd-leader", shape="isolate", key=3,
        measured={
            "links": 10,
            "before": {"reached": ["kv1>kv2", "kv1>pd1", "kv2>kv1", "pd1>kv1"]},
            "during": {"reached": [], "refused": 0, "timed_out": 10, "took_ms": 1004},
        },
        removal={"reached": ["kv1>kv2", "kv1>pd1", "kv2>kv1", "pd1>kv1"], "took_ms": 3},
    )  # fmt: skip
    dead = {"before": {"state": "S (sleeping)", "pid": 4711}, "during": {"state": "gone", "exit_code": 137}}
    bank.fault(
        "kill", 12 * s, 16 * s, ["pd1", "kv2"], on="some", nodes=["pd1", "kv2"],
        measured={"dead pd1": dead, "dead kv2": dead},
        removal={"dead pd1": {"state": "running", "pid": 4802}, "dead kv2": {"state": "running", "pid": 4803}},
    )  # fmt: skip
    bank.fault(
        "clock-skew", 19 * s, 23 * s, ["pd2"], on="pd-leader", offsets_ms=[60_000],
        measured={"before": {"offset_ms": 0.2, "tso_ms": 1}, "during": {"offset_ms": 59_999.8, "tso_ms": 59_960}},
        removal={"before": {"offset_ms": 60_000.1}, "after": {"offset_ms": 0.4, "restarted": True}},
    )  # fmt: skip
    bank.fault(
        "clock-step", 25 * s, 27 * s, ["kv3"], on="region-leader", key=1, back_ms=60_000, verified=False,
        measured={"before": {"offset_ms": 0}, "during": {"offset_ms": -12}}, removal={"offset_ms": 0},
    )  # fmt: skip
    bank.fault("leader-transfer", 28 * s, 28 * s, ["kv3"], {"region": 12, "before": "kv3", "after": "kv1"}, key=6)
    bank.run(12 * s + 40 * MS, 12 * MS)
    for _, process in bank.free:  # all of them run into the kill, and come back one after the other
        bank.add(12 * s + (60 + process) * MS, process, "invoke", "read", {"id": 90_000 + process, "via": "scan"})
        at = 15 * s + (process + 1) * 400 * MS
        bank.add(at, process, "info", "read", {"id": 90_000 + process, "via": "scan"}, "unavailable")
    bank.free = [(15 * s + (process + 2) * 400 * MS, process + 12) for _, process in bank.free]
    bank.run(30 * s, 12 * MS)
    bank.add(30 * s, "nemesis", "info", "heal-all", {})
    bank.add(30 * s + MS, "nemesis", "info", "heal-all", {"targets": [], "evidence": {"verified": True}})
    return bank


def rfc3339(time: int) -> str:
    """A moment of the history's clock as the engine writes it before a line of a log."""
    seconds, nanoseconds = divmod(EPOCH_NS + time, SECOND)
    return f"{dt.datetime.fromtimestamp(seconds, dt.UTC):%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}Z"


def write_beside(folder: RunFolder) -> None:
    """Who led, and what the nodes logged, in a run's folder."""
    led = [
        (0, "pd", "pd1"), (0, "region 2", "kv1"), (0, "region 12", "kv2"), (0, "region 14", "kv3"),
        (7, "region 2", "kv3"), (12, "pd", None), (13, "region 12", None), (15, "pd", "pd2"), (18, "region 12", "kv3"),
        (22, "region 14", "kv1"), (29, "region 12", "kv1"),
    ]  # fmt: skip
    changes = [{"time": at * SECOND + 3 * MS, "what": what, "node": node} for at, what, node in led]
    folder.leaders.write_bytes(b"".join(msgspec.json.encode(change) + b"\n" for change in changes))
    folder.write_origin(EPOCH_NS)
    for number, node in enumerate(REAL_NODES):
        chance = random.Random(number)
        lines: list[str] = []
        time = -2 * SECOND
        while (time := time + chance.randrange(1, 400) * MS) < 31 * SECOND:
            own = rfc3339(time + (60 * SECOND if node == "pd2" and 19 < time / SECOND < 23 else 0))[:23]
            what = chance.choice([
                'INFO] [raft.rs:1550] ["starting a new election"] [term=7] [raft_id=13] [region_id=12]',
                'WARN] [endpoint.rs:780] [error-response] [err="\\"peer is not leader for region 12\\" not_leader {}"]',
                'INFO] [peer.rs:5111] ["leader changed"] [lease=None] [region_id=12]',
                'ERROR] [raft_client.rs:821] ["connection aborted"] [addr=198.18.0.12:20160] <b>&lt;script&gt;</b>',
            ])  # fmt: skip
            lines.append(f"{rfc3339(time)} [{own.replace('T', ' ').replace('-', '/')} +00:00] [{what}")
        (folder.logs / f"{node}.log").write_text("\n".join(lines) + "\n")


def real_folder(base: Path, bank: Bank | None = None, **changes: Any) -> RunFolder:
    """A whole folder of a run on a real cluster, without a report yet."""
    folder = RunFolder.create(base, "bank", "seed7")
    with Recorder(folder.history, folder.columns, BANK_ENCODER) as recorder:
        for op in (bank or real_run()).ops():
            recorder.record(op)
    nemesis = ["partition", "kill", "clock", "clock-beyond"]
    folder.write_json(folder.spec, spec(cluster="docker", concurrency=12, nemesis=nemesis))
    folder.write_json(folder.results, results(**changes))
    write_beside(folder)
    return folder
