"""The search for a linearization of one object, for what the zones cannot decide.

Wing and Gong's search with the memo of Lowe (*Testing for linearizability*, 2016), in his just-in-time form: the
history is gone through event by event, and only where an operation completes that has not taken effect, it takes
effect, or one of those that are open does so first. Everything that completed before has taken effect, so the memo on
(linearized set, state) needs but the event, the open operations that have taken effect (a few bits) and the state.
What makes it short:

- A read that is open and fits the state takes effect at once, without a branch: it changes nothing, and whatever must
  come before it has; so in any linearization that goes on from here it can be moved to here.
- Just in time is enough: take any linearization. Where X completes, let all take effect that stand before X in it and
  have not yet, in their order, and then X. None of them was invoked after X completed, so all of them are open.
- Where X does not fit the state and nothing that is open can lead to a state that it fits, the way ends.
- A write that nobody sees before the next write can stand right before that. So when a write takes effect, all other
  writes that are open are covered: at its completion a covered one is done, without any effect, whenever nothing else
  was needed of it; until then it can still take effect to be seen. Any other operation that is open goes before X only
  if it is a cas, or a write that an open operation (or X) sees: an operation before X that sees it is open.

It is depth first, without recursion, and keeps how far it came: the operation at which every way ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, Final, NamedTuple

from checkers.register.columns import READ, WRITE
from checkers.register.machines import IMPOSSIBLE, Action, Machine

_LOOKS: Final = 1024  # steps between two looks at the clock
_FIRST_S: Final = 1.0
_STATES_KEPT: Final = 8
_MEMO: Final = 2_000_000  # configurations, about a gigabyte


class Call(NamedTuple):
    """An operation: what it does, and the positions of its two entries (``completed`` None: never)."""

    action: Action
    invoked: int
    completed: int | None


class Found(NamedTuple):
    """How the search ended.

    Attributes:
        valid: whether there is a linearization; None: the deadline passed.
        prefix: numbers of calls in the order of the linearization, or of the longest one that was found.
        stuck: if it is not valid, the call that no order could take in.
        states: the states in which the object could be when ``stuck`` had to take effect at last.
    """

    valid: bool | None
    prefix: list[int]
    stuck: int | None
    states: list[Any]


class _Config(NamedTuple):
    event: int
    mask: int  # of the calls that are open, those that have taken effect, by slot
    covered: int  # of the others that are writes, those that may be done without effect
    state: Any
    path: tuple[Any, ...] | None  # (the one before, calls that took effect)


class _Memo:
    """Which configurations were tried. When there are too many, those of the earlier half of the events are forgotten.

    Attributes:
        floor: the first event of which all are remembered; whoever has to go back behind it would go in circles.
    """

    def __init__(self) -> None:
        self.floor = 0
        self._by_event: dict[int, dict[tuple[int, Any], list[int]]] = {}
        self._count = 0

    def add(self, config: _Config) -> bool:
        """Whether it is new. With more covered all is possible that is with less."""
        before = self._by_event.setdefault(config.event, {}).setdefault((config.mask, config.state), [])
        if any(config.covered & ~each == 0 for each in before):
            return False
        before.append(config.covered)
        self._count += 1
        if self._count > _MEMO:
            events = sorted(self._by_event)
            self.floor = events[len(events) // 2]
            for event in events[: len(events) // 2]:
                self._count -= sum(map(len, self._by_event.pop(event).values()))
        return True


def linearize(calls: Sequence[Call], machine: Machine, deadline: float) -> Found:
    """Search for an order of ``calls`` that the machine allows.

    Args:
        calls: of one object.
        machine: what it does.
        deadline: when to give up, of ``time.monotonic()``.
    """
    return _Search(calls, machine).run(deadline)


def in_turns(searches: Sequence[Callable[[float], Found]], deadline: float) -> Iterator[tuple[int, Found]]:
    """Carry out all searches, each of which takes a deadline; yield the number of each and how it ended.

    Each gets a second at first: a long one shall not hide what the others would find. Those that are left then share
    the time.
    """
    left = []
    for number, search in enumerate(searches):
        now = time.monotonic()
        found = search(now + min(_FIRST_S, (deadline - now) / (len(searches) - number)))
        if found.valid is None:
            left.append(number)
        else:
            yield number, found
    for place, number in enumerate(left):
        now = time.monotonic()
        yield number, searches[number](now + (deadline - now) / (len(left) - place))


class _Search:
    def __init__(self, calls: Sequence[Call], machine: Machine) -> None:
        self._calls = calls
        self._step = machine.step
        self._machine = machine
        events = [(call.invoked, at, True) for at, call in enumerate(calls)]
        events += [(call.completed, at, False) for at, call in enumerate(calls) if call.completed is not None]
        events.sort()
        self._events = [(at, begins) for _, at, begins in events]
        self._bit = self._bits()
        self._writes_at = self._open_writes()

    def _bits(self) -> list[int]:
        """Of each call a bit that no other has while it is open."""
        bits = [0] * len(self._calls)
        free: list[int] = []
        used = 0
        for at, begins in self._events:
            if not begins:
                free.append(bits[at])
            elif free:
                bits[at] = free.pop()
            else:
                bits[at] = 1 << used
                used += 1
        return bits

    def _open_writes(self) -> list[int]:
        """At each event, the bits of the writes that are open there and will complete."""
        found, writes = [], 0
        for at, _ in self._events:
            call = self._calls[at]
            found.append(writes)
            if call.action[0] == WRITE and call.completed is not None:
                writes ^= self._bit[at]
        return found

    def run(self, deadline: float) -> Found:
        """Search until there is an order, or none, or the deadline has passed."""
        self._open_at: dict[int, tuple[tuple[int, ...], int]] = {}
        self._endless = [at for at, begins in self._events if begins and self._calls[at].completed is None]
        self._furthest, self._states = -1, []
        self._best: _Config | None = None
        memo = _Memo()
        start = self._forward(_Config(0, 0, 0, self._machine.initial, None))
        stack: list[Iterator[_Config]] = [iter((start,))]
        steps = 0
        while stack:
            steps += 1
            if steps % _LOOKS == 1 and time.monotonic() > deadline:
                return Found(None, self._order(self._best), None, [])
            config = next(stack[-1], None)
            if config is None:
                stack.pop()
                continue
            if config.event == len(self._events):
                return Found(True, self._order(config), None, [])
            if config.event < memo.floor:
                return Found(None, self._order(self._best), None, [])
            if not memo.add(config):
                continue
            self._note(config)
            stack.append(self._branches(config))
        assert self._best is not None, "an empty history has a linearization"
        return Found(False, self._order(self._best), self._events[self._furthest][0], self._states)

    def _note(self, config: _Config) -> None:
        if config.event > self._furthest:
            self._furthest, self._states, self._best = config.event, [], config
        if config.event == self._furthest and len(self._states) < _STATES_KEPT and config.state not in self._states:
            self._states.append(config.state)

    def _open(self, event: int) -> Iterator[int]:
        """The calls that are open at an event, the one that completes there first."""
        if not self._open_at:
            self._fill()
        own, endless = self._open_at[event]
        return chain(own, islice(self._endless, endless))

    def _fill(self) -> None:
        running: dict[int, None] = {}
        endless = 0
        for event, (at, begins) in enumerate(self._events):
            if not begins:
                del running[at]
                self._open_at[event] = (at, *running), endless
            elif self._calls[at].completed is None:
                endless += 1
            else:
                running[at] = None

    def _branches(self, config: _Config) -> Iterator[_Config]:
        """One more call is done: the one that must, or another that is open."""
        event, mask, covered, state, path = config
        waiting = [at for at in self._open(event) if not mask & self._bit[at]]
        actions = [self._calls[at].action for at in waiting]
        must = waiting[0]
        if covered & self._bit[must]:
            yield self._forward(_Config(event, mask | self._bit[must], covered, state, (path, must)))
        elif not self._machine.leads(state, actions[0], actions):
            return
        for at in waiting:
            kind = self._calls[at].action[0]
            after = self._step(state, self._calls[at].action)
            if after is IMPOSSIBLE or (kind == WRITE and at != must and not self._machine.shows(after, actions)):
                continue
            below = covered | self._writes_at[event] if kind == WRITE else covered
            yield self._forward(self._absorb(_Config(event, mask | self._bit[at], below, after, (path, at))))

    def _absorb(self, config: _Config) -> _Config:
        """Let all open reads that fit take effect."""
        event, mask, covered, state, path = config
        for at in self._open(event):
            if self._calls[at].action[0] == READ and not mask & self._bit[at]:
                mask, path = self._try_read(at, mask, state, path)
        return _Config(event, mask, covered, state, path)

    def _try_read(self, at: int, mask: int, state: Any, path: Any) -> tuple[int, Any]:
        if self._step(state, self._calls[at].action) is IMPOSSIBLE:
            return mask, path
        return mask | self._bit[at], (path, at)

    def _forward(self, config: _Config) -> _Config:
        """Go on to the next completion of a call that is not done."""
        event, mask, covered, state, path = config
        calls, bits, events = self._calls, self._bit, self._events
        while event < len(events):
            at, begins = events[event]
            if begins:
                if calls[at].action[0] == READ:
                    mask, path = self._try_read(at, mask, state, path)
            elif mask & bits[at]:
                mask &= ~bits[at]
                covered &= ~bits[at]
            else:
                break
            event += 1
        return _Config(event, mask, covered & ~mask, state, path)

    @staticmethod
    def _order(config: _Config | None) -> list[int]:
        path = config.path if config else None
        order = []
        while path is not None:
            path, at = path
            order.append(at)
        return order[::-1]
