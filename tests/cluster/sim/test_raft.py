"""Raft, one rule at a time."""

import pytest

from cluster.sim.raft_log import RaftStorage
from cluster.sim.raft_messages import Entry
from harness.clock import MILLISECOND
from tests.cluster.sim.raft_group import RaftGroup


@pytest.fixture
def group():
    """A group that has just elected n1, with short time-outs (election 1 s, lease 0.9 s, heartbeat 0.2 s)."""
    group = RaftGroup()
    group.run_for(50 * MILLISECOND)
    assert group.leader() is group.members["n1"]
    return group


@pytest.fixture
def ms():
    return MILLISECOND


def outcomes(member, *data):
    """Propose; the list fills with what became of it."""
    came = []
    for item in data:
        member.raft.propose(item, came.append)
    return came


def reads(member):
    came = []
    member.raft.read(came.append)
    return came


# Elections.


def test_a_group_that_never_had_a_leader_elects_one_at_once_if_asked(group):
    assert [m.raft.term for m in group.members.values()] == [1, 1, 1]
    assert [m.raft.leader for m in group.members.values()] == ["n1", "n1", "n1"]


def test_followers_elect_another_leader_when_it_dies(group, ms):
    group.members["n1"].kill()
    group.run_for(900 * ms)
    assert group.leader() is None
    group.run_for(2500 * ms)
    assert group.leader() is not None
    assert group.leader().raft.term > 1


def test_a_member_cut_off_does_not_raise_its_term_nor_depose_the_leader(group, ms):
    group.isolate("n3")
    group.run_for(10_000 * ms)
    group.mend("n3")
    group.run_for(1000 * ms)
    assert group.leader() is group.members["n1"]
    assert [m.raft.term for m in group.members.values()] == [1, 1, 1]
    assert group.members["n3"].raft.leader == "n1"


def test_a_member_that_misses_only_the_leader_is_not_elected(group, ms):
    for link in (("n1", "n3"), ("n3", "n1")):
        group.network.cut(*link)
    group.run_for(10_000 * ms)
    assert group.leader() is group.members["n1"]
    assert group.members["n2"].raft.term == 1


def test_a_leader_without_a_quorum_steps_down(group, ms):
    group.isolate("n1")
    group.run_for(2100 * ms)
    assert not group.members["n1"].raft.is_leader


def test_term_and_vote_outlive_a_kill(group, ms):
    group.members["n1"].kill()
    group.run_for(3500 * ms)
    before = {name: (m.raft.log.term, m.raft.log.vote) for name, m in group.members.items() if m.alive}
    assert len({term for term, _ in before.values()}) == 1
    for name, hard_state in before.items():
        group.members[name].kill()
        raft = group.members[name].raft
        assert (raft.log.term, raft.log.vote) == hard_state


def test_whoever_lacks_a_committed_entry_is_not_elected(group, ms):
    group.isolate("n3")
    came = outcomes(group.members["n1"], "a", "b")
    group.run_for(100 * ms)
    assert came == [True, True]
    group.mend("n3")
    group.members["n1"].kill()
    group.run_for(4000 * ms)
    assert group.leader() is group.members["n2"]


# Replication.


def test_nothing_is_acknowledged_before_a_quorum_has_synced_it(group, ms):
    for name in ("n2", "n3"):
        group.members[name].pause()
    came = outcomes(group.members["n1"], "a")
    group.run_for(500 * ms)
    assert came == []
    group.members["n2"].resume()
    group.run_for(50 * ms)
    assert came == [True]


def test_followers_get_what_they_missed(group, ms):
    group.isolate("n3")
    outcomes(group.members["n1"], *range(10))
    group.run_for(300 * ms)
    group.mend("n3")
    group.run_for(600 * ms)
    assert group.members["n3"].machine.entries == group.members["n1"].machine.entries


def test_entries_of_a_deposed_leader_are_replaced(group, ms):
    old = group.members["n1"]
    group.isolate("n1")
    lost = outcomes(old, *(f"lost{i}" for i in range(7)))
    group.run_for(4000 * ms)
    new = group.leader()
    kept = outcomes(new, "kept")
    group.run_for(100 * ms)
    group.mend("n1")
    group.run_for(1000 * ms)
    assert kept == [True]
    assert lost == [False] * 7
    assert old.machine.entries == new.machine.entries
    assert [data for _, _, data in old.machine.entries if data] == ["kept"]


def test_a_follower_far_behind_gets_a_snapshot(group, ms):
    group.isolate("n3")
    for _ in range(20):
        outcomes(group.members["n1"], *range(10))
        group.run_for(10 * ms)
    assert group.members["n1"].raft.log.base_index > 100
    group.mend("n3")
    group.run_for(600 * ms)
    assert group.members["n3"].machine.entries == group.members["n1"].machine.entries
    assert group.members["n3"].raft.log.base_index > 100


def test_the_log_stays_short(group, ms):
    for _ in range(100):
        outcomes(group.members["n1"], *range(10))
        group.run_for(10 * ms)
    for member in group.members.values():
        log = member.raft.log
        assert log.last_index > 1000
        assert log.last_index - log.base_index < 100


def test_what_is_applied_is_replayed_after_a_restart(group, ms):
    outcomes(group.members["n1"], *range(15))
    group.run_for(300 * ms)
    before = list(group.members["n2"].machine.entries)
    group.members["n2"].kill()
    assert len(group.members["n2"].machine.entries) < len(before)
    group.members["n2"].start()
    group.run_for(600 * ms)
    assert group.members["n2"].machine.entries == before


