"""The most telling cycle inside a component: of the lowest level, and within that a short one.

Levels (Adya 1999; names of the variants by Elle, Alvaro and Kingsbury, VLDB 2020), the lower the worse:

| name | edges of the cycle |
|---|---|
| G0 | ww |
| G1c | ww and wr |
| G-single | one rw |
| G-nonadjacent | several rw, none after another |
| G2-item | several rw, some after another |

With ``-process`` a process's own order is needed beside that to close the cycle, with ``-realtime`` the order in time.
What needs neither comes first, whatever its level: it needs no argument about clocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from checkers.graph.components import components, cyclic, split
from checkers.graph.dsg import RW, WR, WW, Edges, Ints
from checkers.graph.levels import (
    NONADJACENT,
    NOTHING,
    Ordered,
    edges_of,
    joined,
    lowest_level,
    process_edges,
)
from checkers.graph.paths import shortest_cycle
from checkers.graph.realtime import Intervals
from checkers.graph.realtime_cycles import realtime_cycle
from checkers.models import CYCLES, LEVELS

PROCESS: Final = "process"
REALTIME: Final = "realtime"

_LONG: Final = 20  # steps; a cycle with so many is hard to follow

Step = tuple[int, int, str]  # source, target, label


class Cycle(NamedTuple):
    """A named cycle; the last step leads back to the first."""

    name: str
    steps: list[Step]


def telling_cycles(
    dependencies: Mapping[str, Edges], intervals: Intervals, process: Ints, members: Sequence[int]
) -> Iterator[Cycle]:
    """What to tell of one component of the graph of dependencies and realtime: at least one cycle.

    Where dependencies alone close cycles, one is told for each of their own components. Where a lower level is reached
    together with the order of processes, one more for each of these; and where a still lower one is with that of time,
    or those told so far are long, one more.

    Args:
        dependencies: by label (ww, wr, rw), over the component's transactions, numbered 0..n-1 by invocation.
        intervals: of these transactions.
        process: of these transactions.
        members: the numbers to give the transactions in the answer.
    """
    n = len(process)
    of_processes = process_edges(intervals, process)
    reached = np.full(n, len(LEVELS))  # of each transaction, the lowest level told of it so far
    shortest = _LONG
    for suffix, order in (("", NOTHING), ("-process", of_processes)):
        for group, own in _parts(n, {**dependencies, PROCESS: order}):
            if suffix and reached[group].min() <= lowest_level(_ordered(len(group), own)):
                continue
            name, steps = _lowest(len(group), own)
            reached[group] = np.minimum(reached[group], CYCLES[name])
            shortest = min(shortest, len(steps))
            yield Cycle(name + suffix, _told(steps, [members[each] for each in group]))
    lowest = int(reached.min())
    if lowest > 0:
        found = realtime_cycle(dependencies, of_processes, intervals, below=lowest + (shortest == _LONG))
        if found:
            name, steps = found
            yield Cycle(name + "-realtime", _told(steps, members))


def _parts(n: int, labelled: Mapping[str, Edges]) -> Iterator[tuple[NDArray[np.int64], dict[str, Edges]]]:
    """The strongly connected components, each with its own edges."""
    groups = cyclic(components(n, list(labelled.values())))
    inner = {label: split(edges, groups, n) for label, edges in labelled.items()}
    for place, group in enumerate(groups):
        yield group, {label: pieces[place] for label, pieces in inner.items()}


def _lowest(n: int, edges: Mapping[str, Edges]) -> tuple[str, list[Step]]:
    """The lowest cycle of a strongly connected graph."""
    level = lowest_level(_ordered(n, edges))
    if level < NONADJACENT:
        steps = _shortest_within(n, {label: edges[label] for label in (WW, WR, PROCESS) if level or label != WR})
    elif level == NONADJACENT:
        steps = _calm(n, edges)
    else:
        steps = _shortest_within(n, edges)
    return _name_of(level, steps), steps


def _name_of(level: int, steps: Sequence[Step]) -> str:
    """The name of the lowest cycle of a component, ``level`` being the lowest level that is broken there."""
    if level == NONADJACENT:
        return "G-single" if sum(label == RW for _, _, label in steps) == 1 else "G-nonadjacent"
    return ("G0", "G1c", "", "G2-item")[level]


def _ordered(n: int, edges: Mapping[str, Edges]) -> Ordered:
    return Ordered(n, 0, edges, edges[PROCESS])


def _calm(n: int, edges: Mapping[str, Edges]) -> list[Step]:
    """A short cycle without adjacent rw edges; one with a single rw edge if there is one."""
    size, doubled = edges_of(_ordered(n, edges), NONADJACENT)
    labels = components(size, doubled)
    rw = edges[RW]
    keep = labels[rw.source] == labels[rw.target + n]
    candidates = _nearest_first(Edges(rw.source[keep], rw.target[keep]))
    calm = joined([edges[label] for label in (WW, WR, PROCESS)])
    steps = _pairs(shortest_cycle(n, calm, candidates)) or _pairs(
        [node % n for node in shortest_cycle(size, joined(doubled), Edges(candidates.source, candidates.target + n))]
    )
    return _label(steps, edges)


def _shortest_within(n: int, edges: Mapping[str, Edges]) -> list[Step]:
    parts = list(edges.values())
    groups = cyclic(components(n, parts))
    if not groups:
        return []
    group = groups[0]
    inner = [split(part, [group], n)[0] for part in parts]
    together = joined(inner)
    nodes = shortest_cycle(len(group), together, _nearest_first(together))
    return _label([(int(group[a]), int(group[b])) for a, b in _pairs(nodes)], edges)


def _nearest_first(edges: Edges) -> Edges:
    order = np.argsort(np.abs(edges.target - edges.source), kind="stable")
    return Edges(edges.source[order], edges.target[order])


def _pairs(nodes: list[int]) -> list[tuple[int, int]]:
    return list(zip(nodes, nodes[1:] + nodes[:1], strict=True)) if nodes else []


def _label(pairs: list[tuple[int, int]], edges: Mapping[str, Edges]) -> list[Step]:
    """The lowest label of each pair; an rw edge only where there is no other."""
    labelled = []
    for a, b in pairs:
        label = next(
            label
            for label in (WW, WR, PROCESS, RW)
            if label in edges and ((edges[label].source == a) & (edges[label].target == b)).any()
        )
        labelled.append((a, b, label))
    return labelled


def _told(steps: Sequence[Step], members: Sequence[int]) -> list[Step]:
    """The steps between members; two of one process, or of realtime, after another are one: both are transitive."""
    steps = [(members[a], members[b], label) for a, b, label in steps]
    first = next((at for at, step in enumerate(steps) if step[2] not in (PROCESS, REALTIME)), 0)
    merged: list[Step] = []
    for step in steps[first:] + steps[:first]:
        if merged and merged[-1][2] == step[2] and step[2] in (PROCESS, REALTIME):
            merged[-1] = (merged[-1][0], step[1], step[2])
        else:
            merged.append(step)
    return merged
