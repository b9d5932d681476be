"""A region's member on a store: the commands of clients, from the checks of the header to the answer.

Reads are served by the leader from what is applied, once Raft has confirmed that this is the newest. Writes take their
latches, are evaluated like reads, and are answered when what they write has been applied. The region's version is
checked when a command comes, again when it is evaluated, and again when its entry is applied.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, Protocol

from cluster.sim.latches import Latches, Ticket
from cluster.sim.mvcc import Mvcc
from cluster.sim.percolator import Evaluation, evaluate, latch_keys
from cluster.sim.raft import Raft
from cluster.sim.raft_log import RaftStorage
from cluster.sim.region_machine import RegionMachine, SplitEntry, WriteEntry
from cluster.sim.wire import (
    BatchGet,
    Command,
    Done,
    EpochNotMatch,
    Get,
    KeyNotInRegion,
    NotLeader,
    Region,
    RegionContext,
    RegionError,
    ResolveLock,
    Scan,
    StaleCommand,
    StoreRequest,
)

Reply = Callable[[Any], None]

# Where the log of a region begins, as in TiKV: above the empty log (0, 0) of a member that knows nothing yet.
INITIAL_INDEX: Final = 5
INITIAL_TERM: Final = 5

_DONE: Final = Done()
_STALE: Final = StaleCommand()


class PeerHost(Protocol):
    """The store, as its peers see it."""

    bugs: frozenset[str]

    def make_raft(self, region_id: int, peers: Sequence[str], machine: RegionMachine, storage: RaftStorage) -> Raft:
        """A member of the region's Raft group on this node."""
        ...

    def region_split(self, parent: Peer, right: Region, data: Mvcc) -> None:
        """A peer has applied a split; ``right`` is the new region, flushed."""
        ...

    def region_of(self, region_id: int) -> Region | None:
        """A region as applied on this store."""
        ...


