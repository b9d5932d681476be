"""Idioms over flat arrays: what a loop would say in three lines, and numpy says in one that nobody reads at sight."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Longs = NDArray[np.int64]
Mask = NDArray[np.bool_]


def ranges(begin: NDArray[np.integer], count: NDArray[np.integer]) -> Longs:
    """Of each pair ``count`` integers from ``begin`` on, one range after the other."""
    return np.arange(count.sum()) + np.repeat(begin - (np.cumsum(count) - count), count)


def running_total(values: NDArray[Any]) -> NDArray[Any]:
    """Before each value the sum of all before it, and at the end that of all: one entry more than there are values.

    Integers of 64 bits, or objects where the values are objects.
    """
    total = np.zeros(len(values) + 1, object if values.dtype == object else np.int64)
    np.cumsum(values, out=total[1:])
    return total


def running_maximum(values: NDArray[Any]) -> tuple[NDArray[Any], Longs]:
    """At each place the greatest value so far, and where it stands, at the latest of several."""
    greatest = np.maximum.accumulate(values)
    return greatest, last_where(values == greatest)


def last_where(mask: Mask) -> Longs:
    """At each place the last one, up to itself, where ``mask`` holds; -1 if there is none."""
    return np.maximum.accumulate(np.where(mask, np.arange(len(mask)), -1))


def next_where(mask: Mask) -> Longs:
    """At each place the next one, itself included, where ``mask`` holds; the length if there is none."""
    return np.minimum.accumulate(np.where(mask, np.arange(len(mask)), len(mask))[::-1])[::-1]


def first_of_each(*columns: NDArray[Any]) -> Mask:
    """Where runs of equal entries begin; of several columns entries are equal where all are."""
    first = np.ones(len(columns[0]), bool)
    first[1:] = False
    for column in columns:
        first[1:] |= column[1:] != column[:-1]
    return first


def last_of_each(column: NDArray[Any]) -> Mask:
    """Where runs of equal entries end."""
    last = np.ones(len(column), bool)
    last[:-1] = column[1:] != column[:-1]
    return last
