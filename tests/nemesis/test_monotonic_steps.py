"""Steps of monotonic clocks are the one thing that must not be undone twice, nor if it was perhaps never done."""

from __future__ import annotations

import asyncio

import pytest

from cluster.api import Evidence
from harness.op import INFO, NEMESIS, Op

STEP = {"id": 1, "on": "one", "nodes": ["kv1"], "back_ms": 20_000}


def op(f: str, value: dict) -> Op:
    return Op(-1, 0, NEMESIS, INFO, f, value)


class Noted:
    """A journal of which only the rest matters."""

    def __init__(self) -> None:
        self.open: set[int] = set()
        self._last = 0

    def begin(self, fault, undo):
        del fault, undo
        self._last += 1
        self.open.add(self._last)
        return self._last

    def undone(self, entry):
        self.open.remove(entry)


def test_a_step_that_was_undone_is_not_undone_again_for_the_sake_of_what_came_with_it(mortal, monkeypatch):
    journal = Noted()
    client = mortal.nemesis(journal)
    heal = mortal.faults.heal

    async def heal_unseen(cut):
        return Evidence(verified=False, measured=(await heal(cut)).measured)

    async def main():
        await client.invoke(op("start-clock-step", STEP))
        with monkeypatch.context() as patch:
            patch.setattr(mortal.faults, "heal", heal_unseen)
            await client.invoke(op("stop-clock-step", {"id": 1}))
        assert journal.open
        assert (await client.heal_all()).failures == []
        assert mortal.servers["kv1"].monotonic() == mortal.loop.now()
        assert not journal.open
        assert mortal.abnormal() == []

    mortal.run(main())


@pytest.mark.parametrize("verb", ["start", "stop"])
@pytest.mark.parametrize("is_made", [True, False])
def test_a_step_of_which_nobody_knows_whether_it_was_made_leaves_true_time(mortal, monkeypatch, verb, is_made):
    journal = Noted()
    client = mortal.nemesis(journal)
    step = mortal.faults.step_monotonic

    async def step_and_hang(node, offset_ns):
        if is_made:
            await step(node, offset_ns)
        await asyncio.sleep(1000)

    async def main():
        if verb == "stop":
            await client.invoke(op("start-clock-step", STEP))
        with monkeypatch.context() as patch:
            patch.setattr(mortal.faults, "step_monotonic", step_and_hang)
            task = asyncio.ensure_future(client.invoke(op(f"{verb}-clock-step", STEP)))
            await asyncio.sleep(5)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert (await client.heal_all()).failures == []
        assert mortal.servers["kv1"].monotonic() == mortal.loop.now()
        assert not journal.open
        assert mortal.abnormal() == []

    mortal.run(main())
