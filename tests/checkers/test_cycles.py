"""The cycle that is told is a cycle, and of the lowest level there is."""

from __future__ import annotations

import random
from itertools import pairwise

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkers.graph import paths
from checkers.graph.components import components, cyclic
from checkers.graph.cycles import telling_cycles
from checkers.graph.dsg import RW, WR, WW, Edges
from checkers.graph.levels import HIGHEST, NONADJACENT, REALTIME, broken, groups_at, ordered, process_edges, within
from checkers.graph.parts import parts_of
from checkers.graph.realtime import NEVER, Intervals

ORDER = ["G0", "G1c", "G-single", "G-nonadjacent", "G2-item"]
SUFFIXES = ["", "-process", "-realtime"]


def level(labels):
    """The level of a closed walk."""
    if RW not in labels:
        return 1 if WR in labels else 0
    if labels.count(RW) == 1:
        return 2
    adjacent = any(pair == (RW, RW) for pair in pairwise([*labels, labels[0]]))
    return 4 if adjacent else 3


def lowest_by_force(n, edges):
    """The lowest level over all simple cycles, each edge by any of its labels, and whether there is a cycle."""
    labels = {}
    for label, pairs in edges.items():
        for pair in pairs:
            labels.setdefault(pair, set()).add(label)
    found = []
    for cycle in nx.simple_cycles(nx.DiGraph(list(labels))):
        walks = [[]]
        for pair in zip(cycle, cycle[1:] + cycle[:1], strict=True):
            walks = [[*walk, label] for walk in walks for label in labels[pair]]
        found += [level(walk) for walk in walks]
    return min(found, default=None)


def arrays(pairs):
    return Edges(np.array([a for a, _ in pairs], np.int32), np.array([b for _, b in pairs], np.int32))


def draw(seed):
    rng = random.Random(seed)
    n = rng.randint(2, 6)
    edges = {WW: set(), WR: set(), RW: set()}
    for _ in range(rng.randint(n, 2 * n)):
        edges[rng.choice([WW, WR, WR, RW, RW, RW])].add(tuple(rng.sample(range(n), 2)))
    # Begin and end, so that transactions are numbered by their invocation.
    events = sorted(rng.sample(range(40), 2 * n))
    begins = [events[2 * i] for i in range(n)] if rng.random() < 0.5 else events[:n]
    ends = [begin + rng.choice([1, 1, 5, 60]) for begin in begins]
    # No position is both an invocation and a completion.
    invoked = [NEVER if rng.random() < 0.1 else 2 * begin for begin in begins]
    completed = [NEVER if rng.random() < 0.1 else 2 * end - 1 for end in ends]
    intervals = Intervals(np.array(invoked, np.int32), np.array(completed, np.int32), 200)
    process = []
    for i in range(n):  # a process does one thing at a time
        free = [
            p
            for p in range(3)
            if all(completed[j] != NEVER and ends[j] <= begins[i] for j in range(i) if process[j] == p)
        ]
        process.append(rng.choice([*free, 10 + i]))
    return n, edges, intervals, np.array(process)


def ordered_by_force(n, edges, intervals, process):
    """The three graphs: dependencies, also with the order of processes, also with that of time."""
    order = [
        (a, b)
        for a in range(n)
        for b in range(n)
        if a != b
        and NEVER not in (intervals.completed[a], intervals.invoked[b])
        and intervals.completed[a] < intervals.invoked[b]
    ]
    own = [(a, b) for a, b in order if process[a] == process[b]]
    return [edges, edges | {"process": own}, edges | {"process": own, "realtime": order}]


def lowest_walk(n, graph):
    """The lowest of the four levels that a closed walk reaches: by the states a walker can be in."""

    def closes(allowed, calm_only):
        steps = {(a, b, label) for label, pairs in graph.items() if label in allowed for a, b in pairs}
        for start in range(n):
            for entered in (False, True):
                seen, todo = set(), [(start, entered)]
                while todo:
                    at, by_rw = todo.pop()
                    for a, b, label in steps:
                        if a == at and not (calm_only and by_rw and label == RW) and (b, label == RW) not in seen:
                            seen.add((b, label == RW))
                            todo.append((b, label == RW))
                if (start, entered) in seen:
                    return True
        return False

    order = {"process", "realtime"}
    for lowest, (allowed, calm_only) in enumerate(
        [({WW} | order, False), ({WW, WR} | order, False), ({WW, WR, RW} | order, True), ({WW, WR, RW} | order, False)]
    ):
        if closes(allowed, calm_only):
            return lowest
    return 4


