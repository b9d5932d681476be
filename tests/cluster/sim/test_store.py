"""TiKV stores with their regions: headers, reads, writes, latches, splits, restarts; no PD but a stand-in for ids."""

import itertools

import pytest

from cluster.api import Cut
from cluster.sim.bugs import MINORITY_LEADER, UNSYNCED_LOG, WALL_CLOCK_LEASE
from cluster.sim.latches import Latches
from cluster.sim.network import Network
from cluster.sim.node import SimNode
from cluster.sim.raft_messages import InstallSnapshot
from cluster.sim.store import TikvStore
from cluster.sim.wire import (
    Commit,
    Done,
    Epoch,
    EpochNotMatch,
    Get,
    GetResult,
    KeyNotInRegion,
    Locked,
    Mutation,
    NotLeader,
    Prewrite,
    Region,
    RegionContext,
    RegionNotFound,
    ResolveLock,
    Scan,
    SplitRegion,
    StaleCommand,
    StoreRequest,
    TransferLeader,
    WriteConflict,
)
from cluster.sim.wire_pd import AskSplit, PdNotLeader, RegionHeartbeat, SplitId
from harness.clock import MILLISECOND, SECOND
from harness.rng import Streams
from harness.virtual_time import VirtualLoop

NAMES = ("kv1", "kv2", "kv3")
WHOLE = Region(1, b"", b"", Epoch(1, 1), NAMES)


class Ids(SimNode):
    """In place of PD: two members, of which the second one leads; it gives ids and listens to the heartbeats."""

    def __init__(self, name, loop, leader):
        super().__init__(name, loop)
        self.leader = leader
        self.heartbeats = []
        self.last = 100

    def handle(self, source, request, reply):
        if self.name != self.leader:
            reply(PdNotLeader(self.leader))
        elif isinstance(request, AskSplit):
            self.last += 1
            reply(SplitId(self.last))
        else:
            assert isinstance(request, RegionHeartbeat)
            self.heartbeats.append((request.region.id, request.region.epoch.version, request.leader))
            reply(Done())


class World:
    def __init__(self, seed=1, bugs=()):
        self.loop = VirtualLoop()
        self.network = Network(self.loop, Streams(seed))
        self.stores = {
            name: TikvStore(name, self.loop, self.network, Streams(seed), ("pd1", "pd2"), frozenset(bugs))
            for name in NAMES
        }
        self.pd = [Ids(name, self.loop, "pd2") for name in ("pd1", "pd2")]
        self.client = SimNode("client", self.loop)
        for store in self.stores.values():
            store.bootstrap([WHOLE])
        for node in (*self.stores.values(), *self.pd, self.client):
            self.network.add(node)
            node.start()
        self.run(50 * MILLISECOND)
        self.ts = 10

    def run(self, ns):
        self.loop.run_until_complete(self.loop.sleep_until(self.loop.now() + ns))

    def send(self, store, request):
        """Send; the list gets the answer."""
        answers = []
        self.network.call("client", store, request, answers.append, 2 * SECOND)
        return answers

    def ask(self, store, request):
        answers = self.send(store, request)
        self.run(100 * MILLISECOND)
        assert len(answers) == 1
        return answers[0]

    def region(self, key):
        found = [r for s in self.stores.values() for r in s.regions() if r.contains(key)]
        return max(found, key=lambda region: region.epoch.version)

    def leader(self, region_id):
        return next((s.name for s in self.stores.values() if s.alive and s.leads(region_id)), None)

    def command(self, key, command, region=None):
        region = region or self.region(key)
        return self.ask(self.leader(region.id), StoreRequest(RegionContext(region.id, region.epoch), command))

    def put(self, key, value):
        """A transaction of one key; returns its commit_ts."""
        self.ts += 10
        start = self.ts
        assert self.command(key, Prewrite((Mutation("put", key, value),), key, start, 3000)) == Done()
        self.ts += 10
        assert self.command(key, Commit((key,), start, self.ts)) == Done()
        return self.ts

    def get(self, key):
        self.ts += 10
        answer = self.command(key, Get(key, self.ts))
        assert isinstance(answer, GetResult)
        return answer.value

    def cut(self, name, among=None):
        """Off from all, or ``among`` these only."""
        for link in Cut.between([name], among or self.network._nodes).links:
            self.network.cut(*link)

    def mend(self, name, among=None):
        for link in Cut.between([name], among or self.network._nodes).links:
            self.network.mend(*link)

    def split(self, key):
        return self.ask(self.leader(self.region(key).id), SplitRegion(key))

    def same_everywhere(self):
        """Every store has every region, with the same bounds and data."""
        peers = [store._peers for store in self.stores.values()]
        assert peers[0].keys() == peers[1].keys() == peers[2].keys()
        for region_id in peers[0]:
            machines = [found[region_id].machine for found in peers]
            assert machines[0].region == machines[1].region == machines[2].region
            assert machines[0].region is not None
            contents = [(m.data.default, m.data.lock, m.data.write) for m in machines]
            assert contents[0] == contents[1] == contents[2]
        regions = sorted((peer.region for peer in peers[0].values()), key=lambda region: region.start)
        assert regions[0].start == b""
        assert regions[-1].end == b""
        assert all(a.end == b.start for a, b in itertools.pairwise(regions))


