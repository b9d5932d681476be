"""What a register and a key-value store do, as pure functions: the models of a search.

In the manner of Porcupine: a state at first, and the step that an operation makes of a state or cannot make.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from checkers.register.columns import CAS, READ, WRITE

IMPOSSIBLE: Final = object()  # what ``step`` gives where the operation contradicts the state

Action = tuple[int, Any, Any]  # kind, value, and what a cas expects


class Machine(NamedTuple):
    """A deterministic object.

    Attributes:
        initial: its state at first; states can be hashed.
        step: the state after an action, or ``IMPOSSIBLE``.
        leads: whether from a state, by some of these actions, one could come to a state that an action fits (it is one
            of them); True where that is not known.
        shows: whether one of these actions may see this state, which a write made.
    """

    initial: Any
    step: Callable[[Any, Action], Any]
    leads: Callable[[Any, Action, Sequence[Action]], bool]
    shows: Callable[[Any, Sequence[Action]], bool]


def register(initial: Any) -> Machine:
    """A register with read, write and cas. A cas that is there was successful."""
    return Machine(initial, _step_register, _leads_register, _shows_register)


def _step_register(state: Any, action: Action) -> Any:
    kind, value, old = action
    if kind == READ:
        return state if state == value else IMPOSSIBLE
    return value if kind != CAS or state == old else IMPOSSIBLE


def _leads_register(state: Any, action: Action, others: Sequence[Action]) -> bool:
    kind, value, old = action
    needed = value if kind == READ else old
    return kind == WRITE or state == needed or any(other[0] != READ and other[1] == needed for other in others)


def _shows_register(state: Any, others: Sequence[Action]) -> bool:
    return any((value if kind == READ else old) == state for kind, value, old in others if kind != WRITE)


def _step_store(state: str, action: Action) -> Any:
    kind, value, _ = action
    if kind == READ:
        return state if state == value else IMPOSSIBLE
    return state + value if kind == CAS else value


def _leads_store(state: str, action: Action, others: Sequence[Action]) -> bool:
    kind, value, _ = action
    return kind != READ or value.startswith(state) or any(other[0] == WRITE for other in others)


def _shows_store(state: str, others: Sequence[Action]) -> bool:
    return any(kind == CAS or (kind == READ and value.startswith(state)) for kind, value, _ in others)


STORE: Final = Machine("", _step_store, _leads_store, _shows_store)  # one key of a key-value store
