"""The nemesis's client: targets, evidence, the journal, and what it says when something cannot be done."""

from __future__ import annotations

import msgspec
import pytest

from cluster.api import Evidence
from harness.journal import Journal, open_entries
from harness.op import INFO, NEMESIS, Op
from nemesis.effect import Effect


@pytest.fixture
def nemesis(bare):
    return bare.nemesis()


def op(f: str, **value) -> Op:
    return Op(-1, 0, NEMESIS, INFO, f, value)


def pause(number: int, *nodes: str, on: str = "one") -> Op:
    return op("start-pause", id=number, on=on, nodes=list(nodes))


def test_a_start_and_its_stop_say_what_was_hit_and_measured(bare, nemesis):
    start = bare.run(nemesis.invoke(pause(1, "kv1")))
    assert start.type == INFO
    assert start.value["targets"] == ["kv1"]
    assert start.value["evidence"] == {"verified": True, "measured": {"state": "paused", "answers": False}}
    stop = bare.run(nemesis.invoke(op("stop-pause", id=1)))
    assert stop.value == {
        "id": 1,
        "targets": ["kv1"],
        "evidence": {"verified": True, "measured": {"state": "running", "answers": True}},
    }


def test_the_invocation_is_left_as_it_was(bare, nemesis):
    invocation = pause(1, "kv1")
    before = msgspec.json.encode(invocation)
    bare.run(nemesis.invoke(invocation))
    assert msgspec.json.encode(invocation) == before


def test_the_next_node_of_its_role_stands_in_for_one_that_is_down(bare, nemesis):
    bare.run(nemesis.invoke(op("start-kill", id=1, on="one", nodes=["kv5"])))
    assert bare.run(nemesis.invoke(pause(2, "kv5"))).value["targets"] == ["kv1"]


def test_of_a_role_that_is_all_down_the_other_role_stands_in(bare, nemesis):
    stores = [name for name in bare.servers if name.startswith("kv")]
    bare.run(nemesis.invoke(op("start-kill", id=1, on="all", nodes=stores)))
    assert bare.run(nemesis.invoke(pause(2, *stores, on="stores"))).value["targets"] == ["pd1"]


def test_a_fault_that_is_begun_again_leaves_nothing_of_the_first_try(bare, nemesis):
    bare.run(nemesis.invoke(pause(1, "kv1")))
    bare.run(nemesis.invoke(pause(1, "kv2")))
    assert bare.abnormal() == ["kv2 is paused"]
    bare.run(nemesis.invoke(op("stop-pause", id=1)))
    assert bare.abnormal() == []


def test_with_nothing_left_to_hit_it_says_so(bare, nemesis):
    everything = list(bare.servers)
    bare.run(nemesis.invoke(op("start-kill", id=1, on="all", nodes=everything)))
    done = bare.run(nemesis.invoke(pause(2, "kv1")))
    assert done.value["error"] == done.error == "every node is down already"
    assert done.value["evidence"]["verified"] is False
    assert bare.run(nemesis.invoke(op("stop-pause", id=2))).error is None


def test_a_role_that_nobody_holds_falls_back_to_the_drawn_node(bare, nemesis):
    done = bare.run(nemesis.invoke(op("start-partition", id=1, shape="alone", on="pd-leader", nodes=["pd2"])))
    assert done.value["targets"] == ["pd2"]
    assert all("pd2" in link for link in bare.cut_links())


def test_a_cut_off_store_can_be_aimed_at(bare, nemesis):
    bare.run(nemesis.invoke(op("start-partition", id=1, shape="alone", on="one", nodes=["kv3"])))
    skew = op("start-clock-skew", id=2, on="isolated", key=0, nodes=["kv1"], offsets_ms=[-20_000])
    assert bare.run(nemesis.invoke(skew)).value["targets"] == ["kv3"]


def test_a_transfer_without_a_leader_is_an_error(bare, nemesis):
    done = bare.run(nemesis.invoke(op("pd-transfer", id=1)))
    assert done.error == "PD has no leader just now"
    assert done.value["evidence"]["verified"] is False


