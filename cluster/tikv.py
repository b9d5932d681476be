"""A real cluster's data through PyPI's tikv-client, behind ``cluster.api``'s Store, Txn and Snapshot.

The extension module below the package's wrapper is used, since only it returns commit timestamps and takes a time-out.
What the client gets wrong is contained here:

- it retries for long and can hang for ever (a PD whose process is frozen): every call has a time-out;
- after an error inside a transaction it goes on as if nothing had been, and would commit the rest: the first error is
  the transaction's end, and it is rolled back at once;
- an active transaction that is dropped panics in Rust: the store keeps each until it has ended, and ends what is left
  in ``close``;
- a transaction whose commit failed keeps its locks alive by heartbeats for as long as the object lives: it is let go;
- a connection that has lost its stream of timestamps does not find to PD again, it panics from then on, and one that
  has heard of a region without a leader keeps to that: another one is made.

Half a transaction reported as committed is not noticed here: reading back at the commit_ts shows it, when all is over
(``harness.readback``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from cluster.api import TxnMode
from cluster.errors import Aborted, StoreError, UnavailableBeforeCommit, Undetermined
from cluster.tikv_errors import before_commit, lost_its_connection, out_of_commit
from cluster.tikv_wheel import load_extension

T = TypeVar("T")

RPC_TIMEOUT_S = 2.0  # of one request inside the client, which retries
CONNECT_TIMEOUT_S = 8.0
CALL_TIMEOUT_S = 8.0  # below the 10 s that the interpreter gives an operation, so that the error has a name
ROLLBACK_TIMEOUT_S = 3.0


class TikvStore:
    """One connection to the cluster, made at the first use, with its own region cache.

    Args:
        addresses: of PD.
        before_commit: called right before a commit is sent.

    Its methods raise ``UnavailableBeforeCommit`` where the cluster does not answer, and ``EnvironmentFailure`` where
    tikv-client cannot be imported.
    """

    def __init__(self, addresses: Sequence[str], before_commit: Callable[[], None] = lambda: None) -> None:
        self._addresses = list(addresses)
        self.before_commit = before_commit
        self._connecting = asyncio.Lock()
        self._connection: Any = None
        self._open: set[TikvTxn] = set()
        self._tasks: set[asyncio.Future[Any]] = set()

    async def connect(self) -> Any:
        """Connect now, if that has not been done; return the client's own object."""
        async with self._connecting:
            if self._connection is None:
                extension = load_extension()
                calling = extension.TransactionClient.connect(self._addresses, RPC_TIMEOUT_S)
                self._connection = await self.answer_of(calling, CONNECT_TIMEOUT_S)
            return self._connection

    async def begin(self, mode: TxnMode) -> TikvTxn:
        """Start a transaction; takes a timestamp."""
        connection = self._connection or await self.connect()
        beginning: asyncio.Future[Any] = asyncio.ensure_future(connection.begin(mode == "pessimistic"))
        try:
            # Never cancelled: the transaction might be made just then, and be dropped while it is active.
            inner = await self.answer_of(asyncio.shield(beginning))
        except BaseException:
            self.keep(beginning)
            beginning.add_done_callback(self._discard)
            raise
        txn = TikvTxn(self, inner)
        self._open.add(txn)
        return txn

    async def snapshot(self, ts: int) -> TikvSnapshot:
        """Reads at ``ts``, which may be old."""
        connection = self._connection or await self.connect()
        return TikvSnapshot(self, connection.snapshot(ts, False), ts)

    async def current_timestamp(self) -> int:
        """Ask the TSO."""
        connection = self._connection or await self.connect()
        return await self.answer_of(connection.current_timestamp())

    async def close(self) -> None:
        """Roll back what is still open, wait for the roll-backs under way, let go of the connection."""
        for txn in list(self._open):
            txn.end()
        while self._tasks:  # a transaction that begins too late adds its roll-back
            _, late = await asyncio.wait(set(self._tasks), timeout=ROLLBACK_TIMEOUT_S)
            for task in late:
                task.cancel()
        self._connection = None

    async def answer_of(self, calling: Awaitable[T], seconds: float = CALL_TIMEOUT_S) -> T:
        """Wait for a call of the client that no commit depends on.

        Raises:
            Aborted: it failed or did not answer in time; definite, since nothing was to be committed.
        """
        loop = asyncio.get_running_loop()
        answer = asyncio.ensure_future(calling)
        timer = loop.call_later(seconds, answer.cancel)  # asyncio.timeout does the same at several times the price
        try:
            return await answer
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if loop.time() < timer.when() or (task is not None and task.cancelling()):
                raise
            raise UnavailableBeforeCommit(f"no answer within {seconds:g} s") from None
        except Exception as error:  # noqa: BLE001  (the client raises nothing more telling)
            raise self._judged(before_commit(str(error))) from None
        finally:
            timer.cancel()

    def _judged(self, failure: Aborted) -> Aborted:
        if lost_its_connection(str(failure)):
            self._connection = None  # transactions that are open hold on to it until they have ended
        return failure

    def keep(self, task: asyncio.Future[Any]) -> None:
        """Hold on to a task until it is done."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def roll_back(self, inner: Any) -> asyncio.Future[None]:
        """Start to roll a transaction of the client back; the result is there when that has ended, somehow."""
        loop = asyncio.get_running_loop()
        calling: asyncio.Future[Any] = asyncio.ensure_future(inner.rollback())
        ended: asyncio.Future[None] = loop.create_future()
        timer = loop.call_later(ROLLBACK_TIMEOUT_S, calling.cancel)

        def end(_: asyncio.Future[Any], inner: Any = inner) -> None:
            del inner  # it was to live as long as this
            timer.cancel()
            if not calling.cancelled():
                calling.exception()  # what could not be released expires
            if not ended.done():
                ended.set_result(None)

        calling.add_done_callback(end)
        self.keep(ended)
        return ended

    def forget(self, txn: TikvTxn) -> None:
        """The transaction has ended."""
        self._open.discard(txn)

    def _discard(self, beginning: asyncio.Future[Any]) -> None:
        """A transaction began that nobody waits for any more."""
        if not beginning.cancelled() and beginning.exception() is None:
            self.roll_back(beginning.result())


class TikvTxn:
    """A transaction. Its first error is its end: it is rolled back, unless the error came out of ``commit``."""

    def __init__(self, store: TikvStore, inner: Any) -> None:
        self._store = store
        self._inner: Any = inner  # None: it has ended
        self._rolling_back: asyncio.Future[None] | None = None

    @property
    def start_ts(self) -> int | None:
        """None: the client does not say."""
        return None

    async def get(self, key: bytes) -> bytes | None:
        """Read at start_ts, in a pessimistic transaction too."""
        return await self._answer(self._active().get(key))

    async def batch_get(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Read several keys at start_ts; those that are absent are left out."""
        return dict(await self._answer(self._active().batch_get(list(keys))))

    async def get_for_update(self, key: bytes) -> bytes | None:
        """Pessimistic only: lock the key, and read its newest committed value.

        Raises ``WriteConflict`` after waiting for a lock whose owner then committed: the client does not try again.
        """
        return await self._answer(self._active().get_for_update(key))

    async def lock_keys(self, keys: Sequence[bytes]) -> None:
        """Lock without writing, so that commit proves that nobody wrote since."""
        await self._answer(self._active().lock_keys(list(keys)))

    async def scan(self, start: bytes, end: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """Read ``start <= key < end`` at start_ts, in the order of keys, at most ``limit`` (and 4 MiB a region)."""
        return list(await self._answer(self._active().scan(start, end, limit, True, False)))

    async def put(self, key: bytes, value: bytes) -> None:
        """Write. A pessimistic transaction locks the key now."""
        await self._answer(self._active().put(key, value))

    async def insert(self, key: bytes, value: bytes) -> None:
        """Write a key that must not exist. Raises KeyExists, at commit if optimistic."""
        await self._answer(self._active().insert(key, value))

    async def delete(self, key: bytes) -> None:
        """Delete. A pessimistic transaction locks the key now."""
        await self._answer(self._active().delete(key))

    async def commit(self) -> int | None:
        """Commit; return the commit_ts, or None where nothing was written.

        A definite error has been followed by a roll-back, so that no lock stays.

        Raises:
            Aborted: it certainly did not happen.
            Undetermined: nobody knows. It is not rolled back: that would be sent to the cluster, and decide it.
        """
        inner = self._let_go()
        self._store.before_commit()
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                return await inner.commit()
        except TimeoutError:
            outcome: StoreError = Undetermined(f"no answer to commit within {CALL_TIMEOUT_S:g} s")
        except Exception as error:  # noqa: BLE001  (the client raises nothing more telling)
            outcome = out_of_commit(str(error))
        if outcome.definite:
            self._rolling_back = self._store.roll_back(inner)
        # Heartbeats go on while the object lives, and this frame lives as long as the exception.
        del inner
        if self._rolling_back is not None:
            await asyncio.shield(self._rolling_back)
        raise outcome

    async def rollback(self) -> None:
        """Give up and release the locks, in a time-out of its own; what could not be released expires.

        Nothing is sent after ``commit`` was called, whatever came of it.
        """
        self.end()
        if self._rolling_back is not None:
            await asyncio.shield(self._rolling_back)

    def end(self) -> None:
        """Start the roll-back, if the transaction is active; ``rollback`` and the store's ``close`` wait for it."""
        if self._inner is not None:
            self._rolling_back = self._store.roll_back(self._let_go())

    async def _answer(self, calling: Awaitable[T]) -> T:
        try:
            return await self._store.answer_of(calling)
        except BaseException:  # a cancellation too
            self.end()
            raise

    def _active(self) -> Any:
        if self._inner is None:
            raise Aborted("the transaction has ended")
        return self._inner

    def _let_go(self) -> Any:
        inner = self._active()
        self._inner = None
        self._store.forget(self)
        return inner


class TikvSnapshot:
    """Reads at one timestamp."""

    def __init__(self, store: TikvStore, inner: Any, ts: int) -> None:
        self._store = store
        self._inner = inner
        self._ts = ts

    @property
    def ts(self) -> int:
        """The timestamp."""
        return self._ts

    async def get(self, key: bytes) -> bytes | None:
        """Read one key."""
        return await self._store.answer_of(self._inner.get(key))

    async def batch_get(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Read several keys; those that are absent are left out."""
        return dict(await self._store.answer_of(self._inner.batch_get(list(keys))))

    async def scan(self, start: bytes, end: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """Read ``start <= key < end`` in the order of keys, at most ``limit`` (and 4 MiB a region)."""
        return list(await self._store.answer_of(self._inner.scan(start, end, limit, True, False)))
