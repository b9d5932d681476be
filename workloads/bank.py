"""The bank: money moves between accounts, and whatever happens to the cluster, none may appear or vanish.

Every transfer reads and writes both accounts in one transaction. An optimistic one reads at its start_ts and writes all
it read, so that a conflict is noticed at prewrite; a pessimistic one locks what it reads. Both are therefore strictly
serializable on a snapshot-isolated store, which is what the workload claims.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from checkers.bank.balance import TotalBalance
from checkers.bank.columns import BANK_ENCODER
from checkers.bank.half_commits import HalfCommits
from checkers.bank.strict_serializability import StrictSerializability
from checkers.stats import Stats
from checkers.streaming.bank import StreamingBank
from cluster.api import Store
from harness.exit_codes import UsageError
from harness.protocols import Checker, Claim, RowEncoder, WorkloadOption
from harness.verdict import Anomaly
from workloads.bank_client import BankClient
from workloads.bank_generator import BankGenerator, FinalReads
from workloads.bank_layout import Layout
from workloads.bank_readback import Readback
from workloads.bank_record import RecordCodec
from workloads.bank_setup import write_initial_records


class Bank:
    """The workload, for one run.

    Args:
        options: a value for each of ``OPTIONS``.
        run_id: unique among all runs against this cluster; part of every key and of every record's digest.

    Raises:
        UsageError: the options do not go together.
    """

    name: ClassVar[str] = "bank"
    summary: ClassVar[str] = "transfers between accounts, the total checked and strict serializability decided"
    claim: Claim = "strict-serializable"
    encoder: RowEncoder = BANK_ENCODER

    OPTIONS: ClassVar[tuple[WorkloadOption, ...]] = (
        WorkloadOption("accounts", 8, "how many accounts there are", minimum=2),
        WorkloadOption("total", 800, "the money in all accounts together", minimum=1),
        WorkloadOption("max_transfer", 5, "the largest amount moved at once", minimum=1),
        WorkloadOption("mode", "mixed", "how transactions lock", choices=("optimistic", "pessimistic", "mixed")),
        WorkloadOption("read_share", 30, "reads of all accounts, in percent of the operations"),
    )

    # Completions that are ok, by phase, below which a valid verdict would mean nothing.
    MINIMUMS: ClassVar[Mapping[str, int]] = {"main": 50, "final": 1}

    def __init__(self, options: Mapping[str, Any], run_id: str) -> None:
        self.options = dict(options)
        if self.options["read_share"] > 100:
            raise UsageError(f"read_share is in percent, so at most 100, not {self.options['read_share']}")
        self._layout = Layout(run_id, self.options["accounts"])
        self._codec = RecordCodec(run_id)
        self._ids = itertools.count(1)

    def keys(self) -> Sequence[bytes]:
        """The accounts' keys, in order: what faults can be aimed at (the leader of the region of a key, say)."""
        return self._layout.keys

    def split_keys(self) -> Sequence[bytes]:
        """Where regions should start, so that the accounts lie in several."""
        return self._layout.split_keys()

    async def setup(self, store: Store) -> None:
        """Write the initial records; does not return before they are surely there."""
        accounts, total = self.options["accounts"], self.options["total"]
        share, rest = divmod(total, accounts)
        balances = [share + (account < rest) for account in range(accounts)]
        await write_initial_records(store, self._layout, self._codec, balances)

    def client(self, store: Store) -> BankClient:
        """A client of one process."""
        return BankClient(store, self._layout, self._codec)

    def generator(self) -> BankGenerator:
        """Endless transfers and reads."""
        options = self.options
        return BankGenerator(
            options["accounts"], options["max_transfer"], options["mode"], options["read_share"], self._ids
        )

    def final_generator(self) -> FinalReads:
        """Every thread reads all accounts until one read is ok."""
        return FinalReads(self._ids)

    def readback_generator(self, history: Any, share: float, anomalies: Sequence[Anomaly]) -> Readback:
        """Read transfers back at their commit_ts: a share of them, or all, those in anomalies first."""
        return Readback(self._ids, history, share, anomalies)

    def streaming(self) -> StreamingBank:
        """What follows a run: looks at small blocks, so that little is done after a violation."""
        return StreamingBank(block=256, keep=4096)

    def checkers(self) -> Sequence[Checker]:
        """What judges the history; what the first one finds is told first, and a cycle says more than a wrong sum."""
        balance = TotalBalance(self.options["accounts"], self.options["total"])
        return (StrictSerializability(), balance, HalfCommits(), Stats())
