"""Linearizability of registers with unique written values, decided while the history is recorded.

Every ``block`` operations what is kept is decided by zones (``checkers.register.zones`` has the terms: a block is a
write, its reads, and the cas that follow; f is its first completion, s its last invocation). Then as much as possible
is folded away (``checkers.streaming.register_folding`` has what, and why no later verdict needs it).

Where a value was written twice and seen the key is left to the check afterwards: the verdict is then "unknown".
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from checkers.models import rules_out
from checkers.register.columns import CAS, READ, REGISTER_F, RegisterEncoder
from checkers.register.operations import Ints, Operations, seen, sources
from checkers.register.zones import Zones, zones
from checkers.streaming.ending import ending
from checkers.streaming.register_folding import COMPLETED, INVOKED, KEY, KIND, NEVER, OLD, VALUE, WIDTH, folded
from harness.names import NIL
from harness.op import INFO, INVOKE, OK, Op
from harness.verdict import Anomaly, Verdict

BLOCK: Final = 8192


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
        self._kept = np.zeros((0, WIDTH), np.int64)
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
            self._open[op.process] = _Call(REGISTER_F[op.f], key, value, old, at, NEVER)
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
        twice = len(self._repeated)
        left_open = (
            f"{twice} keys have values that were written twice: the check afterwards decides them" if twice else ""
        )
        return ending(self.name, "linearizable", self.violation, left_open, self.figures)

    def settle(self) -> None:
        """Decide what was observed until now, and fold it."""
        if self.violation is not None:
            return
        open_calls = [call for call in self._open.values() if call.kind != READ]
        table = np.array(self._fresh, np.int64).reshape(-1, WIDTH)
        table = np.concatenate((self._kept, table, np.array(open_calls, np.int64).reshape(-1, WIDTH)))
        is_open = np.zeros(len(table), bool)
        is_open[len(table) - len(open_calls) :] = True
        late = self._asked_for(table)
        table = np.concatenate((table, np.array(late, np.int64).reshape(-1, WIDTH)))
        is_open = np.concatenate((is_open, np.zeros(len(late), bool)))
        self._fresh.clear()
        self._largest = max(self._largest, len(table))
        if self._repeated:
            own = ~np.isin(table[:, KEY], list(self._repeated))
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
            self._kept = folded(table, is_open, known, decided, self._low())

    def _low(self) -> Ints:
        """Of each key, the smallest invocation among its open operations, or the present."""
        low = np.full(len(self._keys), self._entries, np.int64)
        for call in self._open.values():
            low[call.key] = min(low[call.key], call.invoked)
        return low

    def _asked_for(self, table: Ints) -> list[_Call]:
        """Takes those out of the unseen whose values were seen, or may have been."""
        if not self._unseen:
            return []
        observed = np.where(table[:, KIND] == READ, table[:, VALUE], table[:, OLD])
        asked = [*zip(table[:, KEY].tolist(), observed.tolist(), strict=True)]
        late: list[_Call] = []
        while asked:
            calls = self._unseen.pop(asked.pop(), ())
            late += calls
            asked += [(call.key, call.old) for call in calls if call.kind == CAS]
        return late


def _operations(table: Ints, keys: int, end: int) -> Operations:
    values = np.concatenate((table[:, VALUE], table[:, OLD], np.array([NIL], np.int64)))
    dense = np.unique(values, return_inverse=True)[1].astype(np.int64)
    stride, n = int(dense.max()) + 1, len(table)
    return Operations(
        table[:, KIND].astype(np.int8),
        table[:, KEY],
        table[:, KEY] * stride + dense[:n],
        table[:, KEY] * stride + dense[n:-1],
        table[:, INVOKED],
        np.minimum(table[:, COMPLETED], end),
        np.zeros(n, np.int64),
        np.arange(keys, dtype=np.int64) * stride + dense[-1],
    )


def _told(decided: Zones, table: Ints) -> Anomaly | None:
    blocks = decided.blocks
    at = np.maximum(table[:, INVOKED], 0)
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
        last = [each[np.argmax(table[each, INVOKED])] for each in members if len(each)]
        concerned = np.array([*blocks_of, *last])
        why = "fit no order: each must come before the other, by what was read and by time"
    else:
        return None
    concerned = concerned[concerned < len(at)]
    indices = sorted({int(index) for index in at[concerned]})
    told = ", ".join(str(index) for index in indices) or "none"
    return Anomaly(name, indices, f"the operations begun at index {told} {why}.", rules_out=rules_out(name))
