"""Where the accounts lie in the key space: one prefix for each run, sorted, spread over several regions.

The prefix keeps a run apart from everything else in a real cluster, and from its own predecessors.
"""

from __future__ import annotations

PREFIX = b"qq/bank/"
REGIONS = 4  # over which the accounts are spread, so that most transfers commit on two of them
_DIGITS = 8


class Layout:
    """The keys of the accounts ``0 .. accounts-1`` of the run ``run_id``."""

    def __init__(self, run_id: str, accounts: int) -> None:
        self.start = PREFIX + run_id.encode() + b"/"
        self.end = self.start[:-1] + bytes([self.start[-1] + 1])  # the first key behind all of the run's
        self.keys = tuple(self.start + b"%0*d" % (_DIGITS, account) for account in range(accounts))
        self._account_of = {key: account for account, key in enumerate(self.keys)}

    def account_of(self, key: bytes) -> int:
        """The account kept under ``key``; the number after the last account if the key is nobody's."""
        return self._account_of.get(key, len(self.keys))

    def split_keys(self) -> tuple[bytes, ...]:
        """The keys at which regions should start, so that the accounts lie in ``REGIONS`` of them."""
        accounts = len(self.keys)
        regions = min(REGIONS, accounts)
        return tuple(self.keys[accounts * i // regions] for i in range(1, regions))
