"""Raft's safety properties and linearizable reads, under random faults over many seeds; and that the watch is sharp."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.sim.bugs import MINORITY_LEADER, UNSYNCED_LOG, WALL_CLOCK_LEASE
from cluster.sim.lease import LeaderLease
from cluster.sim.raft_election import Election


@pytest.mark.parametrize("first", range(0, 60, 10))
def test_sound_under_all_faults(raft_group, first):
    acknowledged = lease_reads = elections = 0
    for seed in range(first, first + 10):
        group = raft_group.RaftGroup(seed).stress(20)
        assert group.violations == [], seed
        acknowledged += group.counts["acknowledged"]
        lease_reads += group.counts["lease reads"]
        elections += group.counts["elections"]
    assert acknowledged > 5000
    assert lease_reads > 5000
    assert elections > 30


def test_sound_when_leases_are_attacked_with_clocks_at_the_limit(raft_group):
    elections = 0
    for seed in range(40):
        group = raft_group.RaftGroup(seed).stress(20, ("attack", "rate"))
        assert group.violations == [], seed
        elections += group.counts["elections"]
    assert elections > 80


def test_five_members(raft_group):
    names = ("n1", "n2", "n3", "n4", "n5")
    for seed in range(5):
        group = raft_group.RaftGroup(seed, names).stress(20)
        assert group.violations == [], seed
        assert group.counts["acknowledged"] > 100, seed


def found(raft_group, seeds, faults, bugs=()):
    broken = set()
    for seed in range(seeds):
        broken |= raft_group.RaftGroup(seed, bugs=bugs).stress(20, faults).broken()
    return broken


@pytest.mark.parametrize(
    ("bug", "faults", "broken"),
    [
        (WALL_CLOCK_LEASE, ("wall", "isolate"), "stale read"),
        (UNSYNCED_LOG, ("kill", "isolate"), "acknowledged entry lost"),
        (MINORITY_LEADER, ("isolate",), "acknowledged entry lost"),
    ],
)
def test_planted_bugs_break_what_they_should(raft_group, bug, faults, broken):
    assert found(raft_group, 10, faults) == set()
    assert broken in found(raft_group, 10, faults, [bug])


# What protects the lease is needed: without it the same faults give stale reads.


def test_lease_needs_voters_that_remember_the_leader(raft_group, monkeypatch):
    monkeypatch.setattr(Election, "_protects_leader", lambda election: election._raft.leadership is not None)
    assert "stale read" in found(raft_group, 5, ("attack",))


def test_lease_needs_voters_that_wait_after_a_restart(raft_group, monkeypatch):
    sound = Election.__init__

    def forgetful(election, raft):
        sound(election, raft)
        election._silent_since = None

    monkeypatch.setattr(Election, "__init__", forgetful)
    assert "stale read" in found(raft_group, 10, ("attack",))


def test_lease_is_over_for_good_once_a_transfer_was_asked_for(raft_group, monkeypatch):
    """The target is paused when it is asked, and wakes up when the transfer was long given up."""

    def late_transfer():
        group = raft_group.RaftGroup()
        group.run_for(raft_group.SECOND // 2)
        leader, target = group.members["n1"], group.members["n2"]
        target.pause()
        leader.raft.transfer_leader("n2")
        group.run_for(3 * raft_group.SECOND)
        assert leader.raft.is_leader
        for other in ("n2", "n3"):
            group.network.cut("n1", other)
            group.network.cut(other, "n1")
        target.resume()
        group.run_for(raft_group.SECOND // 10)
        assert target.raft.is_leader
        return group.broken()

    assert late_transfer() == set()
    monkeypatch.setattr(LeaderLease, "suspend", lambda lease: None)
    assert late_transfer() == {"lease outlives leadership"}


def test_lease_must_be_shorter_than_the_election_timeout(raft_group):
    ms = raft_group.MILLISECOND
    config = raft_group.RaftConfig(heartbeat_ns=200 * ms, election_ns=1000 * ms, lease_ns=1500 * ms, compact_after=20)
    broken = set()
    for seed in range(5):
        broken |= raft_group.RaftGroup(seed, config=config).stress(20, ("attack",)).broken()
    assert "stale read" in broken


RUN = """
import importlib.util, sys, hashlib
spec = importlib.util.spec_from_file_location("raft_group", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
group = module.RaftGroup(3).stress(10)
print(hashlib.sha256(repr((group.applied, group.counts, group.leaders, group.loop.now())).encode()).hexdigest())
"""


def test_same_seed_same_run_under_any_hash_seed(raft_group):
    hashes = set()
    for hash_seed in ("0", "1", "4711"):
        ran = subprocess.run(
            [sys.executable, "-c", RUN, raft_group.__file__],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(Path.cwd())},
            capture_output=True,
            text=True,
            check=True,
        )
        hashes.add(ran.stdout)
    assert len(hashes) == 1
