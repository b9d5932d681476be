"""The chain of time nodes says what all pairs would say, with at most three edges a transaction."""

from __future__ import annotations

import networkx as nx
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from checkers.graph.realtime import NEVER, Intervals, realtime_edges


@st.composite
def intervals(draw):
    n = draw(st.integers(0, 8))
    places = draw(st.permutations(range(2 * n)))
    pairs = [sorted(places[2 * i : 2 * i + 2]) for i in range(n)]
    unbegun = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    unended = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    invoked = [NEVER if gone else a for (a, _), gone in zip(pairs, unbegun, strict=True)]
    completed = [NEVER if gone else b for (_, b), gone in zip(pairs, unended, strict=True)]
    return Intervals(np.array(invoked, np.int32), np.array(completed, np.int32), 2 * n)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(intervals())
def test_paths_are_the_order_in_time(given_intervals):
    n = len(given_intervals.invoked)
    edges, nodes = realtime_edges(given_intervals)
    assert len(edges.source) <= 3 * n
    graph = nx.DiGraph(zip(edges.source.tolist(), edges.target.tolist(), strict=True))
    graph.add_nodes_from(range(n + nodes))
    assert nx.is_directed_acyclic_graph(graph)
    for a in range(n):
        reached = nx.descendants(graph, a)
        for b in range(n):
            completed, invoked = given_intervals.completed[a], given_intervals.invoked[b]
            assert (b in reached) == (NEVER not in (completed, invoked) and completed < invoked)
