"""Members of PD: who answers, ids that are never given twice, routes learnt anew."""

from __future__ import annotations

from typing import Any

from cluster.sim.network import Network
from cluster.sim.node import SimNode
from cluster.sim.pd import PdMember
from cluster.sim.wire import Done, Epoch, Region
from cluster.sim.wire_pd import AskSplit, GetRegion, GetTimestamps, PdNotLeader, RegionHeartbeat, RegionInfo, SplitId
from harness.clock import MILLISECOND, SECOND
from harness.rng import Streams
from harness.virtual_time import VirtualLoop

MEMBERS = ("pd1", "pd2", "pd3")
WHOLE = Region(4, b"", b"", Epoch(1, 1), ("kv1", "kv2", "kv3"))


class Pd:
    def __init__(self, seed: int) -> None:
        streams = Streams(seed)
        self.loop = VirtualLoop()
        self.network = Network(self.loop, streams)
        self.members = {
            name: PdMember(name, MEMBERS, self.loop, self.network, streams, frozenset()) for name in MEMBERS
        }
        self.asker = SimNode("kv1", self.loop)
        self.network.add(self.asker)
        self.asker.start()
        for member in self.members.values():
            member.bootstrap([WHOLE])
            self.network.add(member)
            member.start()

    def run(self, ns: int) -> None:
        self.loop.run_until_complete(self.loop.sleep_until(self.loop.now() + ns))

    def leader(self) -> PdMember:
        return next(member for member in self.members.values() if member.alive and member.is_leader)

    def ask(self, name: str, request: Any) -> list[Any]:
        """The answer, once there is one."""
        heard: list[Any] = []
        self.network.call("kv1", name, request, heard.append, SECOND)
        return heard

    def answer(self, name: str, request: Any) -> Any:
        heard = self.ask(name, request)
        self.run(100 * MILLISECOND)
        return heard[0]


def test_only_the_leader_answers_and_the_others_say_who_that_is() -> None:
    pd = Pd(1)
    pd.run(SECOND)
    leader = pd.leader().name
    for name in MEMBERS:
        for request in (GetTimestamps(1), GetRegion(b"k"), RegionHeartbeat(WHOLE, "kv1", 6), AskSplit(4)):
            answer = pd.answer(name, request)
            assert (answer == PdNotLeader(leader)) == (name != leader)


def test_the_first_leader_serves_within_a_tenth_of_a_second() -> None:
    pd = Pd(2)
    pd.run(100 * MILLISECOND)
    assert pd.leader().name == "pd1"


def test_ids_are_never_given_twice_nor_those_of_the_first_regions() -> None:
    for seed in range(12):
        pd = Pd(seed)
        draw = Streams(seed)("faults")
        asked: list[list[Any]] = []
        for _ in range(30):
            asked += [pd.ask(name, AskSplit(4)) for name in MEMBERS]
            pd.run(draw.between(0, 3) * MILLISECOND)
            victim = pd.members[draw.choice(MEMBERS)]
            match draw.below(6):
                case 0:
                    victim.kill()
                    pd.network.break_connections(victim.name)
                case 1:
                    victim.transfer_leader()
                case _:
                    pass
            pd.run(draw.between(1, 4000) * MILLISECOND)
            victim.start()
        given = [answer.region_id for heard in asked for answer in heard if isinstance(answer, SplitId)]
        assert len(given) > 10
        assert len(given) == len(set(given))
        assert min(given) > WHOLE.id


def test_a_new_leader_knows_the_first_regions_and_learns_the_rest_from_heartbeats() -> None:
    pd = Pd(3)
    pd.run(SECOND)
    old = pd.leader()
    assert pd.answer(old.name, GetRegion(b"x")) == RegionInfo(WHOLE, None)
    left = Region(4, b"", b"m", Epoch(1, 2), WHOLE.peers)
    right = Region(5, b"m", b"", Epoch(1, 2), WHOLE.peers)
    for region in (left, right):
        assert pd.answer(old.name, RegionHeartbeat(region, "kv2", 7)) == Done()
    assert pd.answer(old.name, GetRegion(b"x")) == RegionInfo(right, "kv2")
    old.transfer_leader()
    pd.run(SECOND)
    new = pd.leader()
    assert new is not old
    assert pd.answer(new.name, GetRegion(b"x")) == RegionInfo(WHOLE, None)
    pd.answer(new.name, RegionHeartbeat(right, "kv3", 8))
    assert pd.answer(new.name, GetRegion(b"x")) == RegionInfo(right, "kv3")
    assert pd.answer(new.name, GetRegion(b"a")) == RegionInfo(None, None)


def test_the_log_is_compacted_and_a_member_that_missed_it_catches_up() -> None:
    pd = Pd(4)
    pd.run(SECOND)
    leader = pd.leader()
    late = next(member for member in pd.members.values() if member is not leader)
    late.kill()
    for _ in range(200):
        pd.ask(leader.name, AskSplit(4))
    pd.run(2500 * MILLISECOND)
    late.start()
    pd.run(SECOND)
    late.kill()  # what came as a snapshot is on its disk
    late.start()
    pd.run(3 * SECOND)
    leader.transfer_leader(late.name)
    pd.run(SECOND)
    assert pd.leader() is late
    answer = pd.answer(late.name, AskSplit(4))
    assert answer == SplitId(WHOLE.id + 201)