@pytest.mark.parametrize("f", ["start-split", "begin-kill", "stop-nothing", "nonsense"])
def test_an_unknown_operation_is_an_error_not_a_crash(bare, nemesis, f):
    assert bare.run(nemesis.invoke(op(f, id=1))).error == f"no such fault: {f}"


def test_faults_are_written_down_before_they_are_put_in_place(bare, tmp_path):
    path = tmp_path / "faults.journal"
    journal = Journal(path)
    nemesis = bare.nemesis(journal)
    entries_at_kill: list[str] = []
    bare.servers["kv1"].on_kill = lambda: entries_at_kill.extend(entry.fault for entry in open_entries(path))
    bare.run(nemesis.invoke(op("start-kill", id=1, on="one", nodes=["kv1"])))
    assert entries_at_kill == ["kill"]
    (entry,) = open_entries(path)
    effects = msgspec.convert(entry.undo["effects"], list[Effect])
    assert [effect.resource for effect in effects] == [("process", "kv1")]
    bare.run(nemesis.invoke(op("stop-kill", id=1)))
    assert open_entries(path) == []
    journal.close()


def test_what_could_not_be_shown_to_be_undone_stays_in_the_journal_and_is_undone_again(mortal, tmp_path):
    path = tmp_path / "faults.journal"
    journal = Journal(path)
    nemesis = mortal.nemesis(journal)
    real, states = mortal.faults.remove_store, ["Offline", "Offline", "Tombstone"]

    async def remove_store(node):
        state = states.pop(0)
        if state == "Tombstone":
            await real(node)
        return Evidence(verified=state == "Tombstone", measured={"state": state})

    mortal.faults.remove_store = remove_store

    async def main():
        await nemesis.invoke(op("start-store-replacement", id=1))
        stop = await nemesis.invoke(op("stop-store-replacement", id=1))
        assert stop.value["evidence"] == {"verified": False, "measured": {"state": "Offline"}}
        healing = await nemesis.heal_all()
        assert healing.failures == ["store-replacement 1 could not be shown to be undone"]
        assert [entry.fault for entry in open_entries(path)] == ["store-replacement"]
        assert (await nemesis.heal_all()).failures == []
        assert open_entries(path) == []
        assert mortal.abnormal() == []

    mortal.run(main())
    journal.close()


def test_a_try_of_which_the_undoing_was_not_shown_has_its_own_place_in_the_journal(mortal, tmp_path, monkeypatch):
    path = tmp_path / "faults.journal"
    journal = Journal(path)
    nemesis = mortal.nemesis(journal)
    kill, start = mortal.faults.kill, mortal.faults.start

    async def kill_and_fail(node):
        await kill(node)
        raise OSError("no answer")

    async def start_unseen(node):
        return Evidence(verified=False, measured=(await start(node)).measured)

    async def main():
        with monkeypatch.context() as patch:
            patch.setattr(mortal.faults, "kill", kill_and_fail)
            assert (await nemesis.invoke(op("start-kill", id=1, on="one", nodes=["kv1"]))).error
        with monkeypatch.context() as patch:
            patch.setattr(mortal.faults, "start", start_unseen)
            assert not (await nemesis.invoke(op("start-kill", id=1, on="one", nodes=["kv1"]))).error
        assert len(open_entries(path)) == 2
        await nemesis.invoke(op("stop-kill", id=1))
        assert len(open_entries(path)) == 1
        assert (await nemesis.heal_all()).failures == []
        assert open_entries(path) == []
        assert mortal.abnormal() == []

    mortal.run(main())
    journal.close()


def test_a_fault_that_cannot_be_written_down_is_not_put_in_place(bare, tmp_path):
    journal = Journal(tmp_path / "faults.journal")
    journal.close()
    nemesis = bare.nemesis(journal)
    done = bare.run(nemesis.invoke(op("start-kill", id=1, on="one", nodes=["kv1"])))
    assert "cannot write the faults journal" in done.error
    assert bare.abnormal() == []
