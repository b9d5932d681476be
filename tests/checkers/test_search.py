"""The search over either-or constraints, against trying all."""

from __future__ import annotations

import math
from itertools import product

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkers.graph.search import Choice, Fan, OutOfTime, solve

VERTICES = 6
vertex = st.integers(0, VERTICES - 1)
pairs = st.lists(st.tuples(vertex, vertex), max_size=6)
fans = st.lists(st.builds(Fan, st.integers(1, 2**VERTICES - 1), vertex), max_size=2)
choices = st.lists(st.builds(Choice, fans, fans), max_size=7)


def is_acyclic(edges):
    return nx.is_directed_acyclic_graph(nx.DiGraph(edges))


def all_edges(edges, choices, ways):
    return [
        *edges,
        *(edge for choice, way in zip(choices, ways, strict=True) for fan in choice[way] for edge in fan.edges()),
    ]


@settings(max_examples=1500, deadline=None, derandomize=True)
@given(pairs, choices)
def test_an_answer_has_no_cycle_and_none_means_that_there_always_is_one(edges, choices):
    answer = solve(VERTICES, edges, choices, math.inf)
    if answer is None:
        assert not any(is_acyclic(all_edges(edges, choices, ways)) for ways in product((0, 1), repeat=len(choices)))
    else:
        assert len(answer) == len(choices)
        assert is_acyclic(all_edges(edges, choices, answer))


def test_what_is_preferred_is_taken_where_it_can_be():
    chain = [Choice([Fan(1 << a, a + 1)], [Fan(1 << a + 1, a)]) for a in range(VERTICES - 1)]
    assert solve(VERTICES, [], chain, math.inf) == [0] * (VERTICES - 1)
    assert solve(VERTICES, [(1, 0), (5, 4)], chain, math.inf) == [1, 0, 0, 0, 1]


def test_a_fan_is_its_edges():
    assert Fan(0b10110, 3).edges() == [(1, 3), (2, 3), (4, 3)]


def test_the_deadline_is_kept():
    with pytest.raises(OutOfTime):
        solve(2, [], [Choice([Fan(1, 1)], [Fan(2, 0)])], -math.inf)
