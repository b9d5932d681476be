"""Eventual consistency of registers: when all is over, reads agree on a value that is not known to be overwritten.

The final reads of a key are those that began after the nemesis had healed or stopped its last fault, and after the
last acknowledged write to the key was complete. A write of unknown outcome may still take effect between them: if all
values but one are of such writes, nothing is shown. A value is known to be overwritten if another write, which was
acknowledged, began after all its writes were complete.

Linearizability implies this: after the last acknowledged write only values of unknown writes can come, and what was
overwritten in the order of time can not be read any more.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from checkers.evidence import Evidence, Told
from checkers.register.columns import READ
from checkers.register.operations import Ints, Operations
from checkers.register.words import Narrator
from harness.columns import NEMESIS_CODE
from harness.op import HEAL_ALL
from harness.verdict import Validity

_ENDS: Final = ("stop", "heal", "resume", "recover")  # how the names of those nemesis operations begin that end a fault
_TOLD: Final = 6


def eventual(history: Any, ops: Operations, evidence: Evidence) -> tuple[Validity, str]:
    """Decide it; why it is unknown comes with it."""
    healed = _healed(history)
    if healed is None:
        return "unknown", "not all faults were healed, so there are no final reads"
    keys, n = len(ops.initial), history.n
    writes = np.flatnonzero(ops.kind != READ)
    acknowledged = writes[ops.completed[writes] < n]
    settled = np.full(keys, healed)
    np.maximum.at(settled, ops.key[acknowledged], ops.completed[acknowledged])
    begun = np.full(keys, -1)
    np.maximum.at(begun, ops.key[acknowledged], ops.invoked[acknowledged])
    final = np.flatnonzero((ops.kind == READ) & (ops.invoked > settled[ops.key]))
    if not len(final):
        return "unknown", "no read began after the last write was complete and the last fault was healed"
    done = _done(ops, writes)
    narrator = Narrator(history, ops)
    verdicts: set[Validity] = set()
    order = final[np.argsort(ops.key[final], kind="stable")]
    for own in np.split(order, np.flatnonzero(np.diff(ops.key[order])) + 1):
        key = int(ops.key[own[0]])
        slots, first = np.unique(ops.slot[own], return_index=True)
        known = np.array([done.get(slot, -2) for slot in slots.tolist()])
        if int((known < n).sum()) > 1:
            evidence.add("not-converged", _differ, narrator, own[np.sort(first)].tolist())
            verdicts.add(False)
        elif len(slots) > 1 or known[0] == -2:
            verdicts.add("unknown")
        elif known[0] < begun[key]:
            evidence.add("stale-final-read", _overwritten, narrator, int(own[0]), int(known[0]), n)
            verdicts.add(False)
        else:
            verdicts.add(True)
    if False in verdicts:
        return False, ""
    return ("unknown", "final reads saw writes of unknown outcome") if "unknown" in verdicts else (True, "")


def _healed(history: Any) -> int | None:
    """Where the last fault had ended; -1 where there was none; None where the nemesis did something else after that."""
    nemesis = np.flatnonzero(history.process == NEMESIS_CODE)
    if not len(nemesis):
        return -1
    last = int(nemesis[-1])
    name = history.f_names[history.f[last]]
    return last if name == HEAL_ALL or name.startswith(_ENDS) else None


def _done(ops: Operations, writes: Ints) -> dict[int, int]:
    """Of each value, by its slot, when the last of its writes was complete; the initial one was at -1."""
    done = dict.fromkeys(ops.initial.tolist(), -1)
    for slot, completed in zip(ops.slot[writes].tolist(), ops.completed[writes].tolist(), strict=True):
        done[slot] = max(done.get(slot, -1), completed)
    return done


def _differ(narrator: Narrator, reads: list[int]) -> Told:
    text = f"when all was over, reads of {narrator.key(reads[0])} did not agree: {narrator.listed(reads)}."
    return narrator.indices(reads[:_TOLD]), text


def _overwritten(narrator: Narrator, read: int, done: int, n: int) -> Told:
    ops = narrator.ops
    of_key = (ops.key == ops.key[read]) & (ops.kind != READ) & (ops.completed < n)
    write = int(np.flatnonzero(of_key & (ops.invoked > done))[0])
    text = (
        f"when all was over, {narrator.op(read)} saw what had been overwritten: {narrator.op(write)} was acknowledged"
    )
    text += "." if done < 0 else ", and it had begun when that was complete."
    return narrator.indices([write, read]), text
