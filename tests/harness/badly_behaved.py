"""A workload without a store, whose clients do to their process whatever an operation says."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

from harness.columns import PlainEncoder
from harness.op import OK


class Definite(Exception):
    definite = True
    word = "write-conflict"


class Panic(BaseException):
    """As the Rust client's panics: no Exception."""


class Client:
    def __init__(self, store) -> None:
        self.store = store
        self.seen = None

    async def invoke(self, op):
        self.seen = None
        return op.replace(type=OK, value=await getattr(self, op.f)(op.value))

    def partial(self, op):
        return self.seen or op.value

    async def close(self):
        pass

    async def echo(self, value):
        return value

    async def pid(self, _value):
        return os.getpid()

    async def nap(self, value):
        began = time.monotonic_ns()
        await asyncio.sleep(value)
        return [began, time.monotonic_ns()]

    async def hold(self, value):
        self.seen = {"seen": value}
        await asyncio.sleep(60)

    async def leave(self, value):
        await asyncio.sleep(value or 0)
        os._exit(3)

    async def block(self, _value):
        time.sleep(60)  # noqa: ASYNC251 (the point of it)

    async def freeze(self, _value):
        os.kill(os.getpid(), signal.SIGSTOP)
        await asyncio.sleep(60)

    async def panic(self, _value):
        raise Panic("Option::unwrap() on a None value")

    async def conflict(self, _value):
        raise Definite("somebody else was first")

    async def too_much(self, _value):
        return 2**70

    async def commit(self, value):
        self.store.before_commit()
        await asyncio.sleep(value)


class BadlyBehaved:
    OPTIONS = ()
    encoder = PlainEncoder()

    def __init__(self, options, run_id) -> None:
        self.options = options

    async def setup(self, store):
        del store

    def client(self, store):
        return Client(store)


class Refusing(BadlyBehaved):
    """Cannot be made elsewhere."""

    def __init__(self, options, run_id) -> None:
        if is_elsewhere():
            raise RuntimeError("not here")
        super().__init__(options, run_id)


def is_elsewhere() -> bool:
    return "pytest" not in sys.modules


class LoggingClient(Client):
    """Says in a file that it has begun, before anything else."""

    async def invoke(self, op):
        self.note(op.value)
        return await super().invoke(op)

    def note(self, value):
        with Path(value["path"]).open("a") as log:
            log.write(f"{value['number']}\n")

    async def log(self, value):
        await asyncio.sleep(value["ms"] / 1000)
        return value

    async def log_and_leave(self, _value):
        os._exit(3)

    async def log_and_block(self, _value):
        time.sleep(60)  # noqa: ASYNC251 (the point of it)

    async def log_and_hold(self, value):
        await asyncio.sleep(60)

    async def log_and_sleep(self, value):
        await asyncio.sleep(0.28)
        return value

    async def log_and_refuse(self, value):
        raise Definite("somebody else was first")

    async def log_and_too_much(self, value):
        return {**value, "more": 2**70}

    async def log_and_far_too_long(self, value):
        return {**value, "more": "x" * (17 << 20)}


class Logging(BadlyBehaved):
    def client(self, store):
        return LoggingClient(store)
