"""Places for the versions of many objects in one flat array, so that a version is looked up by adding two numbers.

Versions of an object count up from 0, so (object, version) -> base[object] + version needs no sort and no hash. Only
where the numbers have large holes, which no sound system makes, they are ranked first.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from checkers.arrays import running_total
from checkers.graph.dsg import NONE, Ints

_LARGEST_DENSE_OBJECT = 1 << 20
_HOLES_ALLOWED = 1 << 20


class Slots:
    """Slots 0..count-1, by object and, within it, by version.

    Attributes:
        count: how many there are.
        initial: the slots of version 0, one of each object.
    """

    def __init__(self, objects: NDArray[np.int64], versions: NDArray[np.int64], others: NDArray[np.int64]) -> None:
        """Make room for these versions, and for version 0 of ``others`` too."""
        largest = max((int(some.max()) for some in (objects, others) if len(some)), default=-1)
        self._names = None
        if largest >= _LARGEST_DENSE_OBJECT:
            self._names = np.unique(np.concatenate((objects, others)))
        count = largest + 1 if self._names is None else len(self._names)
        objects = self._code(objects)
        self._ranks = None
        highest = np.zeros(count, np.int64)
        np.maximum.at(highest, objects, versions)
        if _too_many(highest, len(versions)):
            # Neighbours must stay neighbours: a version's parent is looked up by its number less one.
            self._ranks = np.unique(np.concatenate((versions, np.maximum(versions - 1, 0), np.zeros(1, np.int64))))
            highest[:] = 0
            np.maximum.at(highest, objects, np.searchsorted(self._ranks, versions))
        self._highest = highest
        self._base = running_total(highest + 1)
        self.count = int(self._base[-1])
        self.initial = self._base[:-1]

    def _code(self, objects: NDArray[np.int64]) -> NDArray[np.int64]:
        return objects if self._names is None else np.searchsorted(self._names, objects)

    def find(self, objects: NDArray[np.int64], versions: NDArray[np.int64]) -> Ints:
        """The slots, ``NONE`` where there is none. Objects must be known."""
        code = self._code(objects)
        there = versions >= 0
        if self._ranks is not None:
            rank = np.minimum(np.searchsorted(self._ranks, versions), len(self._ranks) - 1)
            there &= self._ranks[rank] == versions
            versions = rank
        there &= versions <= self._highest[code]
        return np.where(there, self._base[code] + versions, NONE).astype(np.int32)

    def account_of(self, slot: int) -> int:
        """The object's code, dense from 0."""
        return int(np.searchsorted(self._base, slot, side="right")) - 1

    def version_of(self, slot: int) -> int:
        """The version's number."""
        version = slot - int(self._base[self.account_of(slot)])
        return version if self._ranks is None else int(self._ranks[version])

    def name_of(self, slot: int) -> int:
        """The object, as the history calls it."""
        code = self.account_of(slot)
        return code if self._names is None else int(self._names[code])


def _too_many(highest: NDArray[np.int64], versions: int) -> bool:
    allowed = 4 * versions + len(highest) + _HOLES_ALLOWED
    return bool((highest > allowed).any()) or int(highest.sum()) > allowed
