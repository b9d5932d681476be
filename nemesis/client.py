"""Carries out the nemesis's operations: finds the targets, journals, injects, undoes, and at the end heals everything.

Nothing that goes wrong here is raised: a fault that could not be put in place is reported with its operation, and what
could not be undone stays in the ledger and is tried again by ``heal_all``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec

from cluster.api import Cluster, Evidence
from harness.generator import at_times
from harness.op import HEAL_ALL, INFO, NEMESIS, Op
from harness.protocols import Generator
from nemesis.effect import Dead, Effect, merge_evidence
from nemesis.fault import ClientProcesses, InstantFault, LastingFault, NotApplicable, Scene, World
from nemesis.ledger import Holding, Ledger
from nemesis.registry import FAULTS
from nemesis.schedule import Schedule
from nemesis.timetable import Timetable

HEAL_ATTEMPTS: Final = 3
PATIENCE: Final = 5.0  # so many times longer than in the simulation a real cluster may take for everything


class FaultJournal(Protocol):
    """Where a fault is written down before it is put in place (``harness.journal.Journal``)."""

    def begin(self, fault: str, undo: dict[str, Any]) -> int:
        """Write it down, safely; return its number."""
        ...

    def undone(self, entry: int) -> None:
        """Write down that it is gone."""
        ...


class Healing(msgspec.Struct):
    """What became of ``heal_all``.

    Attributes:
        healed: the ids of the faults that were still in force and are not any more.
        failures: for each fault that could not be undone one sentence.
        evidence: what was measured.
    """

    healed: list[int]
    failures: list[str]
    evidence: Evidence


class NemesisClient:
    """The nemesis's ``harness.protocols.Client``. One operation at a time.

    Args:
        cluster: whose faults are used.
        schedule: the faults of the main phase.
        keys: the workload's keys, which plans name by number.
        split_keys: where regions begin from the start.
        journal: where faults are written down first; None where nothing outlives the process.
        clients: the processes of clients, which are killed too; None where there are none.
    """

    def __init__(
        self,
        cluster: Cluster,
        schedule: Schedule,
        keys: Sequence[bytes],
        split_keys: Sequence[bytes],
        journal: FaultJournal | None = None,
        *,
        clients: ClientProcesses | None = None,
    ) -> None:
        self._faults = cluster.faults
        self._schedule = schedule
        self._world = World.of(cluster.nodes, keys, split_keys)
        self._keys = keys
        self._boundaries = set(self._world.boundaries)
        self._journal = journal
        self._clients = clients
        self._patience = 1.0 if cluster.deterministic else PATIENCE
        self._entries: dict[int, int] = {}  # of faults in the journal
        self._ledger = Ledger(cluster.faults)
        self._doubtful: dict[int, Holding] = {}  # undone, but nothing showed it; by entry in the journal

    def generator(self) -> Generator:
        """The operations of the main phase, at their times from when it is first asked."""
        return Timetable(self._schedule)

    def healing(self) -> Generator:
        """The one operation that ends the fault phase."""
        return at_times([(0, Op(-1, 0, NEMESIS, INFO, HEAL_ALL, {}))])

    async def invoke(self, op: Op) -> Op:
        """Do it; return the completion, with ``targets`` and ``evidence`` in its value."""
        if op.f == HEAL_ALL:
            healing = await self.heal_all()
            value = {"healed": healing.healed, "targets": [], "evidence": msgspec.to_builtins(healing.evidence)}
            return self._completion(op, value, "; ".join(healing.failures))
        verb, _, kind = op.f.partition("-")
        value = dict(op.value)
        try:
            if verb == "start" and isinstance(fault := FAULTS.get(kind), LastingFault):
                targets, evidence = await self._start(fault, value)
            elif verb == "stop" and kind in FAULTS:
                targets, evidence = await self._stop(value["id"])
            elif isinstance(fault := FAULTS.get(op.f), InstantFault):
                targets, evidence = await self._strike(fault, value)
            else:
                return self._failed(op, f"no such fault: {op.f}")
        except NotApplicable as reason:
            return self._failed(op, str(reason))
        except Exception as error:  # noqa: BLE001 (whatever it is, the run goes on and the healing will come)
            return self._failed(op, f"{type(error).__name__}: {error}")
        value |= {"targets": targets, "evidence": msgspec.to_builtins(evidence)}
        happened = evidence.verified or op.f not in FAULTS
        return self._completion(op, value, "" if happened else "it did not come about")

    def in_force(self) -> list[Holding]:
        """The faults in force now, the oldest first."""
        return list(self._ledger.holdings.values())

    async def heal_all(self) -> Healing:
        """Undo everything that is still in force, the newest first. Never raises, but for a cancellation.

        To be called when no operation of the nemesis is under way.
        """
        healed: list[int] = []
        evidence: list[tuple[str, Evidence]] = []
        failures: dict[int, str] = {}
        for _ in range(HEAL_ATTEMPTS):
            for holding in reversed(self.in_force()):
                try:
                    evidence.append((f"{holding.kind} {holding.id}", (await self._undo(holding))))
                except Exception as error:  # noqa: BLE001 (one that cannot be undone must not keep the others)
                    failures[holding.id] = f"{holding.kind} {holding.id}: {type(error).__name__}: {error}"
                else:
                    healed.append(holding.id)
                    failures.pop(holding.id, None)
        for entry, holding in reversed(list(self._doubtful.items())):
            name = f"{holding.kind} {holding.id}"
            try:
                evidence.append((name, again := await self._make_sure(entry, holding)))
            except Exception as error:  # noqa: BLE001 (as above)
                failures[holding.id] = f"{name}: {type(error).__name__}: {error}"
            else:
                if not again.verified:
                    failures[holding.id] = f"{name} could not be shown to be undone"
        merged = merge_evidence(evidence) if evidence else Evidence(verified=True)
        merged.verified = merged.verified and not failures
        return Healing(healed, list(failures.values()), merged)

    async def close(self) -> None:
        """Heal what is still in force, if the run was cut short: it must not outlive the test."""
        await self.heal_all()

    # The operations.

    async def _start(self, fault: LastingFault, value: Mapping[str, Any]) -> tuple[list[str], Evidence]:
        await self._undo_earlier_try(value["id"])
        injection = fault.inject(dict(value), await self._scene())
        holding = Holding(value["id"], fault.kind, injection.targets, [])
        self._write_down(holding, injection.effects)
        return injection.targets, await self._ledger.inject(holding, injection.effects)

    async def _undo_earlier_try(self, fault_id: int) -> None:
        """It may have done a part of what it was to do."""
        if fault_id in self._ledger.holdings:
            await self._undo(self._ledger.holdings[fault_id])

    def _write_down(self, holding: Holding, effects: Sequence[Effect]) -> None:
        if self._journal is not None:
            undo = {"effects": msgspec.to_builtins(effects)}
            self._entries[holding.id] = self._journal.begin(holding.kind, undo)

    async def _stop(self, fault_id: int) -> tuple[list[str], Evidence]:
        holding = self._ledger.holdings.get(fault_id)
        if holding is None:
            return [], Evidence(verified=True, measured={"in_force": False})
        return holding.targets, await self._undo(holding)

    async def _undo(self, holding: Holding) -> Evidence:
        effects = list(holding.effects)
        evidence = await self._ledger.undo(holding)
        entry = self._entries.pop(holding.id, None)
        if evidence.verified:
            self._strike_out(entry)
        elif entry is not None:
            self._doubtful[entry] = msgspec.structs.replace(holding, effects=effects)
        return evidence

    async def _make_sure(self, entry: int, holding: Holding) -> Evidence:
        """Undo it once more; what stays in doubt stays in the journal."""
        evidence = await self._ledger.undo_again(holding.effects)
        if evidence.verified:
            del self._doubtful[entry]
            self._strike_out(entry)
        return evidence

    def _strike_out(self, entry: int | None) -> None:
        if self._journal is not None and entry is not None:
            self._journal.undone(entry)

    async def _strike(self, fault: InstantFault, value: Mapping[str, Any]) -> tuple[list[str], Evidence]:
        await self._undo_earlier_try(value["id"])
        scene = await self._scene()
        effects = fault.may_leave(dict(value), scene)
        if not effects:
            return await self._strike_within_budget(fault, value, scene)
        holding = Holding(value["id"], fault.kind, [])
        self._write_down(holding, effects)
        self._ledger.expect(holding, effects)
        try:
            targets, evidence = await self._strike_within_budget(fault, value, scene)
        except Exception:
            await self._undo(holding)  # after a cancellation heal_all does it
            raise
        if not evidence.verified:
            undone = await self._undo(holding)
            return targets, Evidence(verified=False, measured={**evidence.measured, "undone": undone.measured})
        self._ledger.forget(holding)
        self._strike_out(self._entries.pop(holding.id, None))
        restarted = {effect.node for effect in effects if isinstance(effect, Dead)}
        renewed = await self._ledger.renew_clocks([node for node in targets if node in restarted])
        return targets, merge_evidence([(fault.kind, evidence), ("clocks", renewed)]) if renewed else evidence

    async def _strike_within_budget(
        self, fault: InstantFault, value: Mapping[str, Any], scene: Scene
    ) -> tuple[list[str], Evidence]:
        async with asyncio.timeout(fault.budget_s(self._world) * self._patience):
            return await fault.strike(dict(value), scene)

    async def _scene(self) -> Scene:
        await self._faults.look()
        holdings = reversed(self.in_force())
        cut_off = [node for holding in holdings if holding.kind == "partition" for node in holding.targets[:1]]
        return Scene(
            faults=self._faults,
            world=self._world,
            keys=self._keys,
            down=self._ledger.down(),
            isolated=[node for node in cut_off if node in self._world.stores],
            boundaries=self._boundaries,
            clients=self._clients,
            patience=self._patience,
        )

    def _failed(self, op: Op, error: str) -> Op:
        value = {**op.value, "targets": [], "evidence": {"verified": False, "measured": {}}}
        return self._completion(op, value, error)

    def _completion(self, op: Op, value: dict[str, Any], error: str) -> Op:
        if error:
            value["error"] = error
        return op.replace(type=INFO, value=value, error=error or None)
