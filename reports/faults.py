"""The faults of a run as its history tells them: what was asked, what was measured, how long it hurt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from harness.op import HEAL_ALL, Op

BEYOND = frozenset({"clock-step", "stale-lease"})  # more than the system promises to survive


class Recovery(msgspec.Struct, frozen=True):
    """How the threads came back after the end of a fault: each by the first ok of an operation begun after it.

    A thread goes on under a new process number after an ``info``. Only threads that tried anything afterwards count.

    Attributes:
        first_ns: from the end of the fault until the first thread was back; None if none was.
        median_ns: of those that came back, the middle one (nearest rank).
        last_ns: until the last of them was back.
        last_thread: which that was (the lowest, of several).
        back: how many came back.
        never: how many tried and had no ok any more.
    """

    first_ns: int | None
    median_ns: int | None
    last_ns: int | None
    last_thread: int | None
    back: int
    never: int


class Fault(msgspec.Struct):
    """One injected fault.

    Attributes:
        kind: ``partition``, ``kill`` ...
        start_ns: when it was being put in place.
        end_ns: when its removal was complete; of an instantaneous one, when it was done.
        lasting: it was there for a while, and was then removed.
        healed: it was removed before the history ended (always so for an instantaneous one).
        targets: names of nodes.
        plan: what was to be done.
        measured: what was measured when it was put in place.
        verified: that shows that it was there.
        removal: what was measured when it was removed; empty if nothing was, or for an instantaneous one.
        removal_verified: that shows that it is gone; None if nothing was said about it.
        error: why it could not be done, or None.
        attempts: how often it was tried; what is here is of the last time.
        recovery: how the threads came back after it; None where it did not end, or did not come about.
    """

    kind: str
    start_ns: int
    end_ns: int
    lasting: bool
    healed: bool
    targets: list[str]
    plan: dict[str, Any]
    measured: dict[str, Any]
    verified: bool
    removal: dict[str, Any] = {}
    removal_verified: bool | None = None
    error: Any = None
    attempts: int = 1
    recovery: Recovery | None = None

    @property
    def beyond(self) -> bool:
        """Whether a sound system may break under it."""
        return self.kind in BEYOND

    @property
    def recovered_ns(self) -> int | None:
        """From its end to the first ok of an operation invoked after it, None if there is none."""
        return None if self.recovery is None else self.recovery.first_ns


def read_faults(ops: Sequence[Op], end: int) -> list[Fault]:
    """Pair the nemesis operations: invocation with completion by ``f`` and id, start with stop by kind and id.

    A fault that could not be put in place and was tried again is one fault: the last attempt.

    Args:
        ops: those of the nemesis, in order.
        end: time of the last entry of the history, ns.
    """
    found: dict[tuple[str, str], Fault] = {}
    begun: dict[tuple[str, str], Op] = {}
    lasting: dict[tuple[str, str], Fault] = {}
    for op in ops:
        key = (op.f, _identity(op))
        invocation = begun.pop(key, None)
        if invocation is None:
            begun[key] = op
            continue
        if op.f == HEAL_ALL:
            measured, verified = _evidence(op)
            for (kind, identity), fault in lasting.items():
                alone = measured if len(lasting) == 1 else {}
                _remove(fault, op, measured.get(f"{kind} {identity}", alone), verified)
            lasting.clear()
        elif op.f.startswith("stop-"):
            if op.error is None and (fault := lasting.pop((op.f.removeprefix("stop-"), key[1]), None)):
                _remove(fault, op, *_evidence(op))
        else:
            fault = _fault(invocation, op, end)
            slot = _slot(op)
            fault.attempts += found[slot].attempts if slot in found else 0
            found[slot] = fault
            if fault.lasting and fault.error is None:
                lasting[fault.kind, key[1]] = fault
    # An invocation that never completed: the harness died or was interrupted while it put the fault in place.
    unheard = [op for op in begun.values() if op.f != HEAL_ALL and not op.f.startswith("stop-")]
    found |= {_slot(op): _fault(op, None, end) for op in unheard}
    return sorted(found.values(), key=lambda fault: fault.start_ns)


def in_force(faults: Sequence[Fault], begin: int, end: int) -> list[Fault]:
    """Those that were there, or came about, at any time from ``begin`` to ``end``; not those that failed."""
    return [fault for fault in faults if fault.error is None and fault.start_ns <= end and fault.end_ns >= begin]


def _remove(fault: Fault, op: Op, measured: Any, verified: bool | None) -> None:
    fault.end_ns, fault.healed = op.time, True
    fault.removal = measured if isinstance(measured, dict) else {}
    fault.removal_verified = verified


def _identity(op: Op) -> str:
    return repr(op.value.get("id")) if isinstance(op.value, dict) else ""


def _slot(op: Op) -> tuple[str, str]:
    """What the attempts at one fault have in common; without an id each is alone."""
    return (op.f, _identity(op)) if isinstance(op.value, dict) and "id" in op.value else (op.f, f"at {op.index}")


def _evidence(op: Op) -> tuple[dict[str, Any], bool | None]:
    """What was measured, and whether that shows it; None where nothing was said."""
    evidence = op.value.get("evidence") if isinstance(op.value, dict) else None
    if not isinstance(evidence, dict):
        return {}, None
    measured, verified = evidence.get("measured"), evidence.get("verified")
    return (
        measured if isinstance(measured, dict) else {},
        verified if isinstance(verified, bool) else None,
    )


def _fault(invocation: Op, completion: Op | None, end: int) -> Fault:
    lasting = invocation.f.startswith("start-")
    plan = invocation.value if isinstance(invocation.value, dict) else {}
    value = completion.value if completion is not None and isinstance(completion.value, dict) else {}
    measured, verified = ({}, None) if completion is None else _evidence(completion)
    targets = value.get("targets")
    error = "it was never reported as done" if completion is None else completion.error or value.get("error")
    over = completion is not None and (not lasting or error is not None)
    return Fault(
        kind=invocation.f.removeprefix("start-"),
        start_ns=invocation.time,
        end_ns=completion.time if completion is not None and over else end,
        lasting=lasting,
        healed=over,
        targets=[str(target) for target in targets] if isinstance(targets, list) else [],
        plan={key: item for key, item in plan.items() if key not in ("id", "targets", "evidence")},
        measured=measured,
        verified=verified is True and error is None,
        error=error,
    )
