"""One entry of a history: the unit that everything else produces, carries or judges.

The map is Jepsen's (index, time, type, process, f, value, error and free keys), so that a history of either harness
reads like one of the other.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

OpType = Literal["invoke", "ok", "fail", "info"]

INVOKE: Final = "invoke"
OK: Final = "ok"  # it happened
FAIL: Final = "fail"  # it certainly did not
INFO: Final = "info"  # nobody knows; the process number is retired

NEMESIS: Final = "nemesis"
HEAL_ALL: Final = "heal-all"  # the nemesis operation that ends the faults: makers and readers of histories share it


class Op(msgspec.Struct, omit_defaults=True):
    """An invocation or a completion.

    Attributes:
        index: dense position in the history, from 0.
        time: nanoseconds since the start of the run, on a monotonic clock.
        process: a logical process (an int, never used again after ``info``) or ``"nemesis"``.
        type: ``invoke``, ``ok``, ``fail`` or ``info``. Both entries of a nemesis operation are ``info``.
        f: what is done: ``transfer``, ``read``, ``start-partition`` ...
        value: the workload's own; plain JSON values only.
        error: why it is not ``ok``: a short stable word, or a list of a word and details.
        node: the node it was sent to, where there is one.
        ext: free keys.
    """

    index: int
    time: int
    process: int | str
    type: OpType
    f: str
    value: Any = None
    error: str | list[Any] | None = None
    node: str | None = None
    ext: dict[str, Any] | None = None

    @property
    def is_client(self) -> bool:
        """Whether a client process did it, not the nemesis."""
        return self.process != NEMESIS

    @property
    def error_word(self) -> Any:
        """The short word of ``error``, None if there is no error."""
        return self.error[0] if isinstance(self.error, list) and self.error else self.error

    def replace(self, **changes: Any) -> Op:
        """Return a copy with ``changes``."""
        return msgspec.structs.replace(self, **changes)
