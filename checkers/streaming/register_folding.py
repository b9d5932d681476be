"""How much of a history of registers a running check may forget, and why no later verdict needs it.

``checkers.register.zones`` has the terms: a block is a write, its reads, and the cas that follow; f is its first
completion, s its last invocation. For each key let L be the smallest invocation among its open operations, or the
present. Whatever comes later is invoked at L or later; but for writes of unknown outcome that nobody has seen, which
are kept beside.

- Let the top be the block with the greatest s among those with f < L. Any other block B with f(B) < L and
  f(B) < s(top) comes before the top. A new member of B would be invoked after f(top), so the top would come before B,
  too: a violation. So B gets no new member, and can be forgotten: who sees its values later sees what nobody wrote, and
  is rightly refused.
- Nothing that B would still forbid is lost. Let a block X be refused by B later: f(X) < s(B) and f(B) < s(X). f(X)
  never falls, and what completes later does so after s(B), so f(X) < s(B) is true now, and only s(X) grows, by a new
  member invoked at L or later. As s(B) <= s(top), f(X) < s(top), and f(top) < L: the top refuses X in its place. (X is
  not the top, or B and the top would contradict each other now.) A new top has a greater s, and its f is below the
  new L, so what is said of the top holds of the next one.
- In a block whose parts are in order let q be the greatest part with an operation completed before L. Anything new in a
  part before q would complete, or be invoked, against the order. So all before q is dropped, and q's own write
  becomes the head; its closed reads, and what is dropped, are put into its interval: it ends with the first of them
  and begins with the last. f and s stay what they were. No disorder comes of that: all of them are invoked before L,
  and all that stays completes at L or later.

A write of unknown outcome that shows up late is a block of its own and enters with all its interval, so the above
holds of it; a cas of unknown outcome whose expected value was forgotten would join a block that takes no members.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from checkers.register.columns import WRITE
from checkers.register.operations import Bools, Ints
from checkers.register.zones import Zones
from harness.names import NIL

# Columns of a table of operations; keys are numbered from 0.
KIND, KEY, VALUE, OLD, INVOKED, COMPLETED, WIDTH = range(7)
NEVER: Final = 1 << 62  # completed, of what has an unknown outcome


def folded(table: Ints, is_open: Bools, known: Bools, decided: Zones, low: Ints) -> Ints:
    """What must be kept of the operations that happened.

    Args:
        table: the operations.
        is_open: which of them are open.
        known: which are of keys that are decided.
        decided: their blocks, without contradictions.
        low: of each key, L.
    """
    keys, total = len(low), len(table)
    key, invoked, completed = table[:, KEY], table[:, INVOKED], table[:, COMPLETED]
    head, part = decided.blocks.head, decided.blocks.part
    known = known & (head >= 0)
    table, is_open = table[known], is_open[known]
    key, invoked, completed, head, part = (each[known] for each in (key, invoked, completed, head, part))
    first, last = np.full(total + keys, NEVER), np.full(total + keys, -2)
    first[total:] = -1
    np.minimum.at(first, head, completed)
    np.maximum.at(last, head, invoked)
    held = np.zeros(total + keys, bool)
    held[head[is_open]] = True

    key_of = np.zeros(total + keys, np.int64)
    key_of[total:] = np.arange(keys)
    key_of[head] = key
    exists = np.zeros(total + keys, bool)
    exists[total:] = True
    exists[head] = True
    fit = np.flatnonzero(exists & (first < low[key_of]))
    fit = fit[np.lexsort((last[fit], key_of[fit]))]
    top = np.full(keys, -1, np.int64)
    top[key_of[fit]] = fit  # the last one assigned has the greatest s
    gone = np.zeros(total + keys, bool)
    gone[fit] = (fit != top[key_of[fit]]) & (first[fit] < last[top[key_of[fit]]])
    gone &= ~held
    stays = ~gone[head] & ~is_open
    return _trimmed(table[stays], head[stays], part[stays], low, held, total)


def _trimmed(  # noqa: PLR0917 (columns)
    table: Ints, head: Ints, part: Ints, low: Ints, held: Bools, total: int
) -> Ints:
    """Blocks without what is behind their last closed part; ``held`` ones, of which something is open, as they are."""
    table = table.copy()
    free = ~held[head]
    closed = free & (table[:, COMPLETED] < low[table[:, KEY]])
    depth = part // 2
    until = np.full(len(held), -1, np.int64)
    np.maximum.at(until, head[closed], depth[closed])
    behind = free & (depth < until[head])
    now = free & (depth == until[head])
    into = behind | (now & closed) | (now & (part % 2 == 0))
    first, last = np.full(len(held), NEVER), np.full(len(held), -2)
    first[total:] = -1
    np.minimum.at(first, head[into], table[into, COMPLETED])
    np.maximum.at(last, head[into], table[into, INVOKED])
    new = now & (part % 2 == 0)
    table[new, INVOKED], table[new, COMPLETED] = last[head[new]], first[head[new]]
    table[new, KIND], table[new, OLD] = WRITE, NIL
    # The beginning of a key has no row: one read of the initial value stands for all.
    of_beginning = np.flatnonzero(now & closed & (depth == 0) & (head >= total))
    of_beginning = of_beginning[table[of_beginning, INVOKED] == last[head[of_beginning]]]
    keep = ~into | new
    keep[of_beginning] = True
    return table[keep]
