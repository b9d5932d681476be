"""The operations of registers as integers.

A register has ``read``, ``write`` and ``cas``; a history has one of them, or many that Jepsen calls independent: then
every value is a list of the key and the value proper. A key-value store has ``get``, ``put`` and ``append`` of
strings, with a key always. What a write or a cas was to do is told by its invocation, what a read saw by its
completion; nothing else counts, so a client may put what it likes into the completion of what is not ok.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from harness.names import NIL, Names
from harness.op import INVOKE, OK, Op

READ, WRITE, CAS = range(3)  # codes of what is done
REGISTER_F: Final = {"read": READ, "write": WRITE, "cas": CAS}
KV_F: Final = {"get": READ, "put": WRITE, "append": CAS}  # an append replaces a value by one that depends on it

_NOTHING: Final = (NIL, NIL, NIL)
_UNTOLD: Final = [None, None]  # instead of a value that does not count
_SMALL: Final = 1 << 62  # integers below this in size stand for themselves, and need not be looked up


class RegisterEncoder:
    """The ``RowEncoder`` of registers, one for each history.

    Fields: the key (``NIL`` where the history has one register only), the value written or seen, and of a cas the value
    that it expects.
    """

    name = "register"
    version = 1
    fields: tuple[str, ...] = ("key", "value", "old")
    row_fields: tuple[str, ...] = ()

    def __init__(self) -> None:
        self._names = Names()
        self._keyed: bool | None = None

    def encode(self, op: Op) -> tuple[Sequence[int], Sequence[int]]:
        """Return key, value and old of the operation.

        Raises:
            ValueError: it is no operation of a register, or some have a key and some have none.
        """
        if not op.is_client:
            return _NOTHING, ()
        if op.f not in REGISTER_F:
            raise ValueError(f"a register knows read, write and cas, not {op.f!r}")
        if op.type == INVOKE or (op.type == OK and op.f == "read"):
            return self._encode(op.f, op.value), ()
        return _NOTHING, ()

    def encode_many(self, ops: Sequence[Op]) -> tuple[list[list[int]], list[int], list[list[int]]]:
        """The same for many operations at once, see ``harness.protocols.EncodesMany``."""
        pairs = [op.value if op.type == INVOKE or (op.type == OK and op.f == "read") else _UNTOLD for op in ops]
        cas = [at for at, op in enumerate(ops) if op.f == "cas" and pairs[at] is not _UNTOLD]
        simple = (
            self._keyed is not False
            and {op.f for op in ops} <= REGISTER_F.keys()  # so the nemesis is not among them
            and {type(pair) for pair in pairs} == {list}
            and {len(pair) for pair in pairs} == {2}
            and all(_is_pair(pairs[at][1]) for at in cas)
        )
        if not simple:
            return list(map(list, zip(*[self.encode(op)[0] for op in ops], strict=True))), [0] * len(ops), []
        if any(pair is not _UNTOLD for pair in pairs):
            self._keyed = True
        code = self._names.code
        keys, values = zip(*pairs, strict=True)
        values, olds = list(values), [NIL] * len(ops)
        for at in cas:
            old, values[at] = values[at]
            olds[at] = code(old)
        keys, values = (
            [one if type(one) is int and -_SMALL < one < _SMALL else number(one) for one in column]
            for column, number in ((keys, self._names.key), (values, code))
        )
        return [keys, values, olds], [0] * len(ops), []

    def _encode(self, f: str, value: Any) -> tuple[int, int, int]:
        code = self._names.code
        key = NIL
        if self._told_keyed(f, value):
            key, value = self._names.key(value[0]), value[1]
        if f != "cas":
            return key, code(value), NIL
        if not _is_pair(value):
            raise ValueError("a cas has two values, the old and the new one")
        return key, code(value[1]), code(value[0])

    def _told_keyed(self, f: str, value: Any) -> bool:
        keyed = _is_pair(value) and (f != "cas" or isinstance(value[1], list))
        if isinstance(value, list) and not keyed and f != "cas":
            raise ValueError("a key and a value are a list of two")
        if self._keyed is None:
            self._keyed = keyed
        if keyed != self._keyed:
            raise ValueError("some values are a list of a key and a value, and some are not")
        return keyed


class KvEncoder:
    """The ``RowEncoder`` of a key-value store of strings; fields as those of a register, ``old`` always ``NIL``."""

    name = "kv"
    version = 1
    fields: tuple[str, ...] = ("key", "value", "old")
    row_fields: tuple[str, ...] = ()

    def __init__(self) -> None:
        self._names = Names()

    def encode(self, op: Op) -> tuple[Sequence[int], Sequence[int]]:
        """Return key, value and ``NIL``.

        Raises:
            ValueError: it is no operation of such a store.
        """
        if not op.is_client:
            return _NOTHING, ()
        if op.f not in KV_F:
            raise ValueError(f"a key-value store knows get, put and append, not {op.f!r}")
        asks, tells = op.type == INVOKE, op.type == OK and op.f == "get"
        if not asks and not tells:
            return _NOTHING, ()
        if not _is_pair(op.value):
            raise ValueError("a key and a value are a list of two")
        key, value = op.value
        if not isinstance(value, str) and not (asks and op.f == "get"):
            raise ValueError("the values of a key-value store are strings")
        return (self._names.key(key), self._names.code(value), NIL), ()


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2
