"""Old values, and operations without a common order, in words: indices of the operations concerned, and the text."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from checkers.evidence import Told
from checkers.graph.dsg import RW, WR, WW
from checkers.models import MONOTONIC_READS, MONOTONIC_WRITES, READ_YOUR_WRITES
from checkers.register.causal_order import Place
from checkers.register.sequential import Contradiction
from checkers.register.words import Narrator

_FURTHEST: Final = 200_000  # operations that are looked through for a way from one to another
_STEPS: Final = 12  # of a way that are told


class CausalWords:
    """What the checkers below linearizability have to say."""

    def __init__(self, narrator: Narrator) -> None:
        self._narrator = narrator
        self.place: Place | None = None

    def circle(self, numbers: list[int]) -> Told:
        """A circle in the causal order."""
        say = self._narrator
        text = "each of these comes before the next in the causal order, and the last before the first"
        return say.indices(numbers[:_STEPS]), f"{text}: {say.listed(numbers, _STEPS)}."

    def missed(self, miss: list[int]) -> Told:
        """An observer that saw what comes before another write, which comes before it; a row of ``Misses``."""
        say, (observer, written, write) = self._narrator, miss
        told = [observer, write, *([written] if written >= 0 else [])]
        text = f"{say.op(observer)} saw {self._seen(written)}, but {say.op(write)} comes before it: "
        text += self._way(write, observer)
        if written >= 0:
            text += f"; and what it saw comes before that: {self._way(written, write)}"
        return say.indices(told), f"{text}."

    def session(self, model: str, miss: list[int]) -> Told:
        """An observer that breaks a session guarantee; a row of ``Misses``."""
        say, (observer, written, by) = self._narrator, miss
        process = int(say.ops.process[observer])
        saw = f"{say.op(observer)} saw {self._seen(written)}"
        if model == READ_YOUR_WRITES:
            why = f"its process had done {say.op(by)}, which is later"
        elif model == MONOTONIC_READS:
            why = f"its process had seen something later before, as {say.op(by)} shows"
        elif model == MONOTONIC_WRITES:
            why = f"process {process} had read what process {int(say.ops.process[by])} wrote after {say.op(by)}"
            why += ", which is later than what it saw"
        else:
            why = f"process {process} had read what process {int(say.ops.process[by])} wrote after {say.op(by)}"
            why += ", which saw something later"
        return say.indices([by, observer]), f"{saw}, but {why}."

    def no_order(self, why: Contradiction) -> Told:
        """Operations that no order of all keys puts right."""
        say = self._narrator
        text = "no order of all operations keeps the order of each process and fits what was read"
        if why.steps:
            members = [source for source, _, _ in why.steps]
            steps = [self._step(*step) for step in why.steps[:_STEPS]]
            more = len(why.steps) - len(steps)
            steps += [f"{more} more steps lead back to the first"] if more else []
            return say.indices(
                members[:_STEPS]
            ), f"{text}, for here each must come before the next: {'; '.join(steps)}."
        if why.members:
            return say.indices(why.members), f"{text}, not even of these: {say.listed(why.members, len(why.members))}."
        return [], f"{text}; all were tried."

    def _step(self, source: int, target: int, label: str) -> str:
        first, second = self._narrator.op(source), self._narrator.op(target)
        if label == RW:
            return f"{first} did not yet see {second}"
        if label == WR:
            return f"{second} saw what {first} wrote"
        if label == WW:
            return f"{second} replaced what {first} wrote, or a later value"
        return f"process {int(self._narrator.ops.process[source])} did {first} before {second}"

    def _seen(self, written: int) -> str:
        return "the initial value" if written < 0 else f"what {self._narrator.op(written)} wrote"

    def _way(self, first: int, last: int) -> str:
        """How one comes before the other, step by step."""
        place, say = self.place, self._narrator
        assert place is not None
        came: dict[int, int] = {last: -1}
        rim = [last]
        for at in rim:
            if at == first or len(rim) > _FURTHEST:
                break
            for before in (int(place.writer[at]), int(place.previous[at])):
                if before >= 0 and before not in came:
                    came[before] = at
                    rim.append(before)
        path, at = [first], first
        while at in came and came[at] >= 0:
            at = came[at]
            path.append(at)
        # Steps within a process are one.
        own = [int(place.process[each]) for each in path]
        turns = [at for at in range(len(path)) if at in (0, len(path) - 1) or not own[at - 1] == own[at] == own[at + 1]]
        steps = [
            f"process {int(say.ops.process[path[b]])} did {say.op(path[a])} before {say.op(path[b])}"
            if own[a] == own[b]
            else f"{say.op(path[b])} saw what {say.op(path[a])} wrote"
            for a, b in pairwise(turns)
        ]
        more = len(steps) - _STEPS
        return ", ".join(steps[:_STEPS]) + (f", and {more} more steps" if more > 0 else "")
