"""Undoing from a journal alone: by a process that knows nothing of what was in force, and of what of it came about."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.api import Cut, Evidence
from harness.clock import SECOND
from harness.journal import Journal, JournalEntry, open_entries
from harness.op import INFO, NEMESIS, Op
from harness.rng import Streams
from nemesis.effect import Dead, Joined, Paused, Severed, Shuffling, Skewed
from nemesis.fault import LastingFault, World
from nemesis.recovery import heal
from nemesis.registry import FAULTS
from nemesis.schedule import draw_schedule

LASTING = [kind for kind, fault in FAULTS.items() if isinstance(fault, LastingFault)]
WORLD = World(("pd1", "pd2", "pd3"), ("kv1", "kv2", "kv3", "kv4", "kv5"), 8, (2, 4, 6))


def entry(number: int, *effects) -> JournalEntry:
    return JournalEntry(number, "some", {"effects": msgspec.to_builtins(effects)})


def recover(world, entries):
    struck: list[int] = []
    recovery = world.run(heal(entries, world.faults, struck.append))
    return recovery, struck


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32), st.data())
def test_after_a_death_at_any_moment_the_journal_is_enough(make_mortal, tmp_path_factory, seed, data):
    """Faults are begun and some ended; then the harness dies, perhaps with an entry whose fault never came."""
    world = make_mortal()
    path = tmp_path_factory.mktemp("journal") / "faults.journal"
    journal = Journal(path)
    client = world.nemesis(journal)
    schedule = draw_schedule(LASTING, WORLD, Streams(seed), interval_ns=SECOND, limit_ns=20 * SECOND)
    faults = data.draw(st.permutations(schedule.faults[:12]))
    ended = data.draw(st.sets(st.sampled_from([fault.id for fault in faults])))

    async def until_death():
        for fault in faults:
            value = {"id": fault.id, **fault.plan}
            await client.invoke(Op(-1, 0, NEMESIS, INFO, f"start-{fault.kind}", value))
            await asyncio.sleep(0.3)
        for fault in faults:
            if fault.id in ended:
                await client.invoke(Op(-1, 0, NEMESIS, INFO, f"stop-{fault.kind}", {"id": fault.id}))
        for strobe in client._ledger._strobes.values():  # they die with the process
            await strobe.end()

    world.run(until_death())
    if data.draw(st.booleans()):
        journal.begin("kill", {"effects": msgspec.to_builtins([Dead("kv1"), Paused("pd1"), Joined("kv9")])})
    journal.close()

    again = Journal(path)
    recovery = world.run(heal(open_entries(path), world.faults, again.undone))
    again.close()
    assert recovery.failures == []
    assert open_entries(path) == []
    assert [line for line in world.abnormal() if "off by" not in line] == []
    now = world.loop.now()
    for node in world.servers.values():
        assert abs(node.monotonic() - now) < SECOND  # a step is gone, what a drift gained may stay
        assert abs(node.clocks.wall_offset(now)) < SECOND


def test_a_node_that_died_while_it_was_frozen_and_one_that_was_only_frozen_run_again(mortal):
    mortal.run(mortal.faults.pause("kv1"))
    mortal.run(mortal.faults.kill("kv1"))
    mortal.run(mortal.faults.pause("kv2"))  # the kill was written down, but never came
    entries = [entry(2, Dead("kv1"), Dead("kv2")), entry(1, Paused("kv1"), Paused("kv2"))]
    recovery, struck = recover(mortal, entries)
    assert (recovery.failures, sorted(struck)) == ([], [1, 2])
    assert mortal.abnormal() == []


def test_what_fails_is_told_and_stays_in_the_journal_and_keeps_nothing_else(mortal):
    mortal.run(mortal.faults.kill("kv1"))
    mortal.run(mortal.faults.shuffle("leader", on=True))
    real = mortal.faults.start

    async def broken(node):
        if node == "kv1":
            raise OSError("no such container")
        return await real(node)

    mortal.faults.start = broken
    odd = JournalEntry(1, "odd", {"effects": 3})
    entries = [entry(3, Shuffling("leader")), entry(2, Dead("kv1"), Dead("kv2")), odd]
    recovery, struck = recover(mortal, entries)
    assert struck == [3]
    assert mortal.abnormal() == ["kv1 is dead"]
    told = "\n".join(recovery.failures)
    assert "process kv1: OSError: no such container" in told
    assert "entry 1 (odd) cannot be read" in told
    assert "shuffle leader" in recovery.undone


def test_a_call_that_hangs_is_given_up(mortal):
    async def hang(node):
        await asyncio.sleep(10_000)

    mortal.run(mortal.faults.kill("kv2"))
    mortal.faults.skew = lambda node, _: hang(node)
    recovery, struck = recover(mortal, [entry(1, Skewed("kv1", SECOND)), entry(2, Dead("kv2"))])
    assert recovery.failures == ["wall kv1: it took more than 60 s"]
    assert struck == [2]


def test_what_could_not_be_shown_at_first_is_looked_at_again(mortal):
    """A cut whose end nobody can prove as long as the server behind it is frozen."""
    cut = Cut.between(["kv1"], ["kv2"])
    mortal.run(mortal.faults.partition(cut))
    mortal.run(mortal.faults.pause("kv1"))
    real = mortal.faults.heal

    async def prove(cut):
        evidence = await real(cut)
        return Evidence(mortal.state("kv1") == "running" and evidence.verified, evidence.measured)

    mortal.faults.heal = prove
    recovery, struck = recover(mortal, [entry(2, Paused("kv1")), entry(1, Severed(cut))])
    assert (recovery.failures, sorted(struck)) == ([], [1, 2])


def test_what_cannot_be_shown_at_all_is_no_success(mortal):
    async def unproved(node):
        return Evidence(verified=False, measured={"state": "Offline"})

    mortal.faults.remove_store = unproved
    recovery, struck = recover(mortal, [entry(1, Joined("kv6"))])
    assert struck == []
    assert recovery.failures == ["membership kv6: it could not be shown to be normal again: {'state': 'Offline'}"]


def test_a_journal_that_cannot_be_written_is_told(mortal):
    mortal.run(mortal.faults.kill("kv1"))

    def full(number):
        raise OSError("the disk is full")

    recovery = mortal.run(heal([entry(1, Dead("kv1"))], mortal.faults, full))
    assert recovery.failures == ["entry 1 is undone, but: the disk is full"]
    assert mortal.abnormal() == []


@pytest.mark.parametrize("came", [True, False])
def test_a_step_that_may_never_have_been_made_is_not_taken_back(mortal, came):
    nemesis = mortal.nemesis()
    node = mortal.servers["kv1"]
    value = {"id": 1, "on": "one", "nodes": ["kv1"], "back_ms": 60_000}
    mortal.run(nemesis.invoke(Op(-1, 0, NEMESIS, INFO, "start-stale-lease", value)))
    effects = nemesis.in_force()[0].effects
    if not came:
        mortal.run(nemesis.close())
    recovery, struck = recover(mortal, [entry(1, *effects)])
    assert (recovery.failures, struck) == ([], [1])
    assert node.monotonic() == mortal.loop.now()
    assert mortal.abnormal() == []
