"""The kinds of histories that are transactions of micro-operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from checkers.kind import Kind
from checkers.models import STRICT_SERIALIZABLE, TRANSACTIONAL
from checkers.txn.checker import ListAppend, RwRegister
from checkers.txn.columns import ListAppendEncoder, RegisterEncoder
from harness.op import Op


def _transaction(write: str, *, of_lists: bool) -> Callable[[Op], bool | None]:
    """What recognises a transaction by its micro-operations: False if it is none, None if only nothing was read."""

    def told(op: Op) -> bool | None:
        if not isinstance(op.value, list):
            return False
        found = None
        for each in op.value:
            if not isinstance(each, list | tuple) or len(each) != 3 or each[0] not in ("r", write):
                return False
            is_list = isinstance(each[2], list)
            if each[0] == write:
                if is_list and not of_lists:
                    return False
                found = True
            elif each[2] is not None:
                if is_list is not of_lists:
                    return False
                found = True
        return found

    return told


LIST_APPEND: Final = Kind(
    name="list-append",
    summary="transactions that append to lists and read them",
    recognises=_transaction("append", of_lists=True),
    encoder=ListAppendEncoder,
    checkers=lambda: (ListAppend(),),
    models=TRANSACTIONAL,
    default=(STRICT_SERIALIZABLE,),
)
RW_REGISTER: Final = Kind(
    name="rw-register",
    summary="transactions that write and read registers, each value once",
    recognises=_transaction("w", of_lists=False),
    encoder=RegisterEncoder,
    checkers=lambda: (RwRegister(),),
    models=TRANSACTIONAL,
    default=(STRICT_SERIALIZABLE,),
    with_key_order=lambda order: (RwRegister(sequential_keys=True, linearizable_keys=order == "linearizable"),),
)
