"""Takes away what a harness that died has left in force, from its journal alone.

Nobody knows then what of an entry came about: it was written before its fault. So nothing is undone step by step. Each
resource that is named is brought back to normal, whatever state it is in, which is harmless where nothing was wrong.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import msgspec

from cluster.api import Evidence, Faults
from harness.journal import JournalEntry
from nemesis.effect import Effect, Resource, budget_s, settle

ROUNDS: Final = 2  # the second for what could not be shown to be right while other things were still wrong
# Servers come up only if they hear each other, clocks can be set only of those that run, stores leave a PD that serves.
_ORDER: Final = ("cut", "network", "process", "wall", "rate", "monotonic", "shuffle", "membership")


class Recovery(msgspec.Struct):
    """What became of the entries of a journal.

    Attributes:
        undone: for each resource that is normal again, its name.
        failures: for each that is not, or not for sure, one sentence.
        evidence: what was measured, by resource.
    """

    undone: list[str] = []
    failures: list[str] = []
    evidence: dict[str, Evidence] = {}


async def heal(entries: Sequence[JournalEntry], faults: Faults, strike_out: Callable[[int], None]) -> Recovery:
    """Bring everything back to normal that the entries name. Never raises, but for a cancellation.

    Args:
        entries: those that are open, the newest first (``harness.journal.open_entries``).
        faults: of the cluster, which need not know what was in force.
        strike_out: called with the number of each entry of which everything is normal again (``Journal.undone``).
    """
    recovery = Recovery()
    held: dict[Resource, list[Effect]] = {}
    wanted: dict[int, list[Resource]] = {}
    for entry in entries:
        try:
            effects = msgspec.convert(entry.undo.get("effects", []), list[Effect])
        except msgspec.ValidationError as error:
            recovery.failures.append(f"entry {entry.id} ({entry.fault}) cannot be read: {error}")
            continue
        wanted[entry.id] = [effect.resource for effect in effects]
        for effect in effects:
            held.setdefault(effect.resource, []).append(effect)
    wrong = await _bring_back(held, faults, recovery)
    for entry_id, resources in wanted.items():
        if not any(resource in wrong for resource in resources):
            try:
                strike_out(entry_id)
            except Exception as error:  # noqa: BLE001 (it is healed all the same)
                recovery.failures.append(f"entry {entry_id} is undone, but: {error}")
    return recovery


async def _bring_back(held: dict[Resource, list[Effect]], faults: Faults, recovery: Recovery) -> dict[Resource, str]:
    """Bring them back in order; return those that are not normal, or not for sure, each with what is wrong."""
    wrong = dict.fromkeys(sorted(held, key=lambda resource: _ORDER.index(resource[0])), "")
    for _ in range(ROUNDS):
        for resource in list(wrong):
            try:
                async with asyncio.timeout(budget_s(resource)):
                    evidence = await _normal(faults, resource, held[resource])
            except TimeoutError:
                wrong[resource] = f"it took more than {budget_s(resource):g} s"
            except Exception as error:  # noqa: BLE001 (one that cannot be undone must not keep the others)
                wrong[resource] = f"{type(error).__name__}: {error}"
            else:
                recovery.evidence[_name(resource)] = evidence
                if evidence.verified:
                    del wrong[resource]
                else:
                    wrong[resource] = f"it could not be shown to be normal again: {evidence.measured}"
    recovery.undone += [_name(resource) for resource in held if resource not in wrong]
    recovery.failures += [f"{_name(resource)}: {why}" for resource, why in wrong.items()]
    return wrong


def _name(resource: Resource) -> str:
    return " ".join(resource)


async def _normal(faults: Faults, resource: Resource, effects: Sequence[Effect]) -> Evidence:
    """Bring one resource, to which ``effects`` may have been done, back to normal."""
    if resource[0] == "process":
        return await _running(faults, resource[1])
    if resource[0] == "monotonic" and faults.restart_resets_clocks:
        # A step that was perhaps never made must not be taken back; a new process has the right time for certain.
        await faults.kill(resource[1])
        return await faults.start(resource[1])
    return await settle(faults, resource, effects, [])


async def _running(faults: Faults, node: str) -> Evidence:
    """Whether it is dead, frozen or neither nobody knows."""
    with suppress(Exception):  # there may be no process to resume; whether all is well the start decides
        await faults.resume(node)
    return await faults.start(node)
