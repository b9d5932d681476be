"""Which transactions have to do with which chains of open versions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from checkers.arrays import ranges
from checkers.graph.case import Case
from checkers.graph.windows import Chains


class Touching:
    """Which transactions have to do with which chains, and where the guess puts these."""

    def __init__(self, case: Case, chains: Chains, rank: NDArray[np.int64]) -> None:
        writer = case.versions.writer
        count = len(chains.head)
        self.chains = chains
        self.rank = rank
        self.head_writer = writer[chains.head]
        self.tail_writer = writer[chains.tail]
        chain_of = np.full(len(writer), -1, np.int32)
        own = np.arange(count, dtype=np.int32)
        chain_of[chains.tail] = own
        reads = chain_of[case.read_version] >= 0
        read_chain, read_txn = chain_of[case.read_version[reads]], case.read_txn[reads]
        by_chain = np.argsort(read_chain, kind="stable")
        self._readers = read_txn[by_chain]
        self._reader_start = np.searchsorted(read_chain[by_chain], np.arange(count + 1))
        txn = np.concatenate((self.head_writer, self.tail_writer, read_txn))
        chain = np.concatenate((own, own, read_chain))
        by_txn = np.argsort(txn, kind="stable")
        self._chain = chain[by_txn]
        self._start = np.searchsorted(txn[by_txn], np.arange(len(case.process) + 1))

    def readers(self, chain: int) -> list[int]:
        """Who read the last version of a chain."""
        return self._readers[self._reader_start[chain] : self._reader_start[chain + 1]].tolist()

    def readers_of(self, chains: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """The same for many: of each reader, the place of the chain among those given, and who it is."""
        begin = self._reader_start[chains]
        count = self._reader_start[chains + 1] - begin
        return np.repeat(np.arange(len(chains)), count), self._readers[ranges(begin, count)]

    def chains_of(self, txns: Iterable[int]) -> dict[int, set[int]]:
        """By key, the chains that these transactions began or ended, or read the end of."""
        found: dict[int, set[int]] = {}
        for txn in txns:
            for chain in self._chain[self._start[txn] : self._start[txn + 1]].tolist():
                found.setdefault(int(self.chains.key[chain]), set()).add(chain)
        return found

    def with_writers(self, group: Sequence[int]) -> set[int]:
        """The group with the writers of all chains that it touches in keys where it touches several."""
        members = set(group)
        for chains in self.chains_of(group).values():
            if len(chains) > 1:
                members.update(int(self.head_writer[chain]) for chain in chains)
                members.update(int(self.tail_writer[chain]) for chain in chains)
        return {txn for txn in members if txn >= 0}

    def whole(self, own: Collection[int]) -> list[list[int]]:
        """Of each key that these transactions touch, the chains whose ends they wrote, the initial one before others.

        Chains of which only readers are there are no part of it: what is decided of a key must be an order.
        """
        is_first, head, tail = self.chains.is_first, self.head_writer, self.tail_writer
        return [
            sorted(chain for chain in chains if is_first[chain] or (head[chain] in own and tail[chain] in own))
            for chains in self.chains_of(own).values()
        ]