@pytest.fixture
def world():
    return World()


# Requests.


def test_writes_and_reads(world):
    world.put(b"a", b"1")
    old = world.put(b"a", b"2")
    world.put(b"a", b"3")
    assert world.get(b"a") == b"3"
    assert world.command(b"a", Get(b"a", old)) == GetResult(b"2")
    assert world.get(b"b") is None


def test_headers_are_checked_in_tikvs_order(world):
    good = RegionContext(1, WHOLE.epoch)
    old = RegionContext(1, Epoch(1, 0))
    assert world.ask("kv1", StoreRequest(RegionContext(9, WHOLE.epoch), Get(b"a", 1))) == RegionNotFound(9)
    assert world.ask("kv2", StoreRequest(old, Get(b"a", 1))) == NotLeader(1, "kv1")
    assert world.ask("kv1", StoreRequest(old, Get(b"a", 1))) == EpochNotMatch((WHOLE,))
    assert world.ask("kv1", StoreRequest(good, Get(b"a", 1))) == GetResult(None)


def test_keys_outside_the_region_are_refused(world):
    world.split(b"m")
    left = world.region(b"a")
    for command in (Get(b"m", 1), Scan(b"m", b"", 9, 1), Prewrite((Mutation("put", b"z", b""),), b"z", 1, 1)):
        assert isinstance(world.command(b"a", command, left), KeyNotInRegion)


def test_commands_on_one_key_take_turns(world):
    """All come at once: the first locks the key, and the others see it."""
    context = RegionContext(1, WHOLE.epoch)
    prewrites = [Prewrite((Mutation("put", b"a", b"%d" % ts),), b"a", ts, 3000) for ts in range(10, 15)]
    answers = [world.send("kv1", StoreRequest(context, prewrite)) for prewrite in prewrites]
    world.run(100 * MILLISECOND)
    assert answers[0] == [Done()]
    assert [type(answer[0]) for answer in answers[1:]] == [Locked] * 4


def test_a_resolve_that_waited_looks_again_for_what_is_locked(world):
    context = RegionContext(1, WHOLE.epoch)
    lock = Prewrite((Mutation("put", b"a", b"1"),), b"a", 10, 3000)
    assert world.command(b"a", lock) == Done()
    more = Prewrite((Mutation("put", b"b", b"1"), Mutation("put", b"a", b"1")), b"a", 10, 3000)
    answers = [
        world.send("kv1", StoreRequest(context, command)) for command in (more, ResolveLock(10, 0), ResolveLock(10, 0))
    ]
    world.run(100 * MILLISECOND)
    assert answers == [[Done()]] * 3
    assert world.stores["kv1"].peer(1).machine.data.lock == {}


