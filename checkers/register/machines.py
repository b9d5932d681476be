"""What a register and a key-value store do, as pure functions: the models of a search.

In the manner of Porcupine: a state at first, a step that an operation makes of a state or cannot make, and words.
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
        describe: an action in words.
    """

    initial: Any
    step: Callable[[Any, Action], Any]
    leads: Callable[[Any, Action, Sequence[Action]], bool]
    describe: Callable[[Action], str]


def register(initial: Any) -> Machine:
    """A register with read, write and cas. A cas that is there was successful."""
    return Machine(initial, _step_register, _leads_register, _describe_register)


def _step_register(state: Any, action: Action) -> Any:
    kind, value, old = action
    if kind == READ:
        return state if state == value else IMPOSSIBLE
    return value if kind != CAS or state == old else IMPOSSIBLE


def _leads_register(state: Any, action: Action, others: Sequence[Action]) -> bool:
    kind, value, old = action
    needed = value if kind == READ else old
    return kind == WRITE or state == needed or any(other[0] != READ and other[1] == needed for other in others)


def _describe_register(action: Action) -> str:
    kind, value, old = action
    return f"read {value}" if kind == READ else f"cas {old} to {value}" if kind == CAS else f"write {value}"


def _step_store(state: str, action: Action) -> Any:
    kind, value, _ = action
    if kind == READ:
        return state if state == value else IMPOSSIBLE
    return state + value if kind == CAS else value


def _leads_store(state: str, action: Action, others: Sequence[Action]) -> bool:
    kind, value, _ = action
    return kind != READ or value.startswith(state) or any(other[0] == WRITE for other in others)


def _describe_store(action: Action) -> str:
    kind, value, _ = action
    return f"{'get' if kind == READ else 'append' if kind == CAS else 'put'} {value!r:.60}"


STORE: Final = Machine("", _step_store, _leads_store, _describe_store)  # one key of a key-value store