def test_a_lost_message_is_made_up_for(group, ms):
    group.network.degrade("n1", "n2", 500_000, 0)
    group.network.degrade("n3", "n1", 500_000, 0)
    came = []
    for number in range(50):
        came.append(outcomes(group.members["n1"], number))
        group.run_for(20 * ms)
    group.run_for(1000 * ms)
    assert group.leader() is group.members["n1"]
    assert came == [[True]] * 50


# Reads.


def test_a_lease_serves_reads_without_messages_until_it_ends(group, ms):
    leader = group.members["n1"]
    group.isolate("n1")
    group.run_for(500 * ms)
    assert leader.raft.lease_valid()
    assert reads(leader) == [True]
    group.run_for(450 * ms)
    assert not leader.raft.lease_valid()
    came = reads(leader)
    group.run_for(100 * ms)
    assert came == []
    group.run_for(3000 * ms)
    assert came == [False]


def test_a_paused_leader_looks_at_its_clock_when_it_wakes(group, ms):
    leader = group.members["n1"]
    leader.pause()
    group.run_for(950 * ms)
    leader.resume()
    assert not leader.raft.lease_valid()


def test_a_read_without_a_lease_asks_a_quorum(group, ms):
    leader = group.members["n1"]
    leader.raft.leadership.lease.suspend()
    came = reads(leader)
    assert came == []
    group.run_for(10 * ms)
    assert came == [True]


def test_a_new_leader_does_not_serve_before_its_own_entry_is_committed(group, ms):
    leader = group.members["n1"]
    leader.raft.transfer_leader("n2")
    target = group.members["n2"]
    while not target.raft.is_leader:
        group.run_for(ms // 20)
    assert not target.raft.lease_valid()
    came = reads(target)
    assert came == []
    group.run_for(20 * ms)
    assert came == [True]


def test_followers_do_not_serve(group):
    assert reads(group.members["n2"]) == [False]
    assert not group.members["n2"].raft.lease_valid()
    assert outcomes(group.members["n2"], "a") == [False]


# Handing over.


def test_transfer_of_the_leadership(group, ms):
    came = outcomes(group.members["n1"], "a")
    group.members["n1"].raft.transfer_leader("n3")
    refused = outcomes(group.members["n1"], "b")
    assert not group.members["n1"].raft.lease_valid()
    group.run_for(50 * ms)
    assert group.leader() is group.members["n3"]
    assert came == [True]
    assert refused == [False]


def test_a_transfer_to_a_dead_member_is_given_up(group, ms):
    leader = group.members["n1"]
    group.members["n3"].kill()
    leader.raft.transfer_leader("n3")
    group.run_for(1100 * ms)
    came = outcomes(leader, "a")
    read = reads(leader)
    group.run_for(50 * ms)
    assert came == [True]
    assert read == [True]
    assert not leader.raft.lease_valid()  # the member may still come back with the request in hand


# The log on disk.


def entries(first, last, term):
    return [Entry(index, term, f"{term}.{index}") for index in range(first, last + 1)]


def test_what_is_not_synced_is_lost():
    log = RaftStorage()
    log.write_entries(entries(1, 3, 1))
    position = log.position
    log.write_entries(entries(4, 5, 1))
    assert log.stable == 0
    log.persist(position)
    assert (log.stable, log.last_index) == (3, 5)
    log.lose_unsynced(0)
    assert (log.stable, log.last_index, log.last_term) == (3, 3, 1)


def test_entries_that_replace_others_do_so_on_disk_only_when_synced():
    log = RaftStorage()
    log.write_entries(entries(1, 4, 1))
    log.persist(log.position)
    log.write_entries(entries(3, 3, 2))
    assert (log.stable, log.last_index, log.term_at(3)) == (2, 3, 2)
    log.lose_unsynced(0)
    assert (log.last_index, log.term_at(3)) == (4, 1)
    log.write_entries(entries(3, 3, 2))
    log.persist(log.position)
    log.lose_unsynced(0)
    assert (log.last_index, log.term_at(3)) == (3, 2)


def test_hard_state_and_entries_are_synced_in_the_order_written():
    log = RaftStorage()
    log.write_hard_state(4, "n2")
    log.write_entries(entries(1, 1, 4))
    log.write_hard_state(5, None)
    log.persist(2)
    assert not log.hard_state_synced
    log.lose_unsynced(0)
    assert (log.term, log.vote, log.last_index) == (4, "n2", 1)


def test_compaction_and_snapshot_keep_the_hard_state():
    log = RaftStorage()
    log.write_hard_state(2, "n1")
    log.write_entries(entries(1, 6, 2))
    log.persist(log.position)
    log.compact(4)
    assert (log.base_index, log.base_term, log.term_at(4), log.term_at(3)) == (4, 2, 2, None)
    assert [entry.index for entry in log.entries(5, 6)] == [5, 6]
    log.write_hard_state(7, "n3")
    log.reset(20, 6)
    log.lose_unsynced(20)
    assert (log.term, log.vote, log.base_index, log.last_term) == (7, "n3", 20, 6)
    assert not log.fresh


def test_a_snapshot_does_not_make_a_member_fresh():
    log = RaftStorage()
    assert log.fresh
    log.write_hard_state(3, None)
    log.reset(9, 3)
    assert not log.fresh
