"""What is in force on the cluster now, who holds it, and the way back.

An effect is entered before it is injected and struck out only after its removal has succeeded. So whatever happens in
between, an error or a cancellation, it will be undone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from cluster.api import Evidence, Faults
from harness.clock import SECOND
from harness.together import all_of
from nemesis.effect import (
    CLOCKS,
    Dead,
    Effect,
    Paused,
    Resource,
    Skewed,
    Stepped,
    budget_s,
    label,
    merge_evidence,
    settle,
)


class Holding(msgspec.Struct):
    """A fault in force.

    Attributes:
        id: of the planned fault.
        kind: of which kind it is.
        targets: the nodes it was aimed at.
        effects: what of it is in force, in the order of injection.
    """

    id: int
    kind: str
    targets: list[str]
    effects: list[Effect] = []


class Ledger:
    """The effects in force, by holder, and the strobes that run."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._order: list[tuple[int, Effect]] = []  # of all holders together, as injected
        self._strobes: dict[str, _Strobe] = {}
        self._measuring = 0  # calls under way, during which no strobe may flip a clock
        self._in_doubt: set[Resource] = set()  # of processes' resources those not shown to be as they were told to be
        self.holdings: dict[int, Holding] = {}

    def down(self) -> dict[str, str]:
        """The nodes whose process is held, each with ``paused`` or ``dead``."""
        held: dict[str, str] = {}
        for _, effect in self._order:
            if effect.resource[0] == "process":
                word = "paused" if isinstance(effect, Paused) else "dead"
                held[effect.resource[1]] = "dead" if "dead" in (word, held.get(effect.resource[1])) else word
        return held

    async def inject(self, holding: Holding, effects: Sequence[Effect]) -> Evidence:
        """Put ``effects`` in force for ``holding``, all at the same moment.

        Raises:
            Exception: the first error. Nobody knows then what of it is in force; ``undo`` takes all of it away.
        """
        self.holdings[holding.id] = holding
        return await _together([(label(effect), self._add(holding, effect)) for effect in effects])

    def expect(self, holding: Holding, effects: Sequence[Effect]) -> None:
        """Enter ``effects`` that may come into force while something is done; ``undo`` takes them away."""
        self.holdings[holding.id] = holding
        holding.effects += effects
        self._order += [(holding.id, effect) for effect in effects]

    def forget(self, holding: Holding) -> None:
        """Strike out what was expected and is known not to be in force."""
        del self.holdings[holding.id]
        self._order = [entry for entry in self._order if entry[0] != holding.id]

    async def renew_clocks(self, nodes: Sequence[str]) -> Evidence | None:
        """Put what is in force on the clocks of processes that have just started in force again; None: nothing is.

        A process that starts is back at true time, unless clocks are the host's.
        """
        if not self._faults.restart_resets_clocks:
            return None
        parts = [part for node in nodes for part in await self._renew(node)]
        return merge_evidence(parts) if parts else None

    async def _renew(self, node: str, steps: Sequence[Effect] | None = None) -> list[tuple[str, Evidence]]:
        """Put on the clocks of a process that has true time what is in force; of the monotonic ones ``steps``."""
        parts: list[tuple[str, Evidence]] = []
        for resource in ((clock, node) for clock in CLOCKS):
            effects = self._on(resource) if steps is None or resource[0] != "monotonic" else steps
            if effects:
                parts.append((" ".join(resource), await self._to(resource, [], effects)))
        return parts

    async def undo(self, holding: Holding) -> Evidence:
        """Take all effects of ``holding`` away. What fails stays in the ledger.

        Raises:
            Exception: the first error, after everything else was undone.
        """
        effects = list(reversed(holding.effects))
        evidence = await _together([(label(effect), self._remove(holding, effect)) for effect in effects])
        del self.holdings[holding.id]
        return evidence

    async def undo_again(self, effects: Sequence[Effect]) -> Evidence:
        """Take effects away that are not in the ledger any more, but may still be in force.

        A step of a monotonic clock that was shown to be undone is left alone: a second time would be a step, too.
        """
        left = [each for each in reversed(effects) if not isinstance(each, Stepped) or each.resource in self._in_doubt]
        return await _together([(label(each), self._settle(each, [each], self._on(each.resource))) for each in left])

    async def _add(self, holding: Holding, effect: Effect) -> Evidence:
        before = self._on(effect.resource)
        holding.effects.append(effect)
        self._order.append((holding.id, effect))
        return await self._settle(effect, before, [*before, effect])

    async def _remove(self, holding: Holding, effect: Effect) -> Evidence:
        before = self._on(effect.resource)
        entry = (holding.id, effect)
        after = [other for other in self._entries(effect.resource) if other != entry]
        evidence = await self._settle(effect, before, [other for _, other in after])
        self._order.remove(entry)
        holding.effects.remove(effect)
        return evidence

    def _entries(self, resource: Resource) -> list[tuple[int, Effect]]:
        return [entry for entry in self._order if entry[1].resource == resource]

    def _on(self, resource: Resource) -> list[Effect]:
        return [effect for _, effect in self._entries(resource)]

    async def _settle(self, effect: Effect, before: list[Effect], after: list[Effect]) -> Evidence:
        strobe = self._strobes.pop(effect.node, None) if isinstance(effect, Skewed) else None
        async with asyncio.timeout(budget_s(effect.resource)):
            flips = await strobe.end() if strobe else None
            self._measuring += 1
            try:
                evidence = await self._bring(effect.resource, before, after)
            finally:
                self._measuring -= 1
        last = after[-1] if after else None
        if isinstance(last, Skewed) and last.period_ns:
            self._strobes[last.node] = _Strobe(self._faults, last, lambda node=last.node: self._must_rest(node))
        return evidence if flips is None else Evidence(evidence.verified, {**evidence.measured, "flips": flips})

    async def _bring(self, resource: Resource, before: list[Effect], after: list[Effect]) -> Evidence:
        """Settle, and mind that clocks may belong to processes, which come and go."""
        kind, node = resource[0], resource[-1]
        if not self._faults.restart_resets_clocks:
            return await settle(self._faults, resource, before, after)
        if kind in CLOCKS and self.down().get(node) == "dead":
            self._in_doubt.discard(resource)
            return Evidence(verified=len(after) < len(before), measured={"state": "dead"})  # its next start decides
        if kind == "monotonic" and resource in self._in_doubt:
            return await self._start_anew(node, after)
        if kind != "process" or not _is_dead(before) or _is_dead(after):
            return await self._to(resource, before, after)
        started = await settle(self._faults, resource, before, [])
        parts = [("started", started)]
        if renewed := await self.renew_clocks([node]):
            parts.append(("clocks", renewed))
        if after:
            parts.append(("paused", await settle(self._faults, resource, [], after)))
        return merge_evidence(parts)

    async def _to(self, resource: Resource, before: Sequence[Effect], after: Sequence[Effect]) -> Evidence:
        self._in_doubt.add(resource)
        evidence = await settle(self._faults, resource, before, after)
        if evidence.verified:
            self._in_doubt.discard(resource)
        return evidence

    async def _start_anew(self, node: str, steps: Sequence[Effect]) -> Evidence:
        """A step that was perhaps never made must not be taken back; a new process has true time for certain."""
        await self._faults.kill(node)
        parts = [("started", await self._faults.start(node))]
        parts += await self._renew(node, steps)
        if parts[0][1].verified and not steps:
            self._in_doubt.discard(("monotonic", node))
        if self.down().get(node) == "paused":
            parts.append(("paused", await self._faults.pause(node)))
        return merge_evidence(parts)

    def _must_rest(self, node: str) -> bool:
        """Whether a strobe may not touch the clock now: something is being measured, or there is no such process."""
        return self._measuring > 0 or (self._faults.restart_resets_clocks and node in self.down())


