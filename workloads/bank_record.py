"""What lies in the store under an account's key: canonical bytes that no fault can change unnoticed.

A record says which version of the account it is, which operation wrote it and which wrote the version before. So every
read tells exactly which write it saw, and the version order of an account is known even across operations whose outcome
nobody knows. The SHA-256 covers the run and the account too: a record under the wrong key is corrupt.
"""

from __future__ import annotations

import hashlib

import msgspec


class CorruptRecord(Exception):
    """The bytes are not what this run would have written for the account.

    Attributes:
        account: under whose key they lay.
        data: the bytes.
    """

    def __init__(self, account: int, data: bytes) -> None:
        super().__init__(f"corrupt record of account {account}")
        self.account = account
        self.data = data


class Record(msgspec.Struct, frozen=True):
    """One version of one account.

    Attributes:
        account: whose.
        balance: may be negative only if a promise was broken.
        version: 0 for the initial record, one more with each transfer.
        writer: id of the operation that wrote it; 0 is the set-up.
        previous: id of the writer of ``version - 1``; -1 for the initial record.
    """

    account: int
    balance: int
    version: int
    writer: int
    previous: int

    def row(self) -> list[int]:
        """As it stands in the history."""
        return [self.account, self.balance, self.version, self.writer, self.previous]

    def successor(self, balance: int, writer: int) -> Record:
        """The next version of the account."""
        return Record(self.account, balance, self.version + 1, writer, self.writer)


class _Stored(msgspec.Struct, forbid_unknown_fields=True):
    balance: int
    version: int
    writer: int
    previous: int
    sha256: str


_DECODER = msgspec.json.Decoder(_Stored)


def initial_record(account: int, balance: int) -> Record:
    """The record that the set-up writes."""
    return Record(account, balance, version=0, writer=0, previous=-1)


class RecordCodec:
    """Records of one run, to bytes and back."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._last: dict[int, tuple[bytes, Record]] = {}  # of each account; most reads find it unchanged

    def encode(self, record: Record) -> bytes:
        """The canonical bytes: a JSON object, legible in any tool that shows a cluster's keys."""
        body = (
            f'"balance":{record.balance},"version":{record.version},'
            f'"writer":{record.writer},"previous":{record.previous}'
        )
        digest = hashlib.sha256(f"{self._run_id}\x1f{record.account}\x1f{body}".encode()).hexdigest()
        return f'{{{body},"sha256":"{digest}"}}'.encode()

    def decode(self, account: int, data: bytes) -> Record:
        """The record in ``data``, found under the key of ``account``.

        Raises:
            CorruptRecord: ``data`` is not, byte for byte, what ``encode`` makes of a record of this account.
        """
        last = self._last.get(account)
        if last is not None and last[0] == data:
            return last[1]
        try:
            stored = _DECODER.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise CorruptRecord(account, data) from None
        record = Record(account, stored.balance, stored.version, stored.writer, stored.previous)
        # Comparing with what we would write checks the digest and the form at once.
        if self.encode(record) != data:
            raise CorruptRecord(account, data)
        self._last[account] = data, record
        return record
