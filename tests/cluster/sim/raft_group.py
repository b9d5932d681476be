"""Three members of one Raft group under random faults, watched for Raft's safety properties and for stale reads."""

from cluster.api import Cut
from cluster.sim.disk import Disk
from cluster.sim.network import Network
from cluster.sim.node import SimNode
from cluster.sim.raft import Raft, RaftConfig
from cluster.sim.raft_log import RaftStorage
from harness.clock import MILLISECOND, SECOND
from harness.rng import Streams
from harness.virtual_time import VirtualLoop

NAMES = ("n1", "n2", "n3")
CONFIG = RaftConfig(heartbeat_ns=200 * MILLISECOND, election_ns=SECOND, lease_ns=900 * MILLISECOND, compact_after=20)
ALL_FAULTS = ("kill", "pause", "isolate", "one-way", "rate", "wall", "loss", "transfer", "quick-restart", "attack")


def both_ways(a, b):
    return [(a, b), (b, a)]


class ListMachine:
    """Its state is the list of all that was ever applied, so states can be compared."""

    def __init__(self, on_apply):
        self.entries = []
        self.index = 0
        self._flushed = (0, 0)  # index, length
        self._on_apply = on_apply

    def apply(self, entry):
        self.index = entry.index
        self.entries.append((entry.index, entry.term, entry.data))
        self._on_apply(entry)
        if self.index - self._flushed[0] >= 10:
            self._flushed = (self.index, len(self.entries))

    def snapshot(self):
        return tuple(self.entries), self.index

    def restore(self, snapshot):
        self.entries, self.index = list(snapshot[0]), snapshot[1]
        self._flushed = (self.index, len(self.entries))

    def flushed(self):
        return self._flushed[0]

    def lose_unflushed(self):
        self.index, length = self._flushed
        del self.entries[length:]


class Member(SimNode):
    def __init__(self, name, group, *, names, streams, config, bugs):
        super().__init__(name, group.loop)
        self.disk = Disk(self, streams("disk", name))
        self.machine = ListMachine(group.entry_applied)
        self.raft = Raft(
            self,
            group.network,
            self.disk,
            "g",
            names,
            config,
            streams("raft", name),
            self.machine,
            RaftStorage(),
            frozenset(bugs),
        )
        self.raft.on_role_change = lambda: group.role_changed(self)

    def on_start(self):
        self.raft.start(campaign=self.name == self.raft.peers[0] and self.raft.log.fresh)

    def on_kill(self):
        self.disk.lose_unsynced()
        self.machine.lose_unflushed()
        self.raft.stop()

    def receive_raft(self, group, message):
        assert group == "g"
        self.raft.receive(message)


