"""Linearizability of registers with unique written values, decided while the history is recorded.

Every ``block`` operations what is kept is decided by zones (``checkers.register.zones`` has the terms: a block is a
write, its reads, and the cas that follow; f is its first completion, s its last invocation). Then as much as possible
is folded away. For each key let L be the smallest invocation among its open operations, or the present. Whatever comes
later is invoked at L or later; but for writes of unknown outcome that nobody has seen, which are kept beside.

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

Where a value was written twice and seen the key is left to the check afterwards: the verdict is then "unknown".
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from checkers.models import rules_out
from checkers.register.columns import CAS, READ, REGISTER_F, WRITE, RegisterEncoder
from checkers.register.operations import Operations, seen, sources
from checkers.register.zones import Zones, zones
from harness.names import NIL
from harness.op import INFO, INVOKE, OK, Op
from harness.verdict import Anomaly, Verdict

BLOCK: Final = 8192

_NEVER: Final = 1 << 62  # completed, of what has an unknown outcome
_WIDTH: Final = 6  # kind, key, value, old, invoked, completed

Ints = NDArray[np.int64]


class _Call(NamedTuple):
    kind: int
    key: int
    value: int
    old: int
    invoked: int
    completed: int


class StreamingRegisters:
    """Follows a history of registers; ``observe`` every entry in its order.

    Attributes:
        violation: the first that was found, or None.
    """

    name = "linearizability"

    def __init__(self, block: int = BLOCK) -> None:
        """Decide what is kept every ``block`` acknowledged operations."""
        self.violation: Anomaly | None = None
        self._encoder = RegisterEncoder()
        self._block = block
        self._entries = 0
        self._open: dict[int | str, _Call] = {}
        self._unseen: dict[tuple[int, int], list[_Call]] = {}  # by key and value
        self._fresh: list[_Call] = []
        self._kept = np.zeros((0, _WIDTH), np.int64)
        self._keys: dict[int, int] = {}
        self._repeated: set[int] = set()  # keys with a value that was written twice and seen
        self._operations = 0
        self._largest = 0

    @property
    def figures(self) -> dict[str, int]:
        """Sizes of what is kept, and how much there was."""
        return {
            "operations": self._operations,
            "keys": len(self._keys),
            "kept": len(self._kept) + len(self._fresh),
            "largest_kept": self._largest,
            "open": len(self._open),
            "unseen_info": sum(map(len, self._unseen.values())),
            "keys_with_repeated_values": len(self._repeated),
        }

    def observe(self, op: Op) -> None:
        """Take the next entry of the history.

        Raises:
            ValueError: it is none of a register.
        """
        at = self._entries
        self._entries += 1
        if not op.is_client or self.violation is not None:
            return
        key, value, old = self._encoder.encode(op)[0]
        if op.type == INVOKE:
            key = self._keys.setdefault(key, len(self._keys))
            self._open[op.process] = _Call(REGISTER_F[op.f], key, value, old, at, _NEVER)
            return
        call = self._open.pop(op.process)
        self._operations += 1
        if op.type == OK:
            value = value if call.kind == READ else call.value
            self._fresh.append(call._replace(value=value, completed=at))
            if len(self._fresh) >= self._block:
                self.settle()
        elif op.type == INFO and call.kind != READ:
            self._unseen.setdefault((call.key, call.value), []).append(call)

    def finish(self) -> Verdict:
        """The verdict on all that was observed; what is open counts as of unknown outcome."""
        self.settle()
        note = ""
        if self._repeated and self.violation is None:
            note = f"{len(self._repeated)} keys have values that were written twice: the check afterwards decides them"
        valid = False if self.violation else "unknown" if self._repeated else True
        anomalies = [self.violation] if self.violation else []
        counts = {each.name: 1 for each in anomalies}
        return Verdict(self.name, valid, anomalies, counts, {"linearizable": valid}, dict(self.figures), note)

    def settle(self) -> None:
        """Decide what was observed until now, and fold it."""
        if self.violation is not None:
            return
        open_calls = [call for call in self._open.values() if call.kind != READ]
        table = np.array(self._fresh, np.int64).reshape(-1, _WIDTH)
        table = np.concatenate((self._kept, table, np.array(open_calls, np.int64).reshape(-1, _WIDTH)))
        is_open = np.zeros(len(table), bool)
        is_open[len(table) - len(open_calls) :] = True
        late = self._asked_for(table)
        table = np.concatenate((table, np.array(late, np.int64).reshape(-1, _WIDTH)))
        is_open = np.concatenate((is_open, np.zeros(len(late), bool)))
        self._fresh.clear()
        self._largest = max(self._largest, len(table))
        if self._repeated:
            own = ~np.isin(table[:, 1], list(self._repeated))
            table, is_open = table[own], is_open[own]
            late = [call for call in late if call.key not in self._repeated]
        end = self._entries
        ops = _operations(table, len(self._keys), end)
        happened = seen(ops, end)
        for call, did in zip(late, happened[len(table) - len(late) :].tolist(), strict=True):
            if not did:
                self._unseen.setdefault((call.key, call.value), []).append(call)
        table, is_open, ops = table[happened], is_open[happened], ops.where(happened)
        found = sources(ops)
        if found.ambiguous.any():
            self._repeated |= set(np.flatnonzero(found.ambiguous).tolist())
        # ``zones`` leaves the ambiguous ones out; those that were so before are gone from what is kept.
        decided = zones(ops, found, end)
        self.violation = _told(decided, table)
        if self.violation is None:
            known = ~np.isin(ops.key, list(self._repeated))
            self._kept = self._folded(table, is_open, known, decided)

    def _asked_for(self, table: Ints) -> list[_Call]:
        """Takes those out of the unseen whose values were seen, or may have been."""
        if not self._unseen:
            return []
        observed = np.where(table[:, 0] == READ, table[:, 2], table[:, 3])
        asked = [*zip(table[:, 1].tolist(), observed.tolist(), strict=True)]
        late: list[_Call] = []
        while asked:
            calls = self._unseen.pop(asked.pop(), ())
            late += calls
            asked += [(call.key, call.old) for call in calls if call.kind == CAS]
        return late

    def _folded(self, table: Ints, is_open: NDArray[np.bool_], known: NDArray[np.bool_], decided: Zones) -> Ints:
        """What must be kept of the operations that happened."""
        keys, total = len(self._keys), len(table)
        low = np.full(keys, self._entries, np.int64)
        for call in self._open.values():
            low[call.key] = min(low[call.key], call.invoked)
        key, invoked, completed = table[:, 1], table[:, 4], table[:, 5]
        head, part = decided.blocks.head, decided.blocks.part
        known = known & (head >= 0)
        table, is_open = table[known], is_open[known]
        key, invoked, completed, head, part = (each[known] for each in (key, invoked, completed, head, part))
        first, last = np.full(total + keys, _NEVER), np.full(total + keys, -2)
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
    table: Ints, head: Ints, part: Ints, low: Ints, held: NDArray[np.bool_], total: int
) -> Ints:
    """Blocks without what is behind their last closed part; ``held`` ones, of which something is open, as they are."""
    table = table.copy()
    free = ~held[head]
    closed = free & (table[:, 5] < low[table[:, 1]])
    depth = part // 2
    until = np.full(len(held), -1, np.int64)
    np.maximum.at(until, head[closed], depth[closed])
    behind = free & (depth < until[head])
    now = free & (depth == until[head])
    into = behind | (now & closed) | (now & (part % 2 == 0))
    first, last = np.full(len(held), _NEVER), np.full(len(held), -2)
    first[total:] = -1
    np.minimum.at(first, head[into], table[into, 5])
    np.maximum.at(last, head[into], table[into, 4])
    new = now & (part % 2 == 0)
    table[new, 4], table[new, 5] = last[head[new]], first[head[new]]
    table[new, 0], table[new, 3] = WRITE, NIL
    # The beginning of a key has no row: one read of the initial value stands for all.
    of_beginning = np.flatnonzero(now & closed & (depth == 0) & (head >= total))
    of_beginning = of_beginning[table[of_beginning, 4] == last[head[of_beginning]]]
    keep = ~into | new
    keep[of_beginning] = True
    return table[keep]


def _operations(table: Ints, keys: int, end: int) -> Operations:
    values = np.concatenate((table[:, 2], table[:, 3], np.array([NIL], np.int64)))
    dense = np.unique(values, return_inverse=True)[1].astype(np.int64)
    stride, n = int(dense.max()) + 1, len(table)
    return Operations(
        table[:, 0].astype(np.int8),
        table[:, 1],
        table[:, 1] * stride + dense[:n],
        table[:, 1] * stride + dense[n:-1],
        table[:, 4],
        np.minimum(table[:, 5], end),
        np.zeros(n, np.int64),
        np.arange(keys, dtype=np.int64) * stride + dense[-1],
    )


def _told(decided: Zones, table: Ints) -> Anomaly | None:
    blocks = decided.blocks
    at = np.maximum(table[:, 4], 0)
    if len(blocks.thin_air):
        name, concerned = "ThinAirRead", blocks.thin_air[:1]
        why = "saw what nobody wrote, what a failed operation would have written, or what had been overwritten before"
    elif len(blocks.rivals):
        name, concerned, why = "double-cas", blocks.rivals[:2], "replaced the same value, which was written once"
    elif len(blocks.circular):
        name, concerned, why = "CyclicCO", blocks.circular[:4], "replaced each other's values in a circle"
    elif decided.disorders:
        name, concerned = "non-linearizable", np.array(decided.disorders[0])
        why = "fit no order: the first had completed before the other began, which must come before it"
    elif decided.conflicts:
        name, blocks_of = "non-linearizable", decided.conflicts[0][:2]
        members = [np.flatnonzero(blocks.head == head) for head in blocks_of]
        last = [each[np.argmax(table[each, 4])] for each in members if len(each)]
        concerned = np.array([*blocks_of, *last])
        why = "fit no order: each must come before the other, by what was read and by time"
    else:
        return None
    concerned = concerned[concerned < len(at)]
    indices = sorted({int(index) for index in at[concerned]})
    told = ", ".join(str(index) for index in indices) or "none"
    return Anomaly(name, indices, f"the operations begun at index {told} {why}.", rules_out=rules_out(name))
