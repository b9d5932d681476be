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

G-nonadjacent is decided on a graph with two copies of each vertex, entered by an rw edge or not: from the copy entered
by rw no rw edge leads on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from checkers.graph.components import components, cyclic, split
from checkers.graph.dsg import RW, WR, WW, Edges, Ints
from checkers.graph.paths import shortest_cycle
from checkers.graph.realtime import NEVER, Intervals
from checkers.graph.realtime_cycles import realtime_cycle

PROCESS: Final = "process"
REALTIME: Final = "realtime"

Step = tuple[int, int, str]  # source, target, label

_NOTHING: Final = Edges(np.zeros(0, np.int32), np.zeros(0, np.int32))


class Cycle(NamedTuple):
    """A named cycle; the last step leads back to the first."""

    name: str
    steps: list[Step]


def telling_cycles(
    dependencies: Mapping[str, Edges], intervals: Intervals, process: Ints, members: Sequence[int]
) -> Iterator[Cycle]:
    """What to tell of one component of the graph of dependencies and realtime: at least one cycle.

    Where dependencies alone close cycles, one is told for each of their own components; else, where they do together
    with the order of processes, one for each of these; else one that needs realtime.

    Args:
        dependencies: by label (ww, wr, rw), over the component's transactions, numbered 0..n-1 by invocation.
        intervals: of these transactions.
        process: of these transactions.
        members: the numbers to give the transactions in the answer.
    """
    n = len(process)
    of_processes = process_edges(intervals, process)
    for suffix, order in (("", _NOTHING), ("-process", of_processes)):
        labelled = {**dependencies, PROCESS: order}
        parts = list(labelled.values())
        groups = cyclic(components(n, parts))
        if not groups:
            continue
        inner = {label: split(edges, groups, n) for label, edges in labelled.items()}
        for place, group in enumerate(groups):
            own = {label: pieces[place] for label, pieces in inner.items()}
            name, steps = _lowest(len(group), own)
            steps = [(members[group[a]], members[group[b]], label) for a, b, label in steps]
            yield Cycle(name + suffix, _merged(steps))
        return
    name, steps = realtime_cycle(dependencies, of_processes, intervals)
    yield Cycle(name + "-realtime", _merged([(members[a], members[b], label) for a, b, label in steps]))


def process_edges(intervals: Intervals, process: Ints) -> Edges:
    """Each transaction to the next of its process; what may take effect later, or earlier, has no edge out, or in."""
    source: list[int] = []
    target: list[int] = []
    waiting: dict[int, list[int]] = {}  # of a process, those that must precede its next
    invoked, completed = intervals.invoked, intervals.completed
    for number, (own, begins, ends) in enumerate(
        zip(process.tolist(), invoked.tolist(), completed.tolist(), strict=True)
    ):
        before = waiting.setdefault(own, [])
        if begins != NEVER:
            source += before
            target += [number] * len(before)
            before.clear()
        if ends != NEVER:
            before.append(number)
    return Edges(np.array(source, np.int32), np.array(target, np.int32))


def _lowest(n: int, edges: Mapping[str, Edges]) -> tuple[str, list[Step]]:
    """The lowest cycle of a strongly connected graph."""
    for name, labels in (("G0", (WW, PROCESS)), ("G1c", (WW, WR, PROCESS))):
        steps = _shortest_within(n, {label: edges[label] for label in labels})
        if steps:
            return name, steps
    calm = [edges[label] for label in (WW, WR, PROCESS)]
    doubled = _two_copies(n, calm, edges[RW])
    candidates = _calm_candidates(n, doubled, edges[RW])
    steps = _pairs(shortest_cycle(n, _join(calm), candidates)) or _nonadjacent(n, doubled, candidates)
    if steps:
        labelled = _label(steps, edges)
        return ("G-single" if _count_rw(labelled) == 1 else "G-nonadjacent"), labelled
    steps = _shortest_within(n, edges)
    return ("G-single" if _count_rw(steps) == 1 else "G2-item"), steps


def _shortest_within(n: int, edges: Mapping[str, Edges]) -> list[Step]:
    parts = list(edges.values())
    groups = cyclic(components(n, parts))
    if not groups:
        return []
    group = groups[0]
    inner = [split(part, [group], n)[0] for part in parts]
    together = _join(inner)
    nodes = shortest_cycle(len(group), together, _nearest_first(together))
    return _label([(int(group[a]), int(group[b])) for a, b in _pairs(nodes)], edges)


def _two_copies(n: int, calm: Sequence[Edges], rw: Edges) -> list[Edges]:
    """Vertex v entered by another edge is v, entered by rw it is v + n."""
    parts = [Edges(part.source, part.target) for part in calm]
    parts += [Edges(part.source + n, part.target) for part in calm]
    return [*parts, Edges(rw.source, rw.target + n)]


def _nonadjacent(n: int, doubled: Sequence[Edges], candidates: Edges) -> list[tuple[int, int]]:
    """A cycle of rw edges that are not adjacent, if there is one."""
    nodes = shortest_cycle(2 * n, _join(doubled), Edges(candidates.source, candidates.target + n))
    return _pairs([node % n for node in nodes])


def _calm_candidates(n: int, doubled: Sequence[Edges], rw: Edges) -> Edges:
    """The rw edges that are on a cycle without adjacent rw edges, the closest in time first."""
    labels = components(2 * n, doubled)
    keep = labels[rw.source] == labels[rw.target + n]
    return _nearest_first(Edges(rw.source[keep], rw.target[keep]))


def _nearest_first(edges: Edges) -> Edges:
    order = np.argsort(np.abs(edges.target - edges.source), kind="stable")
    return Edges(edges.source[order], edges.target[order])


def _join(parts: Sequence[Edges]) -> Edges:
    return Edges(np.concatenate([part.source for part in parts]), np.concatenate([part.target for part in parts]))


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


def _count_rw(steps: list[Step]) -> int:
    return sum(label == RW for _, _, label in steps)


def _merged(steps: list[Step]) -> list[Step]:
    """Two steps of one process, or of realtime, after another are one: both orders are transitive."""
    first = next((at for at, step in enumerate(steps) if step[2] not in (PROCESS, REALTIME)), 0)
    merged: list[Step] = []
    for step in steps[first:] + steps[:first]:
        if merged and merged[-1][2] == step[2] and step[2] in (PROCESS, REALTIME):
            merged[-1] = (merged[-1][0], step[1], step[2])
        else:
            merged.append(step)
    return merged
