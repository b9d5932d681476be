"""From a map of Jepsen's to an operation.

What a map may lack: ``:index`` (then the position counts), ``:time`` (then it is 0, and the order of the file counts),
``:f`` of a transaction (then it is ``txn``) and ``:process`` (then invocations and completions alternate, and every
operation has a process of its own). -1 is Jepsen's way to say that an index or a time is not there. Whatever process
is a name is treated like the nemesis: both its entries are ``info``. ``:key`` beside ``:value`` is Porcupine's way to
write a value of one key among several, which is ``[key, value]`` here. All other keys go to ``ext``; so does an
``index`` that is not the position, and the name of a ``process`` that is another than the nemesis.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from harness.formats.edn_reader import EdnError, read_value
from harness.formats.form import no_operation
from harness.op import INFO, INVOKE, NEMESIS, Op, OpType

UNSET: Final = -1
_MAX: Final = 2**63 - 1


class Whole(Op, forbid_unknown_fields=True):
    """An operation as it stands in the file, with everything in it."""


class Raw(Op, kw_only=True, forbid_unknown_fields=True):
    """An operation as it stands in the file, before what is missing was filled in."""

    index: int = UNSET
    time: int = UNSET
    process: int | str | None = None  # pyright: ignore[reportIncompatibleVariableOverride, reportGeneralTypeIssues]
    type: OpType
    f: str | None = None  # pyright: ignore[reportIncompatibleVariableOverride, reportGeneralTypeIssues]
    key: Any = msgspec.UNSET


_FIELDS: Final = frozenset(Raw.__struct_fields__)


def raw_of(value: Any) -> Raw:
    """What a map says.

    Raises:
        ValueError: it is not an operation.
    """
    if not isinstance(value, dict):
        raise ValueError("not an operation: it is not a map")  # noqa: TRY004 (it is the file that is wrong)
    fields = {key: value[key] for key in value.keys() & _FIELDS}
    if len(fields) < len(value):
        _sort_out(value, fields)
    error = fields.get("error")
    if error is not None and not isinstance(error, (str, list)):
        fields["error"] = [error]
    node = fields.get("node")
    if node is not None and not isinstance(node, str):
        fields["ext"] = {**(fields.get("ext") or {}), "node": fields.pop("node")}
    for name in ("index", "time"):
        if fields.get(name, UNSET) is None:
            del fields[name]
    try:
        return msgspec.convert(fields, Raw)
    except msgspec.ValidationError as problem:
        raise ValueError(no_operation(problem)) from None


def _sort_out(value: dict[str, Any], fields: dict[str, Any]) -> None:
    """Deal with the keys that are no fields."""
    others = {key: each for key, each in value.items() if key not in _FIELDS}
    ext = fields.get("ext")
    fields["ext"] = {**others, **ext} if isinstance(ext, dict) else others


def settled(raw: Raw | Whole, index: int) -> Op:
    """The operation at the place ``index`` of its history.

    Raises:
        ValueError: something in it cannot be.
    """
    ext = dict(raw.ext) if raw.ext is not None else None
    if raw.index not in (UNSET, index):
        ext = {**(ext or {}), "index": _natural("index", raw.index)}
    kind, process = raw.type, raw.process
    if process is None:
        if (kind == INVOKE) != (index % 2 == 0):
            what = "a completion" if kind == INVOKE else "an invocation"
            raise ValueError(f"without a process, invocations and completions alternate, so it should be {what}")
        process = index // 2
    elif isinstance(process, str):
        if process != NEMESIS:
            ext = {**(ext or {}), "process": process}
        kind, process = INFO, NEMESIS
    elif not 0 <= process <= _MAX:
        raise ValueError("the process is neither a number from 0 nor a name")
    time = 0 if raw.time == UNSET else _natural("time", raw.time)
    f, value = raw.f, raw.value
    if isinstance(raw, Raw) and raw.key is not msgspec.UNSET:
        value = [raw.key, value]
    if f is None:
        if not _is_transaction(value):
            raise ValueError("it does not say what is done (:f)")
        f = "txn"
    return Op(index, time, process, kind, f, value, raw.error, raw.node, ext)


def _natural(name: str, number: int) -> int:
    if not 0 <= number <= _MAX:
        raise ValueError(f"the {name} {number} is not within 0 and 2^63")
    return number


def _is_transaction(value: Any) -> bool:
    return value is None or (
        isinstance(value, list)
        and all(isinstance(micro, list) and len(micro) >= 2 and isinstance(micro[0], str) for micro in value)
    )


def op_of(text: bytes, index: int) -> Op:
    """The operation that ``text`` begins with.

    Raises:
        ValueError: it is none.
    """
    try:
        value, _ = read_value(text)
    except EdnError as error:
        raise ValueError(str(error)) from None
    return settled(raw_of(value), index)