def test_a_deposed_leader_answers_that_nobody_knows(world):
    world.cut("kv1")
    world.network.mend("client", "kv1")
    world.network.mend("kv1", "client")
    context = RegionContext(1, WHOLE.epoch)
    answers = []
    prewrite = Prewrite((Mutation("put", b"a", b"1"),), b"a", 10, 3000)
    world.network.call("client", "kv1", StoreRequest(context, prewrite), answers.append, 60 * SECOND)
    world.run(40 * SECOND)
    assert [type(answer).__name__ for answer in answers] == ["StaleCommand"]
    assert world.leader(1) in {"kv2", "kv3"}


def test_a_killed_leader_comes_back_with_its_data(world):
    for number in range(120):
        world.put(b"k%03d" % number, b"%d" % number)
    world.stores["kv1"].kill()
    world.run(30 * SECOND)
    assert world.leader(1) in {"kv2", "kv3"}
    assert world.get(b"k119") == b"119"
    world.put(b"k119", b"new")
    world.stores["kv1"].start()
    world.run(5 * SECOND)
    world.ask(world.leader(1), TransferLeader(1, "kv1"))
    world.run(1 * SECOND)
    assert world.leader(1) == "kv1"
    assert world.get(b"k119") == b"new"
    assert world.get(b"k007") == b"7"
    world.run(5 * SECOND)
    world.same_everywhere()


def test_transfer_of_a_region(world):
    world.put(b"a", b"1")
    assert world.ask("kv2", TransferLeader(1, "kv2")) == NotLeader(1, "kv1")
    assert world.ask("kv1", TransferLeader(1, "kv2")) == Done()
    assert world.leader(1) == "kv2"
    assert world.get(b"a") == b"1"


# Splits.


def test_a_split_moves_the_right_part(world):
    world.put(b"a", b"1")
    world.put(b"z", b"2")
    assert world.split(b"m") == Done()
    left, right = world.region(b"a"), world.region(b"z")
    assert (left.id, left.start, left.end) == (1, b"", b"m")
    assert (right.id, right.start, right.end) == (101, b"m", b"")
    assert left.epoch == right.epoch == Epoch(1, 2)
    assert world.leader(101) == "kv1"  # at once, without an election time-out
    assert (world.get(b"a"), world.get(b"z")) == (b"1", b"2")
    assert world.command(b"a", Get(b"a", 99), WHOLE) == EpochNotMatch((left, right))
    world.run(3 * SECOND)
    world.same_everywhere()


def test_a_split_where_a_region_begins_is_done_already(world):
    world.split(b"m")
    assert world.split(b"m") == Done()
    assert world.ask("kv2", SplitRegion(b"a")) == NotLeader(1, "kv1")
    world.run(3 * SECOND)
    world.same_everywhere()


def test_what_was_proposed_before_a_split_and_comes_after_it_is_discarded(world):
    context = RegionContext(1, WHOLE.epoch)
    store = world.stores["kv1"]
    split, late = [], []
    store.peer(1).split(1, b"m", 101, split.append)
    prewrite = Prewrite((Mutation("put", b"z", b"1"),), b"z", 10, 3000)
    store.handle("client", StoreRequest(context, prewrite), late.append)
    assert late == []  # evaluated and proposed
    world.run(100 * MILLISECOND)
    assert split == [Done()]
    assert late == [EpochNotMatch((world.region(b"a"), world.region(b"z")))]
    assert store.peer(101).machine.data.lock == {}


def test_of_two_splits_at_once_one_is_discarded(world):
    store = world.stores["kv1"]
    first, second = [], []
    store.peer(1).split(1, b"m", 101, first.append)
    store.peer(1).split(1, b"f", 102, second.append)
    world.run(100 * MILLISECOND)
    assert first == [Done()]
    assert isinstance(second[0], EpochNotMatch)
    assert store.peer(102) is None
    world.run(3 * SECOND)
    world.same_everywhere()


