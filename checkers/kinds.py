"""All kinds of histories, and how the kind of one is told from its operations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Final

from checkers.bank.kind import BANK
from checkers.collections.kind import COUNTER, QUEUE, SET, TIMESTAMPS
from checkers.kind import Kind
from checkers.register.kind import KV, REGISTER
from checkers.txn.kind import LIST_APPEND, RW_REGISTER
from harness.exit_codes import UsageError
from harness.op import Op
from harness.suggest import unknown_name

KINDS: Final[Mapping[str, Kind]] = {
    kind.name: kind for kind in (LIST_APPEND, RW_REGISTER, BANK, REGISTER, KV, SET, COUNTER, QUEUE, TIMESTAMPS)
}

SAMPLE: Final = 500  # operations that are looked at


def kind_of(name: str) -> Kind:
    """The kind of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in KINDS:
        raise unknown_name("kind", name, KINDS)
    return KINDS[name]


def tell(ops: Iterable[Op], name: str = "this history") -> Kind:
    """The one kind that none of the first operations contradicts and one of them affirms.

    Args:
        ops: the operations; those of the nemesis say nothing.
        name: of the history, for the error.

    Raises:
        UsageError: there is none, or more than one.
    """
    clients = list(islice((op for op in ops if op.is_client), SAMPLE))
    possible, affirmed = [], []
    for kind in KINDS.values():
        said = {kind.recognises(op) for op in clients}
        if False not in said:
            possible.append(kind)
            if True in said:
                affirmed.append(kind)
    if len(affirmed) == 1:
        return affirmed[0]
    if affirmed or (possible and clients):
        names = ", ".join(kind.name for kind in affirmed or possible)
        raise UsageError(f"{name} could be of more than one kind ({names}): say with --kind which it is")
    raise UsageError(f"{name} is of no kind that can be told; --kind says it, one of {', '.join(KINDS)}")
