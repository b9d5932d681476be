"""Raft's safety properties and linearizable reads, under random faults over many seeds; and that the watch is sharp."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from cluster.sim.bugs import MINORITY_LEADER, UNSYNCED_LOG, WALL_CLOCK_LEASE
from cluster.sim.lease import LeaderLease
from cluster.sim.raft_election import Election
from harness.clock import MILLISECOND, SECOND
from tests.cluster.sim.raft_group import CONFIG, RaftGroup


@pytest.mark.parametrize("first", range(0, 60, 10))
def test_sound_under_all_faults(first):
    acknowledged = lease_reads = elections = 0
    for seed in range(first, first + 10):
        group = RaftGroup(seed).stress(20)
        assert group.violations == [], seed
        acknowledged += group.counts["acknowledged"]
        lease_reads += group.counts["lease reads"]
        elections += group.counts["elections"]
    assert acknowledged > 5000
    assert lease_reads > 5000
    assert elections > 30


def test_sound_when_leases_are_attacked_with_clocks_at_the_limit():
    elections = 0
    for seed in range(40):
        group = RaftGroup(seed).stress(20, ("attack", "rate"))
        assert group.violations == [], seed
        elections += group.counts["elections"]
    assert elections > 80


def test_five_members():
    names = ("n1", "n2", "n3", "n4", "n5")
    for seed in range(5):
        group = RaftGroup(seed, names).stress(20)
        assert group.violations == [], seed
        assert group.counts["acknowledged"] > 100, seed


def found(seeds, faults, **group):
    broken = set()
    for seed in range(seeds):
        broken |= RaftGroup(seed, **group).stress(20, faults).broken()
    return broken


@pytest.mark.parametrize(
    ("bug", "faults", "broken"),
    [
        (WALL_CLOCK_LEASE, ("wall", "isolate"), "stale read"),
        (UNSYNCED_LOG, ("kill", "isolate"), "acknowledged entry lost"),
        (MINORITY_LEADER, ("isolate",), "acknowledged entry lost"),
    ],
)
def test_planted_bugs_break_what_they_should(bug, faults, broken):
    assert found(10, faults) == set()
    assert broken in found(10, faults, bugs=[bug])


# What protects the lease is needed: without it the same faults give stale reads.


def test_lease_needs_voters_that_remember_the_leader(monkeypatch):
    monkeypatch.setattr(Election, "_protects_leader", lambda election: election._raft.leadership is not None)
    assert "stale read" in found(5, ("attack",))


def test_lease_needs_voters_that_wait_after_a_restart(monkeypatch):
    sound = Election.__init__

    def forgetful(election, raft):
        sound(election, raft)
        election._silent_since = None

    monkeypatch.setattr(Election, "__init__", forgetful)
    assert "stale read" in found(10, ("attack",))


def test_lease_is_over_for_good_once_a_transfer_was_asked_for(monkeypatch):
    """The target is paused when it is asked, and wakes up when the transfer was long given up."""

    def late_transfer():
        group = RaftGroup()
        group.run_for(SECOND // 2)
        leader, target = group.members["n1"], group.members["n2"]
        target.pause()
        leader.raft.transfer_leader("n2")
        group.run_for(3 * SECOND)
        assert leader.raft.is_leader
        group.isolate("n1")
        target.resume()
        group.run_for(SECOND // 10)
        assert target.raft.is_leader
        return group.broken()

    assert late_transfer() == set()
    monkeypatch.setattr(LeaderLease, "suspend", lambda lease: None)
    assert late_transfer() == {"lease outlives leadership"}


def test_lease_must_be_shorter_than_the_election_timeout():
    config = msgspec.structs.replace(CONFIG, lease_ns=1500 * MILLISECOND)
    assert "stale read" in found(5, ("attack",), config=config)


RUN = """
import hashlib
from tests.cluster.sim.raft_group import RaftGroup
group = RaftGroup(3).stress(10)
print(hashlib.sha256(repr((group.applied, group.counts, group.leaders, group.loop.now())).encode()).hexdigest())
"""


def test_same_seed_same_run_under_any_hash_seed():
    hashes = set()
    for hash_seed in ("0", "1", "4711"):
        ran = subprocess.run(
            [sys.executable, "-c", RUN],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(Path(__file__).parents[3])},
            capture_output=True,
            text=True,
            check=True,
        )
        hashes.add(ran.stdout)
    assert len(hashes) == 1
