"""Timestamps grow in real time, whatever happens to clocks, processes and links; the planted bug breaks just that."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.sim.bugs import TSO_FALLBACK
from cluster.sim.network import Network, RpcError
from cluster.sim.node import SimNode
from cluster.sim.pd import PdMember
from cluster.sim.tso import MAX_LOGICAL, SAVE_INTERVAL_MS, TimestampOracle, first_physical
from cluster.sim.wire import physical_ms
from cluster.sim.wire_pd import GetTimestamps, PdNotLeader, Timestamps
from harness.clock import MILLISECOND, SECOND
from harness.rng import Stream, Streams
from harness.virtual_time import VirtualLoop

MEMBERS = ("pd1", "pd2", "pd3")

steps = st.one_of(
    st.tuples(st.just("wall"), st.integers(-100_000, 100_000)),
    st.tuples(st.just("take"), st.sampled_from([1, 7, MAX_LOGICAL // 2, MAX_LOGICAL - 1])),
    st.tuples(st.just("new leader"), st.booleans()),
)


@settings(deadline=None, derandomize=True)
@given(st.lists(steps, max_size=40))
def test_an_oracle_grows_and_stays_below_what_is_saved(walk: list[tuple[str, int]]) -> None:
    wall, saved, last = 1_000_000, 0, 0
    oracle = TimestampOracle()
    asked: int | None = None
    for what, by in [("new leader", 0), *walk]:
        if what == "wall":
            wall += by
            asked = oracle.update(wall)
        elif what == "new leader":
            physical = first_physical(wall, saved)
            saved = physical + SAVE_INTERVAL_MS
            oracle, asked = TimestampOracle(), None
            oracle.open(physical, saved)
        else:
            given_out = oracle.generate(by)
            if given_out:
                assert given_out - by >= last
                assert physical_ms(given_out) < saved
                last = given_out
        if asked is not None and by % 2:
            saved, asked = max(saved, asked + SAVE_INTERVAL_MS), oracle.extend(asked, asked + SAVE_INTERVAL_MS)


def test_a_full_logical_part_moves_time_on_until_the_window_ends() -> None:
    oracle = TimestampOracle()
    oracle.open(5000, 5010)
    taken = []
    while last := oracle.generate(MAX_LOGICAL - 1):
        taken.append(physical_ms(last))
    assert taken == list(range(5000, 5009))
    oracle.extend(5011, 8011)
    assert physical_ms(oracle.generate(1)) == 5011


class Asker(SimNode):
    """Asks all members in turn for timestamps, deposed leaders too, and checks each answer against real time."""

    def __init__(self, name: str, pd: Pd) -> None:
        super().__init__(name, pd.loop)
        self.pd = pd
        self.at = 0
        pd.network.add(self)
        self.start()

    def on_start(self) -> None:
        self.ask(self.pd.highest)

    def ask(self, floor: int) -> None:
        """``floor``: the highest timestamp that anybody had when this request was first sent."""
        target = MEMBERS[self.at % 3]
        self.pd.network.call(
            self.name, target, GetTimestamps(3), lambda answer: self.answered(floor, answer), SECOND // 2
        )

    def answered(self, floor: int, answer: Any) -> None:
        pd = self.pd
        if isinstance(answer, Timestamps):
            pd.answers += 1
            if answer.last - 2 <= floor:
                pd.fallbacks.append((floor, answer.last))
            pd.highest = max(pd.highest, answer.last)
            for ts in range(answer.last - 2, answer.last + 1):
                if ts in pd.seen:
                    pd.fallbacks.append((ts, ts))
                pd.seen.add(ts)
        else:
            assert isinstance(answer, RpcError | PdNotLeader)
        self.at += 1
        pd.loop.after(10 * MILLISECOND, lambda: self.ask(pd.highest))


class Pd:
    """Three members, three askers, and faults drawn from a stream."""

    def __init__(self, seed: int, *bugs: str) -> None:
        streams = Streams(seed)
        self.loop = VirtualLoop()
        self.network = Network(self.loop, streams)
        self.highest = self.answers = 0
        self.seen: set[int] = set()
        self.fallbacks: list[tuple[int, int]] = []
        self.leaders: set[str] = set()
        self.members = [PdMember(name, MEMBERS, self.loop, self.network, streams, frozenset(bugs)) for name in MEMBERS]
        for member in self.members:
            self.network.add(member)
            member.start()
        for i in range(3):
            Asker(f"asker-{i}", self)
        self.faults: Stream = streams("faults")
        self.undo: list[Any] = []

    def run(self, ns: int) -> None:
        self.loop.run_until_complete(self.loop.sleep_until(self.loop.now() + ns))
        self.leaders.update(member.name for member in self.members if member.is_leader)

    def leader(self) -> PdMember:
        return next(member for member in self.members if member.is_leader)

    def skew(self, member: PdMember, offset_ns: int) -> None:
        member.clocks.set_wall_offset(self.loop.now(), offset_ns)

    def kill(self, member: PdMember) -> None:
        member.kill()
        self.network.break_connections(member.name)

    def cut(self, src: str, dst: str) -> None:
        self.network.cut(src, dst)
        self.undo.append(lambda: self.network.mend(src, dst))

    def fault(self) -> None:  # noqa: C901 (one case for each kind)
        """One fault of any kind on any member, often the leader."""
        draw = self.faults
        leading = [member for member in self.members if member.is_leader]
        member = leading[0] if leading and draw.chance(2, 3) else draw.choice(self.members)
        others = [name for name in MEMBERS if name != member.name]
        match draw.below(8):
            case 0:
                self.kill(member)
                self.undo.append(member.start)
            case 1 | 2:
                member.pause()
                self.undo.append(member.resume)
            case 3:
                for other in others:
                    self.cut(member.name, other)
                    if draw.chance(1, 2):
                        self.cut(other, member.name)
            case 4:
                for name in (*others, "asker-0"):
                    self.network.degrade(member.name, name, 200_000, 30 * MILLISECOND)
                    self.undo.append(lambda name=name: self.network.degrade(member.name, name, 0, 0))
            case 5 | 6:
                self.skew(member, draw.between(-300, 300) * SECOND)
            case _:
                member.clocks.set_rate(self.loop.now(), draw.between(-20_000, 20_000))
        if draw.chance(1, 2):
            for leader in leading:
                leader.run(leader.transfer_leader)

    def torment(self, rounds: int) -> None:
        for _ in range(rounds):
            self.fault()
            self.run(self.faults.between(100, 6000) * MILLISECOND)
            while len(self.undo) > self.faults.below(6):
                self.undo.pop(self.faults.below(len(self.undo)))()
            self.run(self.faults.between(0, 2000) * MILLISECOND)
        for undo in self.undo:
            undo()
        self.undo.clear()


def test_timestamps_grow_in_real_time_under_every_fault_and_service_comes_back() -> None:
    served, leaders = 0, 0
    for seed in range(20):
        pd = Pd(seed)
        pd.torment(8)
        before = pd.answers
        pd.run(15 * SECOND)
        assert pd.fallbacks == [], seed
        assert pd.answers > before + 300, seed
        served += pd.answers
        leaders += len(pd.leaders)
    assert served > 20 * 1500
    assert leaders > 20 * 1.5


def test_a_new_leader_that_trusts_its_own_clock_falls_back() -> None:
    pd = Pd(1, TSO_FALLBACK)
    pd.run(SECOND)
    leader = pd.leader()
    pd.skew(leader, 60 * SECOND)
    pd.run(SECOND)
    leader.transfer_leader()
    pd.run(SECOND)
    assert pd.fallbacks
    broken = [seed for seed in range(6) if tormented(seed, TSO_FALLBACK).fallbacks]
    assert len(broken) >= 3


def tormented(seed: int, *bugs: str) -> Pd:
    pd = Pd(seed, *bugs)
    pd.torment(6)
    return pd


def test_a_clock_that_jumps_ahead_takes_timestamps_along_for_good() -> None:
    pd = Pd(1)
    pd.run(SECOND)
    before = physical_ms(pd.highest)
    leader = pd.leader()
    pd.skew(leader, 60 * SECOND)
    pd.run(SECOND)
    jumped = physical_ms(pd.highest)
    assert 60_000 <= jumped - before <= 62_000
    pd.skew(leader, 0)
    pd.run(SECOND)
    leader.transfer_leader()
    pd.run(5 * SECOND)
    assert pd.leaders != {leader.name}
    assert physical_ms(pd.highest) - jumped < 10_000
    assert pd.fallbacks == []


def test_timestamps_follow_the_wall_clock_while_it_is_right() -> None:
    pd = Pd(2)
    pd.run(20 * SECOND)
    leader = pd.leader()
    assert 0 <= leader.wall() // MILLISECOND - physical_ms(pd.highest) <= 100
    assert pd.answers > 1500


def test_a_leader_that_was_paused_past_its_lease_serves_nothing_on_waking() -> None:
    pd = Pd(3)
    pd.run(SECOND)
    old = pd.leader()
    old.pause()
    pd.run(12 * SECOND)
    assert pd.leaders - {old.name}
    heard: list[Any] = []
    pd.network.call("asker-0", old.name, GetTimestamps(1), heard.append, 5 * SECOND)
    pd.run(SECOND)
    floor = pd.highest
    old.resume()
    pd.run(SECOND)
    assert not any(isinstance(answer, Timestamps) and answer.last <= floor for answer in heard)
    assert pd.fallbacks == []


def test_a_leader_cut_off_from_the_members_but_not_from_clients_never_serves_beside_the_next() -> None:
    for seed in range(20):
        pd = Pd(seed)
        pd.run(SECOND)
        old = pd.leader()
        old.clocks.set_rate(pd.loop.now(), -20_000)
        for member in pd.members:
            if member is not old:
                member.clocks.set_rate(pd.loop.now(), 20_000)
                pd.cut(old.name, member.name)
                pd.cut(member.name, old.name)
        pd.run(10 * SECOND)
        assert pd.leaders - {old.name}
        assert pd.fallbacks == [], seed


def test_after_a_transfer_that_came_to_nothing_the_leader_serves_by_read_index() -> None:
    pd = Pd(4)
    pd.run(SECOND)
    leader = pd.leader()
    target = next(name for name in MEMBERS if name != leader.name)
    pd.cut(leader.name, target)
    leader.transfer_leader(target)
    pd.run(4 * SECOND)
    before = pd.answers
    pd.run(8 * SECOND)
    assert pd.answers > before + 300
    assert pd.fallbacks == []