def _is_dead(effects: Sequence[Effect]) -> bool:
    return any(isinstance(effect, Dead) for effect in effects)


async def _together(parts: Sequence[tuple[str, Coroutine[Any, Any, Evidence]]]) -> Evidence:
    """Do all, whatever becomes of the others; then raise the first error, if there was one."""
    results = await all_of(part for _, part in parts)
    return merge_evidence([(name, result) for (name, _), result in zip(parts, results, strict=True)])


class _Strobe:
    """Flips a node's wall clock between right and wrong until it is ended."""

    def __init__(self, faults: Faults, effect: Skewed, must_wait: Callable[[], bool]) -> None:
        self._faults = faults
        self._must_wait = must_wait
        self._effect = effect
        self._ended = asyncio.Event()
        self._flips = 0
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        effect = self._effect
        while not await self._ended_within(effect.period_ns):
            if not self._must_wait():
                with suppress(Exception):  # a process that has just ended, say: the next flip may find it again
                    await self._faults.skew(effect.node, effect.offset_ns if self._flips % 2 else 0)
                    self._flips += 1

    async def _ended_within(self, period_ns: int) -> bool:
        try:
            async with asyncio.timeout(period_ns / SECOND):
                return await self._ended.wait()
        except TimeoutError:
            return False

    async def end(self) -> int:
        """Let a flip that is under way finish, and say how many there were."""
        self._ended.set()
        await asyncio.gather(self._task, return_exceptions=True)
        return self._flips
