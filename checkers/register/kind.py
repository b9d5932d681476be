"""The kinds of histories that are about registers."""

from __future__ import annotations

from typing import Final

from checkers.kind import Kind, recognised_by
from checkers.models import LINEARIZABLE, OF_REGISTERS
from checkers.register.columns import KvEncoder, RegisterEncoder
from checkers.register.consistency import RegisterConsistency
from checkers.register.kv import KvLinearizability

REGISTER: Final = Kind(
    name="register",
    summary="reads, writes and compare-and-set of one register, or of many by key",
    recognises=recognised_by(RegisterEncoder, ("write", "cas")),
    encoder=RegisterEncoder,
    checkers=lambda: [RegisterConsistency()],
    models=OF_REGISTERS,
    default=(LINEARIZABLE,),
)
KV: Final = Kind(
    name="kv",
    summary="get, put and append of strings by key",
    recognises=recognised_by(KvEncoder, ("get", "put", "append")),
    encoder=KvEncoder,
    checkers=lambda: [KvLinearizability()],
    models=OF_REGISTERS,
    default=(LINEARIZABLE,),
)
