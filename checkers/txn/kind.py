"""The kinds of histories that are transactions of micro-operations."""

from __future__ import annotations

from typing import Final

from checkers.kind import Kind
from checkers.models import STRICT_SERIALIZABLE, TRANSACTIONAL
from checkers.txn.checker import ListAppend, RwRegister
from checkers.txn.columns import ListAppendEncoder, RegisterEncoder
from harness.op import Op


def _appends(op: Op) -> bool | None:
    """Whether an operation is a transaction over lists; None where only nothing was read."""
    if not isinstance(op.value, list):
        return False
    found = None
    for each in op.value:
        if not isinstance(each, list | tuple) or len(each) != 3:
            return False
        f, _, value = each
        if f == "append":
            found = True
        elif f != "r" or not (value is None or isinstance(value, list)):
            return False
        elif value is not None:
            found = True
    return found


def _writes(op: Op) -> bool | None:
    """Whether an operation is a transaction over registers; None where only nothing was read."""
    if not isinstance(op.value, list):
        return False
    found = None
    for each in op.value:
        if not isinstance(each, list | tuple) or len(each) != 3:
            return False
        f, _, value = each
        if f not in ("r", "w") or isinstance(value, list):
            return False
        if f == "w" or value is not None:
            found = True
    return found


LIST_APPEND: Final = Kind(
    name="list-append",
    summary="transactions that append to lists and read them",
    recognises=_appends,
    encoder=ListAppendEncoder,
    checkers=lambda: (ListAppend(),),
    models=TRANSACTIONAL,
    default=(STRICT_SERIALIZABLE,),
)
RW_REGISTER: Final = Kind(
    name="rw-register",
    summary="transactions that write and read registers, each value once",
    recognises=_writes,
    encoder=RegisterEncoder,
    checkers=lambda: (RwRegister(),),
    models=TRANSACTIONAL,
    default=(STRICT_SERIALIZABLE,),
    with_key_order=lambda order: (RwRegister(sequential_keys=True, linearizable_keys=order == "linearizable"),),
)
