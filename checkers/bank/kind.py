"""The kind of history that is about this harness's own bank, whose records say which version they replace.

How much money there is only a workload's options say, so totals are no matter of a history alone.
"""

from __future__ import annotations

from typing import Final

from checkers.bank.columns import BankEncoder
from checkers.bank.half_commits import HalfCommits
from checkers.bank.strict_serializability import StrictSerializability
from checkers.kind import Kind
from checkers.models import STRICT_SERIALIZABLE, TRANSACTIONAL
from checkers.stats import Stats
from harness.op import Op


def _recognises(op: Op) -> bool:
    """Whether the bank's encoder takes it."""
    try:
        BankEncoder().encode(op)
    except ValueError:
        return False
    return True


BANK: Final = Kind(
    name="bank",
    summary="transfers between accounts, with the versions of what they read and wrote",
    recognises=_recognises,
    encoder=BankEncoder,
    checkers=lambda: (StrictSerializability(), HalfCommits(), Stats()),
    models=TRANSACTIONAL,
    default=(STRICT_SERIALIZABLE,),
)
