"""The kinds of histories that are about banks: our own, whose records say which version they replace, and Jepsen's."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from checkers.bank.balance import TotalBalance
from checkers.bank.columns import BankEncoder
from checkers.bank.half_commits import HalfCommits
from checkers.bank.strict_serializability import StrictSerializability
from checkers.bank.totals import SameTotal, TotalsEncoder
from checkers.kind import Kind, recognised_by
from checkers.models import STRICT_SERIALIZABLE, TRANSACTIONAL
from checkers.stats import Stats
from harness.protocols import CheckContext
from harness.verdict import Verdict


class ToldBalance:
    """``TotalBalance`` with the accounts and the total that the history tells: those of the records of the set-up."""

    name = TotalBalance.name

    def check(self, history: Any, context: CheckContext) -> Verdict:
        """Judge a ``harness.history.History`` with the columns of ``checkers.bank.columns``."""
        first = np.flatnonzero(history.rows["version"] == 0)
        accounts, places = np.unique(history.rows["account"][first], return_index=True)
        known = np.unique(history.rows["account"])
        if not len(known) or not np.array_equal(accounts, np.arange(len(known))):
            return Verdict(self.name, valid=True, details={"told": False})
        total = int(history.rows["balance"][first[places]].sum())
        return TotalBalance(len(accounts), total).check(history, context)


BANK: Final = Kind(
    name="bank",
    summary="transfers between accounts, with the versions of what they read and wrote",
    recognises=recognised_by(BankEncoder, ("transfer", "read", "readback")),
    encoder=BankEncoder,
    checkers=lambda: (StrictSerializability(), ToldBalance(), HalfCommits(), Stats()),
    models=TRANSACTIONAL,
    default=(STRICT_SERIALIZABLE,),
)
BANK_TOTALS: Final = Kind(
    name="bank-totals",
    summary="transfers between accounts and reads of all balances, without versions",
    recognises=recognised_by(TotalsEncoder, ("transfer",)),
    encoder=TotalsEncoder,
    checkers=lambda: [SameTotal()],
)