class RaftGroup:
    """``violations`` names each property that was broken, with what was seen."""

    def __init__(self, seed=1, names=NAMES, config=CONFIG, bugs=()):
        self.loop = VirtualLoop()
        streams = Streams(seed)
        self.network = Network(self.loop, streams)
        self.chaos = streams("chaos")
        self.violations = []
        self.applied = {}  # index -> (term, data): what the first member to apply it saw
        self.leaders = {}  # term -> name
        self.acknowledged = {}  # index -> data
        self.writes_resume = 0
        self.acknowledged_index = 0  # no read that begins from now on may see less
        self.counts = {"proposed": 0, "acknowledged": 0, "reads": 0, "lease reads": 0, "elections": 0}
        self.members = {
            name: Member(name, self, names=names, streams=streams, config=config, bugs=bugs) for name in names
        }
        for member in self.members.values():
            self.network.add(member)
        for member in self.members.values():
            member.start()

    # What is watched.

    def entry_applied(self, entry):
        seen = (entry.term, entry.data)
        if self.applied.setdefault(entry.index, seen) != seen:
            self.violations.append(("state machine safety", entry.index, self.applied[entry.index], seen))

    def role_changed(self, member):
        raft = member.raft
        if not raft.is_leader:
            return
        self.counts["elections"] += 1
        if self.leaders.setdefault(raft.term, member.name) != member.name:
            self.violations.append(("election safety", raft.term, self.leaders[raft.term], member.name))
        for other in self.members.values():
            leadership = other.raft.leadership
            if other is not member and leadership is not None and leadership.lease.valid():
                self.violations.append(("lease outlives leadership", other.name, leadership.term, member.name))
        for index, (term, _) in self.applied.items():
            if index >= raft.log.base_index and raft.log.term_at(index) != term:
                self.violations.append(("leader completeness", index, raft.term, member.name))

    def check_log_matching(self):
        logs = [
            {entry.index: entry for entry in raft.log.entries(raft.log.base_index + 1, raft.log.last_index)}
            for raft in (member.raft for member in self.members.values())
        ]
        for i, left in enumerate(logs):
            for right in logs[:i]:
                same = [index for index in left if index in right and left[index].term == right[index].term]
                for index in range(min(same, default=0), max(same, default=-1) + 1):
                    if index in left and index in right and left[index] != right[index]:
                        self.violations.append(("log matching", index, left[index], right[index]))

    # What clients do.

    def propose(self, member, data):
        self.counts["proposed"] += 1

        def done(applied):
            if applied:
                index = member.raft.applied_index
                self.acknowledged[index] = data
                self.acknowledged_index = max(self.acknowledged_index, index)
                self.counts["acknowledged"] += 1

        member.run(member.raft.propose, data, done)

    def read(self, member):
        least = self.acknowledged_index

        def done(confirmed):
            if confirmed:
                self._saw(member, least, "reads")

        member.run(member.raft.read, done)

    def read_by_lease(self, member):
        def look():
            if member.raft.lease_valid():
                self._saw(member, self.acknowledged_index, "lease reads")

        member.run(look)

    def _saw(self, member, least, kind):
        self.counts[kind] += 1
        seen = member.raft.applied_index
        if seen < least:
            self.violations.append(("stale read", kind, least, seen))
        self.acknowledged_index = max(self.acknowledged_index, seen)  # what was read is never unread

    # Running.

    def isolate(self, name):
        for link in Cut.between([name], self.members).links:
            self.network.cut(*link)

    def mend(self, name):
        for link in Cut.between([name], self.members).links:
            self.network.mend(*link)

    def run_for(self, ns):
        self.loop.run_until_complete(self.loop.sleep_until(self.loop.now() + ns))

    def leader(self):
        return next((m for m in self.members.values() if m.alive and not m.paused and m.raft.is_leader), None)

    def load(self, until, number=0):
        """A proposal and two reads every 10 ms or so, at whoever believes to lead."""
        if self.loop.now() >= until:
            return
        believers = [m for m in self.members.values() if m.alive and m.raft.is_leader]
        if believers:
            if self.loop.now() >= self.writes_resume:
                self.propose(self.chaos.choice(believers), number)
            self.read(self.chaos.choice(believers))
            self.read_by_lease(self.chaos.choice(believers))
        self.loop.after(self.chaos.between(5, 15) * MILLISECOND, self.load, until, number + 1)

    def trouble(self, until, faults):
        """A fault every half second or so, most of which end by themselves."""
        if self.loop.now() >= until:
            return
        member = self.members[self.chaos.choice(sorted(self.members))]
        lasts = self.chaos.between(50, 4000) * MILLISECOND
        self.inject(self.chaos.choice(faults), member, lasts)
        self.loop.after(self.chaos.between(50, 1000) * MILLISECOND, self.trouble, until, faults)

    def inject(self, fault, member, lasts):
        others = [name for name in self.members if name != member.name]
        other = self.chaos.choice(others)
        {
            "kill": lambda: self._kill(member, lasts),
            "quick-restart": lambda: self._kill(member, MILLISECOND),
            "pause": lambda: self._pause(member, lasts),
            "isolate": lambda: self._cut([link for o in others for link in both_ways(member.name, o)], lasts),
            "one-way": lambda: self._cut([both_ways(member.name, other)[self.chaos.below(2)]], lasts),
            "rate": lambda: member.clocks.set_rate(self.loop.now(), self.chaos.between(-20_000, 20_000)),
            "wall": lambda: member.clocks.set_wall_offset(self.loop.now(), self.chaos.between(-30, 30) * SECOND),
            "loss": lambda: self.network.degrade(member.name, other, self.chaos.below(300_000), 0),
            "transfer": lambda: self._transfer(member),
            "attack": self._attack_lease,
        }[fault]()

    def _kill(self, member, lasts):
        member.kill()
        self.loop.after(lasts, member.start)

    def _pause(self, member, lasts):
        member.pause()
        self.loop.after(lasts, member.resume)

    def _transfer(self, target):
        leader = self.leader()
        if leader is not None:
            leader.run(leader.raft.transfer_leader, target.name)

    def _attack_lease(self):
        """Let one follower miss the leader until it wants to lead, while the other one still renews the lease.

        Then cut the leader off, and perhaps let the other one forget what it heard by a restart. Nothing is written
        meanwhile: a log that is behind could not win anyway.
        """
        leader = self.leader()
        if leader is None:
            return
        eager, *loyal = self.chaos.shuffle([m for m in self.members.values() if m is not leader])
        until_second = self.chaos.between(700, 2000) * MILLISECOND
        self.writes_resume = self.loop.now() + until_second + 50 * MILLISECOND
        self._cut(both_ways(leader.name, eager.name), until_second + 3 * SECOND)
        self.loop.after(until_second, self._finish_attack, leader, loyal, self.chaos.chance(1, 2))

    def _finish_attack(self, leader, loyal, restart):
        for member in loyal:
            self._cut(both_ways(leader.name, member.name), 3 * SECOND)
            if restart:
                member.kill()
                member.start()

    def _cut(self, links, lasts):
        for link in links:
            self.network.cut(*link)
            self.loop.after(lasts, self.network.mend, *link)

    def stress(self, seconds, faults=ALL_FAULTS):
        """Load and trouble for so long, then peace; then all must agree, and nothing acknowledged may be missing."""
        until = self.loop.now() + seconds * SECOND
        self.load(until)
        self.trouble(until, faults)
        for _ in range(seconds):
            self.run_for(SECOND)
            self.check_log_matching()
        self.run_for(5 * SECOND)
        for member in self.members.values():
            member.start()
            member.resume()
            for other in self.members:
                self.network.degrade(member.name, other, 0, 0)
        self.run_for(5 * SECOND)
        self.settle()
        return self

    def settle(self):
        """Check that a leader serves and that the members have the same state, with all that was acknowledged in it."""
        leader = self.leader()
        if leader is None:
            self.violations.append(("no leader after healing",))
            return
        before = self.counts["acknowledged"]
        self.propose(leader, "last")
        self.run_for(SECOND)
        if self.counts["acknowledged"] == before:
            self.violations.append(("no progress after healing", leader.name))
        final = {index: data for index, _, data in leader.machine.entries}
        for index, data in self.acknowledged.items():
            if final.get(index) != data:
                self.violations.append(("acknowledged entry lost", index, data, final.get(index)))
        for member in self.members.values():
            if member.machine.entries != leader.machine.entries:
                self.violations.append(("members differ", member.name, leader.name))

    def broken(self):
        """The names of the properties that were broken."""
        return {violation[0] for violation in self.violations}
