"""Every argument is a proof, checked step by step; and where there is no order, there is an argument."""

from __future__ import annotations

from itertools import pairwise, product

import networkx as nx
from hypothesis import given, settings
from hypothesis import strategies as st

from checkers.graph.dsg import RW, WR, WW
from checkers.graph.levels import HIGHEST, NONADJACENT
from checkers.graph.refutation import argue

TXNS = 5
txn = st.integers(0, TXNS - 1)
edge = st.tuples(txn, txn, st.sampled_from([WW, WR, RW])).filter(lambda each: each[0] != each[1])
certain = st.lists(edge, max_size=4)
pair = st.tuples(txn, txn).filter(lambda each: each[0] != each[1])


@st.composite
def alternative(draw):
    one, two = draw(pair)
    readers = draw(st.tuples(st.sets(txn, max_size=1), st.sets(txn, max_size=1)))
    return (
        (one, two),
        [(one, two, WW), *((reader, two, RW) for reader in readers[0] - {two})],
        [(two, one, WW), *((reader, one, RW) for reader in readers[1] - {one})],
    )


def is_forbidden(edges, level):
    """Whether there is a closed walk that the level forbids."""
    graph = nx.DiGraph()
    for a, b, label in edges:
        graph.add_edge((a, False), (b, label == RW))
        if level == HIGHEST or label != RW:
            graph.add_edge((a, True), (b, label == RW))
    return not nx.is_directed_acyclic_graph(graph)


def is_cycle(edges, known, level):
    follows = all(a[1] == b[0] for a, b in pairwise([*edges, edges[0]]))
    calm = level == HIGHEST or not any(a[2] == b[2] == RW for a, b in pairwise([*edges, edges[0]]))
    return follows and calm and set(edges) <= known


def check(argument, known, alternatives, level):
    """Follow an argument from what is known."""
    known, left = set(known), list(alternatives)

    def of(first, second):
        """The open pair of the two, what follows if the first wrote earlier, and what if the second did."""
        for each in left:
            if each[0] == (first, second):
                yield each, set(each[1]), set(each[2])
            if each[0] == (second, first):
                yield each, set(each[2]), set(each[1])

    for step in argument.steps:
        proved = [
            (each, holds)
            for each, holds, otherwise in of(step.first, step.second)
            if (step.cycle and is_cycle(step.cycle, known | otherwise, level))
            or (step.otherwise and check(step.otherwise, known | otherwise, [a for a in left if a is not each], level))
        ]
        if not proved:
            return False
        each, holds = proved[0]
        known |= holds
        left.remove(each)
    return any(
        is_cycle(argument.cycles[0], known | one, level) and is_cycle(argument.cycles[1], known | other, level)
        for _, one, other in of(*argument.pair)
    )


@settings(max_examples=1500, deadline=None, derandomize=True)
@given(certain, st.lists(alternative(), min_size=1, max_size=4), st.sampled_from([NONADJACENT, HIGHEST]))
def test_an_argument_is_a_proof_and_is_found_where_there_is_no_order(edges, alternatives, level):
    if is_forbidden(edges, level):
        return
    argument = argue(edges, alternatives, level)
    possible = any(
        not is_forbidden(
            [*edges, *(each for choice, way in zip(alternatives, ways, strict=True) for each in choice[way])], level
        )
        for ways in product((1, 2), repeat=len(alternatives))
    )
    assert (argument is None) == possible
    if argument is not None:
        assert check(argument, edges, alternatives, level)


def test_what_does_not_follow_is_supposed():
    """Two pairs of which all four combinations close a cycle, and none of them alone."""
    edges = [(b, c, WR) for b in (1, 0) for c in (2, 3)]
    ways = {(0, 1): [(4, 0, RW)], (1, 0): [(4, 1, RW)], (2, 3): [(3, 4, RW)], (3, 2): [(2, 4, RW)]}
    argument = argue(
        edges,
        [((0, 1), ways[0, 1], ways[1, 0]), ((2, 3), ways[2, 3], ways[3, 2])],
        HIGHEST,
    )
    assert argument is not None
    assert [bool(step.otherwise) for step in argument.steps] == [True]
    assert argument.length == 1
