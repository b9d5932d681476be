"""All kinds of histories, and how the kind of one is told from its operations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Final

from checkers.bank.kind import BANK, BANK_TOTALS
from checkers.collections.kind import COUNTER, QUEUE, SET, TIMESTAMPS
from checkers.kind import Kind
from checkers.register.kind import KV, REGISTER
from checkers.txn.kind import LIST_APPEND, RW_REGISTER
from harness.exit_codes import UsageError
from harness.op import Op
from harness.suggest import unknown_name

KINDS: Final[Mapping[str, Kind]] = {
    kind.name: kind
    for kind in (LIST_APPEND, RW_REGISTER, BANK, BANK_TOTALS, REGISTER, KV, SET, COUNTER, QUEUE, TIMESTAMPS)
}

SAMPLE: Final = 500  # operations that are looked at
_NAMED: Final = 8  # things done, in an error


def kind_of(name: str) -> Kind:
    """The kind of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in KINDS:
        raise unknown_name("kind", name, KINDS)
    return KINDS[name]


def tell(ops: Iterable[Op], name: str = "this history") -> Kind:
    """The one kind that some of the first operations affirm and none contradicts; or else the fewest contradict.

    Who reads the history as one of that kind will find what contradicts it, and say where.

    Args:
        ops: the operations; those of the nemesis say nothing.
        name: of the history, for the error.

    Raises:
        UsageError: there is none, or more than one.
    """
    clients = list(islice((op for op in ops if op.is_client), SAMPLE))
    if not clients:
        raise UsageError(f"{name} has no operations of clients among its first ones; --kind says of which kind it is")
    against: dict[str, int] = {}
    affirmed: list[str] = []
    for kind in KINDS.values():
        said = [kind.recognises(op) for op in clients]
        against[kind.name] = said.count(False)
        if True in said:
            affirmed.append(kind.name)
    fewest = min(against[each] for each in affirmed or against)
    best = [each for each in affirmed or against if against[each] == fewest]
    if affirmed and len(best) == 1 and fewest * 2 < len(clients):
        return KINDS[best[0]]
    if not fewest:
        raise UsageError(f"{name} could be of more than one kind ({', '.join(best)}): say with --kind which it is")
    done = ", ".join(f"{f!a:.40}" for f in sorted({op.f for op in clients})[:_NAMED])
    raise UsageError(f"{name}, with {done}, is of no kind that can be told; --kind says it, one of {', '.join(KINDS)}")
