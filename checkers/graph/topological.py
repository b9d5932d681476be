"""Vertices in an order that all edges follow, as far as there is one (Kahn, 1962)."""

from __future__ import annotations

from collections.abc import Sequence


def topological(outgoing: Sequence[Sequence[int]]) -> tuple[list[int], list[int]]:
    """The vertices, sources first; and those that lie on cycles or behind them, in ascending order.

    Args:
        outgoing: of each vertex, where its edges lead.
    """
    missing = [0] * len(outgoing)
    for targets in outgoing:
        for target in targets:
            missing[target] += 1
    order = [vertex for vertex, count in enumerate(missing) if not count]
    for vertex in order:  # which grows as its vertices are done
        for target in outgoing[vertex]:
            missing[target] -= 1
            if not missing[target]:
                order.append(target)
    return order, [vertex for vertex, count in enumerate(missing) if count]
