"""Named, independent streams of random numbers, all from one seed.

A stream belongs to a link, a process or a fault. Taking one fault away therefore leaves every other draw as it was,
which is what makes shrinking a failing run possible. Only ``getrandbits`` of the Mersenne twister is used, whose output
Python promises to keep, and integer arithmetic: no float, no libm, no hash.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Stream:
    """One stream. Every draw is an integer or a choice made by integers."""

    __slots__ = ("_bits", "bits")

    def __init__(self, seed: int) -> None:
        self._bits = random.Random(seed).getrandbits
        self.bits = self._bits

    def below(self, n: int) -> int:
        """Draw from ``0 .. n-1``; the bias is below 2**-64 · n."""
        if n <= 0:
            raise ValueError(f"cannot draw from an empty range of {n}")
        return (self._bits(64) * n) >> 64

    def between(self, low: int, high: int) -> int:
        """Draw from ``low .. high``, both included."""
        return low + self.below(high - low + 1)

    def chance(self, numerator: int, denominator: int) -> bool:
        """Answer True with probability ``numerator / denominator``."""
        return self.below(denominator) < numerator

    def choice(self, items: Sequence[T]) -> T:
        """Draw one of ``items``."""
        return items[self.below(len(items))]

    def sample(self, items: Sequence[T], k: int) -> list[T]:
        """Draw ``k`` different ones of ``items``, in random order."""
        pool = list(items)
        for i in range(k):
            j = i + self.below(len(pool) - i)
            pool[i], pool[j] = pool[j], pool[i]
        return pool[:k]

    def shuffle(self, items: Sequence[T]) -> list[T]:
        """Return a shuffled copy."""
        return self.sample(items, len(items))


class Streams:
    """The root of all randomness of a run.

    ``Streams(7)("link", "kv1", "kv2")`` is the same stream on any machine, however many others were made before it.
    """

    __slots__ = ("_prefix", "seed")

    def __init__(self, seed: int, *prefix: str | int) -> None:
        self.seed = seed
        self._prefix = prefix

    def __call__(self, *name: str | int) -> Stream:
        """Make the stream of that name, from its beginning."""
        text = "\x1f".join(str(part) for part in (self.seed, *self._prefix, *name))
        return Stream(int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big"))

    def below(self, *prefix: str | int) -> Streams:
        """Return the family of streams under ``prefix``."""
        return Streams(self.seed, *self._prefix, *prefix)