@pytest.mark.parametrize("writes", [1, 300])  # caught up by entries, or by a snapshot
def test_a_store_that_missed_a_split(world, writes):
    world.put(b"z", b"old")
    world.cut("kv3")
    assert world.split(b"m") == Done()
    for number in range(writes):
        world.put(b"a%03d" % number, b"1")
        world.put(b"z%03d" % number, b"2")
    world.mend("kv3")
    world.run(10 * SECOND)
    if writes == 300:
        assert world.stores["kv3"].peer(1).raft.log.base_index > 100
    world.same_everywhere()
    world.stores["kv1"].kill()
    world.run(40 * SECOND)
    assert world.get(b"z") == b"old"
    assert world.get(b"z000") == b"2"


@pytest.mark.parametrize("first", ["snapshot", "split"])
def test_a_store_that_hears_of_the_new_region_before_the_split(world, first):
    """Its peer knows nothing, votes, and keeps its vote through a restart. What comes first gives it its data."""
    world.put(b"z", b"1")
    store = world.stores["kv2"]
    apply, receive = store.peer(1).raft.apply_committed, store.receive_raft

    def receive_no_snapshot(group, message):
        if not isinstance(message, InstallSnapshot):
            receive(group, message)

    store.peer(1).raft.apply_committed = lambda: None
    if first == "split":
        store.receive_raft = receive_no_snapshot
    world.cut("kv3")
    world.split(b"m")
    world.run(SECOND)
    assert world.leader(101) == "kv1"  # by the vote of a peer without a region
    peer = store.peer(101)
    assert (peer.region is None) == (first == "split")
    store.kill()
    store.start()
    assert (peer.raft.log.term, peer.raft.log.vote) == (6, "kv1")
    store.peer(1).raft.apply_committed = apply
    world.run(5 * SECOND)
    assert world.leader(101) == "kv1"
    assert world.get(b"z") == b"1"
    world.put(b"z", b"2")
    world.mend("kv3")
    world.run(5 * SECOND)
    world.same_everywhere()


