"""Linearizability of registers whose observed values each have one writer, all keys at once, in O(n log n).

After Gibbons and Korach (*Testing shared memories*, SIAM J. Comput. 1997), with cas added. It is exact, for each key:

- A write and the reads that saw its value are a cluster: between them no other write may come. A successful cas comes
  right after the cluster of the value that it expects, so it glues that cluster to its own. What is glued together is
  a block. At the head of a block is a plain write, or the beginning of the key, a write before all else.
- The order inside a block is known but for the reads of one value among themselves: the write, its reads, the cas
  that replaced it, the reads of that, and so on. These are its parts. It fits the order of time if and only if no
  operation completes before one of an earlier part is invoked. (Reads of one value then go by their invocations.)
- Two cas that replaced the same value, or a circle of them, fit nowhere.
- Blocks do not mix, so a linearization is an order of the blocks. A must come before B if an operation of A completes
  before one of B is invoked: f(A) < s(B), with f the first completion and s the last invocation. If these demands
  form a circle then two blocks demand it of each other: in a circle of three or more let Z have the greatest s and
  X, Y, Z follow each other; then f(X) < s(Y) <= s(Z), so Y can be left out. Without a circle there is an order.
- f(A) < s(B) and f(B) < s(A) is this: call [f, s] a forward zone if f < s, else [s, f] a backward one. Two forward
  zones overlap, or a backward zone lies inside a forward one. Two backward zones never conflict.

A value that several wrote but nobody saw is no obstacle: each of its writers is a block of its own.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from checkers.arrays import first_of_each, last_where, running_maximum
from checkers.register.columns import CAS, READ, WRITE
from checkers.register.operations import NOBODY, Bools, Ints, Operations, Sources


class Disorder(NamedTuple):
    """An operation that completed before one was invoked that must come before it, in one block."""

    later: int
    earlier: int


class Conflict(NamedTuple):
    """Two blocks each of which must come before the other. A block is named by the operation at its head.

    Attributes:
        forward: the one that was there for some time.
        other: the first one that cannot come before it or after it.
        others: how many there are.
    """

    forward: int
    other: int
    others: int


class Blocks(NamedTuple):
    """The blocks of all keys, or what keeps them from being formed. Operations are numbered as in ``Operations``.

    Attributes:
        thin_air: operations that observed what no operation wrote.
        rivals: cas operations, by twos, that replaced the same value.
        circular: cas operations that form circles.
        head: of each operation the one at the head of its block; ``n + key`` where that is the beginning of the key,
            -1 where it is in no block.
        part: its part in the block.
    """

    thin_air: Ints
    rivals: Ints
    circular: Ints
    head: Ints
    part: Ints


class Zones(NamedTuple):
    """What contradicts itself. Lists of positions in ``Operations``; empty if every key is linearizable."""

    blocks: Blocks
    disorders: list[Disorder]
    conflicts: list[Conflict]
    broken: Bools


def zones(ops: Operations, found: Sources, n: int) -> Zones:
    """Decide all keys that are not ambiguous.

    Args:
        ops: the operations that count.
        found: who wrote what they observed.
        n: the length of the history.
    """
    keys = len(ops.initial)
    blocks = _blocks(ops, found)
    broken = np.zeros(keys, bool)
    if not keys:
        return Zones(blocks, [], [], broken)
    for odd in (blocks.thin_air, blocks.rivals, blocks.circular):
        broken[ops.key[odd]] = True
    # The beginning of a key is an operation too: before all, done before all.
    members = np.flatnonzero(blocks.head >= 0)
    begins = len(ops.kind) + np.arange(keys)
    number = np.concatenate((members, begins))
    head = np.concatenate((blocks.head[members], begins))
    part = np.concatenate((blocks.part[members], np.zeros(keys, np.int64)))
    invoked = np.concatenate((ops.invoked[members], np.full(keys, -2)))
    completed = np.concatenate((ops.completed[members], np.full(keys, -1)))
    order = np.argsort(head * (int(part.max(initial=0)) + 1) + part)
    number, head, part, invoked, completed = (each[order] for each in (number, head, part, invoked, completed))

    starts = np.flatnonzero(first_of_each(head))
    disorders = _disorders(number, head, part, invoked, completed)
    first_done = np.minimum.reduceat(completed, starts)
    last_begun = np.maximum.reduceat(invoked, starts)
    heads = head[starts]
    key_of = np.concatenate((ops.key, np.arange(keys)))
    conflicts = _conflicts(heads, key_of[heads] * (n + 4) + 2, first_done, last_begun)
    broken[key_of[np.array([disorder.later for disorder in disorders], np.int64)]] = True
    broken[key_of[np.array([conflict.forward for conflict in conflicts], np.int64)]] = True
    return Zones(blocks, disorders, conflicts, broken)


def _blocks(ops: Operations, found: Sources) -> Blocks:
    total = len(ops.kind)
    plain = ~found.ambiguous[ops.key]
    thin_air = np.flatnonzero(plain & (ops.kind != WRITE) & (found.writer == NOBODY))
    cas = np.flatnonzero(plain & (ops.kind == CAS) & (found.writer != NOBODY))
    alone = cas[found.writer[cas] == cas]  # it expects what nobody but itself wrote
    cas = cas[found.writer[cas] != cas]
    before = found.writer[cas]
    order = np.argsort(before, kind="stable")
    same = np.flatnonzero(before[order][1:] == before[order][:-1])
    rivals = cas[order[np.stack((same, same + 1), axis=1)].ravel()] if len(same) else np.empty(0, np.int64)

    # From cas to cas until the head, by jumps that double; what is not there by then goes round in a circle.
    number = np.arange(total + len(ops.initial))
    jump, depth = number.copy(), np.zeros(len(number), np.int64)
    jump[cas] = before
    depth[cas] = 1
    inner = np.zeros(len(number), bool)
    inner[cas] = True
    moving, reach = cas, 1
    while len(moving) and reach <= 2 * len(cas):
        further = jump[moving]
        going = inner[further]
        moving, further = moving[going], further[going]
        depth[moving], jump[moving] = depth[moving] + depth[further], jump[further]
        reach *= 2
    circular = np.sort(np.concatenate((moving, alone)))
    head, part = jump[:total].copy(), 2 * depth[:total]
    reads = np.flatnonzero(plain & (ops.kind == READ) & (found.writer != NOBODY))
    head[reads], part[reads] = jump[found.writer[reads]], 2 * depth[found.writer[reads]] + 1
    out = ~plain
    out[thin_air[ops.kind[thin_air] == READ]] = True
    if len(rivals) or len(circular):
        out |= np.isin(ops.key, ops.key[np.concatenate((rivals, circular))])
    head[out] = -1
    return Blocks(thin_air, rivals, circular, head, part)


def _disorders(number: Ints, head: Ints, part: Ints, invoked: Ints, completed: Ints) -> list[Disorder]:
    """All arrays sorted by block and part."""
    stride = int(max(completed.max(), invoked.max())) + 4
    base = np.cumsum(first_of_each(head)) * stride
    latest, holder = running_maximum(base + invoked)
    part_start = last_where(first_of_each(head, part))
    before = np.where(part_start > 0, latest[np.maximum(part_start - 1, 0)], 0)
    # In the first part of a block, ``before`` is of the block before, which is below all of this one.
    wrong = np.flatnonzero(before > base + completed)
    earlier = holder[part_start[wrong] - 1]
    return [Disorder(*pair) for pair in zip(number[wrong].tolist(), number[earlier].tolist(), strict=True)]


def _conflicts(heads: Ints, base: Ints, first_done: Ints, last_begun: Ints) -> list[Conflict]:
    forward = np.flatnonzero(first_done < last_begun)
    low = base[forward] + first_done[forward]
    order = np.argsort(low)
    forward, low = forward[order], low[order]
    high = base[forward] + last_begun[forward]
    if not len(forward):
        return []
    top, holder = running_maximum(high)
    overlapping = np.flatnonzero(top[:-1] > low[1:]) + 1
    by = [holder[overlapping - 1]]
    others = [forward[overlapping]]
    backward = np.flatnonzero(first_done > last_begun)
    at = np.searchsorted(low, base[backward] + last_begun[backward]) - 1
    inside = np.flatnonzero((at >= 0) & (top[at] > base[backward] + first_done[backward]))
    by.append(holder[at[inside]])
    others.append(backward[inside])
    found, first, count = np.unique(np.concatenate(by), return_index=True, return_counts=True)
    other = np.concatenate(others)[first]
    rows = zip(heads[forward[found]].tolist(), heads[other].tolist(), count.tolist(), strict=True)
    return [Conflict(*row) for row in rows]