@settings(max_examples=500, deadline=None, derandomize=True)
@given(st.integers(0, 2**32))
def test_the_lowest_level_is_told(seed):
    n, edges, intervals, process = draw(seed)
    graphs = ordered_by_force(n, edges, intervals, process)
    wanted = [lowest_by_force(n, graph) for graph in graphs]
    whole = {label: arrays(sorted(pairs)) for label, pairs in graphs[2].items()}
    groups = cyclic(components(n, list(whole.values())))
    assert bool(groups) == (wanted[2] is not None)
    if not groups:
        return
    names = []
    for group in groups:
        place = {int(v): i for i, v in enumerate(group)}
        inner = {
            label: arrays([(place[a], place[b]) for a, b in sorted(edges[label]) if a in place and b in place])
            for label in edges
        }
        own_intervals = Intervals(intervals.invoked[group], intervals.completed[group], intervals.length)
        for cycle in telling_cycles(inner, own_intervals, process[group], group.tolist()):
            names.append(cycle.name)
            labels = [label for _, _, label in cycle.steps]
            assert all((a, b) in graphs[2][label] for a, b, label in cycle.steps)
            assert ORDER[level(labels)] + max((s for s in SUFFIXES if s[1:] in labels), default="") == cycle.name
    reached = 5
    for stage, lowest in enumerate(wanted):
        if lowest is None or lowest >= reached or {lowest, reached} == {2, 3}:
            continue
        # A walk that passes a transaction twice can have no adjacent rw edges where every simple cycle has some.
        accepted = {ORDER[lowest], *(["G-nonadjacent"] if lowest == 4 else [])}
        own = {name.removesuffix(SUFFIXES[stage]) for name in names if name.endswith(SUFFIXES[stage])}
        assert accepted & own
        reached = lowest


@settings(max_examples=500, deadline=None, derandomize=True)
@given(st.integers(0, 2**32))
def test_every_level_and_order_is_decided(seed):
    n, edges, intervals, process = draw(seed)
    graph = {label: arrays(sorted(pairs)) for label, pairs in edges.items()}
    found = broken(graph, intervals, process, groups_at(ordered(graph, intervals, process, REALTIME), HIGHEST))
    for order, lowest in enumerate(found):
        graph = ordered_by_force(n, edges, intervals, process)[order]
        by_force = lowest_walk(n, graph)
        assert lowest == by_force


@settings(max_examples=500, deadline=None, derandomize=True)
@given(st.integers(0, 2**32), st.sampled_from([NONADJACENT, HIGHEST]), st.integers(0, REALTIME), st.integers(1, 4))
def test_small_parts_of_a_component_have_cycles_of_their_own(seed, level, order, at_most):
    _, edges, intervals, process = draw(seed)
    graph = {label: arrays(sorted(pairs)) for label, pairs in edges.items()}
    for group in groups_at(ordered(graph, intervals, process, order), level):
        inner, own = within(graph, intervals, group)
        parts = parts_of(ordered(inner, own, process[group], order), level, at_most)
        assert parts
        assert len(parts) == 1 or max(map(len, parts)) <= at_most
        members = np.concatenate(parts).tolist()
        assert len(members) == len(set(members))
        for part in parts:
            alone, times = within(inner, own, part)
            assert groups_at(ordered(alone, times, process[group][part], order), level)


def test_a_ring_of_small_rings_falls_into_these():
    rings, size = 50, 8
    n = rings * size
    place = np.arange(n, dtype=np.int32)
    ring = np.where(place % size == size - 1, place - size + 1, place + 1).astype(np.int32)
    link = np.arange(size - 1, n, size, dtype=np.int32)
    whole = Edges(np.concatenate((place, link)), np.concatenate((ring, (link + 1) % n)))
    graph = {WW: whole, WR: arrays([]), RW: arrays([])}
    intervals = Intervals(2 * place, 2 * place + 1, 2 * n)
    parts = parts_of(ordered(graph, intervals, np.zeros(n), 0), HIGHEST, 20)
    assert [part.tolist() for part in parts] == [list(range(at, at + size)) for at in range(0, n, size)]


def test_a_long_cycle_is_told_with_a_short_one_of_time():
    n = 60
    place = np.arange(n, dtype=np.int32)
    graph = {WW: arrays([]), WR: Edges(place, np.roll(place, -1)), RW: arrays([])}
    told = list(telling_cycles(graph, Intervals(2 * place, 2 * place + 1, 2 * n), place, place.tolist()))
    assert [(cycle.name, len(cycle.steps)) for cycle in told] == [("G1c", n), ("G1c-realtime", 2)]


@pytest.mark.parametrize("n", [50, 5000])
def test_shortest_cycle_of_small_and_large_graphs(n):
    ring = Edges(np.arange(n, dtype=np.int32), np.roll(np.arange(n, dtype=np.int32), -1))
    back = Edges(np.array([n // 2 + 2], np.int32), np.array([n // 2], np.int32))
    graph = Edges(np.append(ring.source, back.source), np.append(ring.target, back.target))
    assert len(paths.shortest_cycle(n, ring, Edges(ring.source[-1:], ring.target[-1:]))) == n
    assert paths.shortest_cycle(n, graph, back) == [n // 2, n // 2 + 1, n // 2 + 2]
    acyclic = Edges(ring.source[:-1], ring.target[:-1])
    assert paths.shortest_cycle(n, acyclic, acyclic) == []


def test_process_order_spares_what_has_no_place_in_it():
    intervals = Intervals(np.array([0, NEVER, 4, 6], np.int32), np.array([1, 3, 5, NEVER], np.int32), 8)
    edges = process_edges(intervals, np.array([0, 0, 0, 0]))
    assert set(zip(edges.source.tolist(), edges.target.tolist(), strict=True)) == {(0, 2), (1, 2), (2, 3)}
