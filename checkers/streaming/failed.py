"""The ids of failed operations, eight bytes each: who reads what one of them wrote shall be told so."""

from __future__ import annotations

from array import array
from typing import Final

import numpy as np
from numpy.typing import NDArray

_FEW: Final = 4096


class FailedIds:
    """A set of integers of 64 bits that only grows."""

    def __init__(self) -> None:
        self._sorted: NDArray[np.int64] = np.zeros(0, np.int64)
        self._new = array("q")

    def add(self, number: int) -> None:
        """Take ``number`` in."""
        self._new.append(number)
        if len(self._new) >= max(_FEW, len(self._sorted) // 4):
            self._merge()

    def _merge(self) -> None:
        self._sorted = np.union1d(self._sorted, np.frombuffer(self._new, np.int64))
        self._new = array("q")

    def __contains__(self, number: int) -> bool:
        """Whether ``number`` was taken in."""
        if len(self._new):
            self._merge()
        at = int(np.searchsorted(self._sorted, number))
        return at < len(self._sorted) and int(self._sorted[at]) == number

    def __len__(self) -> int:
        """How many there are, those that came twice and were not merged yet counted twice."""
        return len(self._sorted) + len(self._new)