class Peer:
    """One member of one region. Its Raft log and its machine stand for its disk, too, and outlive the process.

    Attributes:
        split_off: ids of the regions that were split off this one here.
    """

    def __init__(self, host: PeerHost, region_id: int, region: Region | None, data: Mvcc) -> None:
        self.region_id = region_id
        self.split_off: list[int] = []
        self._host = host
        self._latches = Latches()
        index, term = (INITIAL_INDEX, INITIAL_TERM) if region is not None else (0, 0)
        self.machine = RegionMachine(
            region, index, data, on_split=partial(host.region_split, self), on_restore=self._learn_members
        )
        peers = region.peers if region is not None else ()
        self.raft = host.make_raft(region_id, peers, self.machine, RaftStorage(index, term))

    @property
    def region(self) -> Region | None:
        """Its bounds as applied; None: created by a message, and waiting for the split or a snapshot."""
        return self.machine.region

    def _learn_members(self, region: Region) -> None:
        self.raft.set_peers(region.peers)

    # Life.

    def start(self, *, campaign: bool = False) -> None:
        """Take part in the region's Raft group. ``campaign``: stand for election at once."""
        self.raft.start(campaign=campaign)

    def lose_memory(self) -> None:
        """The process was killed."""
        self._latches = Latches()
        self.machine.lose_unflushed()
        self.raft.stop()

    def initialise(self, region: Region, data: Mvcc) -> None:
        """The split has come that makes the region of a member which a message had created.

        The term and the vote stay: this member may have voted already.
        """
        self.raft.log.reset(INITIAL_INDEX, INITIAL_TERM)
        self.machine.become(region, INITIAL_INDEX, data)
        self.raft.restored()

    # The header of a request.

    def refusal(self, context: RegionContext) -> RegionError | None:
        """Why a request with this header is not served here now, in TiKV's order; None: it is."""
        if self.raft.leadership is None:
            return NotLeader(self.region_id, self.raft.leader)
        return self._epoch_refusal(context)

    def _epoch_refusal(self, context: RegionContext) -> RegionError | None:
        region = self.machine.region
        assert region is not None
        return None if context.epoch == region.epoch else self._epoch_mismatch(region)

    def _epoch_mismatch(self, region: Region) -> EpochNotMatch:
        """With the regions into which it was split, so that the client need not ask PD, which may not know yet."""
        others = [self._host.region_of(region_id) for region_id in self.split_off]
        return EpochNotMatch((region, *(other for other in others if other is not None)))

    # Commands.

    def execute(self, request: StoreRequest, reply: Reply) -> None:
        """Serve a command whose header was in order."""
        command = request.command
        keys = latch_keys(command, self.machine.data)
        region = self.machine.region
        assert region is not None
        for key in keys or _read_keys(command):
            if not region.contains(key):
                reply(KeyNotInRegion(key))
                return
        if keys:
            self._queue(request, keys, reply)
        else:
            self.raft.read(partial(self._serve, request, reply))

    def _serve(self, request: StoreRequest, reply: Reply, confirmed: bool) -> None:
        """Answer a command that writes nothing. What it is evaluated against is confirmed to be the newest."""
        refusal = self._refusal_now(request, confirmed)
        if refusal is not None:
            reply(refusal)
            return
        evaluation = evaluate(self.machine.data, request.command, self._host.bugs)
        if evaluation.batch is None:
            reply(evaluation.answer)
        else:  # a ResolveLock that had nothing to do when it came, but has now
            self._queue(request, latch_keys(request.command, self.machine.data), reply)

    def _refusal_now(self, request: StoreRequest, confirmed: bool) -> RegionError | None:
        return self._epoch_refusal(request.context) if confirmed else NotLeader(self.region_id, self.raft.leader)

    # Writing commands.

    def _queue(self, request: StoreRequest, keys: tuple[bytes, ...], reply: Reply) -> None:
        def latched(ticket: Ticket) -> None:
            self.raft.read(partial(self._write, ticket, request, reply))

        self._latches.acquire(keys, latched)

    def _write(self, ticket: Ticket, request: StoreRequest, reply: Reply, confirmed: bool) -> None:
        refusal = self._refusal_now(request, confirmed)
        if refusal is not None:
            self._finish(ticket, reply, refusal)
            return
        data, command = self.machine.data, request.command
        if isinstance(command, ResolveLock):  # it may have waited: the locks may be others by now
            keys = latch_keys(command, data)
            if not set(keys) <= set(ticket.keys):
                self._queue(request, keys, reply)
                self._latches.release(ticket)
                return
        evaluation = evaluate(data, command, self._host.bugs)
        if evaluation.batch is None:
            self._finish(ticket, reply, evaluation.answer)
            return
        entry = WriteEntry(request.context.epoch.version, evaluation.batch)
        self.raft.propose(entry, partial(self._applied, ticket, reply, evaluation))

    def _applied(self, ticket: Ticket, reply: Reply, evaluation: Evaluation, applied: bool) -> None:
        answer = self._outcome(applied)
        self._finish(ticket, reply, evaluation.answer if answer is _DONE else answer)

    def _outcome(self, applied: bool) -> Done | RegionError:
        """What became of the entry that has just been applied, or was given up."""
        if not applied:
            return _STALE
        region = self.machine.region
        assert region is not None
        return self._epoch_mismatch(region) if self.machine.discarded else _DONE

    def _finish(self, ticket: Ticket, reply: Reply, answer: Any) -> None:
        reply(answer)
        self._latches.release(ticket)

    # Administration.

    def split(self, version: int, key: bytes, new_id: int, reply: Reply) -> None:
        """Split the region at ``key`` if it still has that version; reply Done or why not."""
        self.raft.propose(SplitEntry(version, key, new_id), lambda applied: reply(self._outcome(applied)))


def _read_keys(command: Command) -> tuple[bytes, ...]:
    if isinstance(command, Get):
        return (command.key,)
    if isinstance(command, BatchGet):
        return command.keys
    return (command.start,) if isinstance(command, Scan) else ()