@pytest.mark.parametrize("name", NAMES)
def test_a_split_outlives_a_kill_right_after_it(world, name):
    world.put(b"a", b"1")
    world.put(b"z", b"2")
    answers = world.send("kv1", SplitRegion(b"m"))
    while not answers:
        world.run(MILLISECOND // 10)
    world.stores[name].kill()
    world.run(SECOND)
    world.stores[name].start()
    world.run(50 * SECOND)
    assert (world.get(b"a"), world.get(b"z")) == (b"1", b"2")
    world.run(5 * SECOND)
    world.same_everywhere()


# PD.


def test_leaders_report_to_whoever_leads_pd(world):
    world.run(SECOND // 2)
    assert world.pd[1].heartbeats[-1] == (1, 1, "kv1")
    world.split(b"m")
    world.run(SECOND // 2)
    assert {(1, 2, "kv1"), (101, 2, "kv1")} <= set(world.pd[1].heartbeats)
    before = len(world.pd[1].heartbeats)
    for member in world.pd:
        member.leader = "pd1"
    world.run(5 * SECOND)
    assert len(world.pd[1].heartbeats) == before
    assert {(1, 2, "kv1"), (101, 2, "kv1")} <= set(world.pd[0].heartbeats)


def test_a_conflict_is_seen_by_a_new_leader(world):
    commit_ts = world.put(b"a", b"1")
    world.ask("kv1", TransferLeader(1, "kv3"))
    late = Prewrite((Mutation("put", b"a", b"2"),), b"a", commit_ts - 5, 3000)
    assert isinstance(world.command(b"a", late), WriteConflict)


# Planted bugs: each with the same faults as the sound store beside it.


def stale_value_of_a_deposed_leader(bugs):
    world = World(bugs=bugs)
    world.put(b"a", b"old")
    world.stores["kv1"].clocks.set_wall_offset(world.loop.now(), -60 * SECOND)
    world.run(5 * SECOND)
    world.cut("kv1", NAMES)
    old, seen = world.stores["kv1"], []
    while not any(world.stores[name].leads(1) for name in ("kv2", "kv3")):
        world.run(SECOND // 10)
        assert world.loop.now() < 60 * SECOND
    world.ts += 10
    new = next(name for name in ("kv2", "kv3") if world.stores[name].leads(1))
    context = RegionContext(1, WHOLE.epoch)
    lock = Prewrite((Mutation("put", b"a", b"new"),), b"a", world.ts, 3000)
    assert world.ask(new, StoreRequest(context, lock)) == Done()
    assert world.ask(new, StoreRequest(context, Commit((b"a",), world.ts, world.ts + 1))) == Done()
    old.handle("client", StoreRequest(context, Get(b"a", world.ts + 2)), seen.append)
    return [answer for answer in seen if isinstance(answer, GetResult)]


def test_a_lease_that_trusts_wall_clocks_gives_stale_reads():
    assert stale_value_of_a_deposed_leader([]) == []
    assert stale_value_of_a_deposed_leader([WALL_CLOCK_LEASE]) == [GetResult(b"old")]


def value_after_two_kills(bugs):
    world = World(bugs=bugs)
    world.run(6 * SECOND)
    world.cut("kv3")
    world.put(b"a", b"1")
    world.stores["kv1"].kill()
    world.stores["kv2"].kill()
    world.stores["kv1"].start()
    world.stores["kv2"].start()
    world.run(40 * SECOND)
    return world.get(b"a")


def test_a_log_that_is_not_synced_loses_what_was_acknowledged():
    assert value_after_two_kills([]) == b"1"
    assert value_after_two_kills([UNSYNCED_LOG]) is None


def acknowledged_and_kept(bugs):
    world = World(bugs=bugs)
    world.cut("kv1", NAMES)
    world.run(5 * SECOND)
    lock = StoreRequest(RegionContext(1, WHOLE.epoch), Prewrite((Mutation("put", b"a", b"1"),), b"a", 10, 3000))
    acknowledged = []
    world.stores["kv1"].handle("client", lock, acknowledged.append)
    world.run(30 * SECOND)
    world.mend("kv1", NAMES)
    world.run(30 * SECOND)
    return acknowledged[0], b"a" in world.stores[world.leader(1)].peer(1).machine.data.lock


def test_a_minority_leader_acknowledges_what_is_lost():
    assert acknowledged_and_kept([]) == (StaleCommand(), False)
    assert acknowledged_and_kept([MINORITY_LEADER]) == (Done(), False)


# Latches.


def test_latches_are_first_come_first_served_per_key():
    latches, ran = Latches(), []

    def runner(name):
        return lambda ticket: ran.append((name, ticket))

    latches.acquire((b"a", b"b"), runner("ab"))
    latches.acquire((b"b", b"c"), runner("bc"))
    latches.acquire((b"c",), runner("c"))
    latches.acquire((b"d",), runner("d"))
    assert [name for name, _ in ran] == ["ab", "d"]
    latches.release(ran[0][1])
    assert [name for name, _ in ran] == ["ab", "d", "bc"]
    latches.release(ran[2][1])
    assert [name for name, _ in ran] == ["ab", "d", "bc", "c"]


def test_a_long_queue_that_fails_at_once_does_not_recurse():
    latches, ran, first = Latches(), [], []
    latches.acquire((b"a",), first.append)
    for number in range(5000):

        def fail(ticket, number=number):
            ran.append(number)
            latches.release(ticket)

        latches.acquire((b"a",), fail)
    latches.release(first[0])
    assert ran == list(range(5000))
