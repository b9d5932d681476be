"""What the client's messages prove. The texts are tikv-client 0.0.4's own; test_tikv_standin provokes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import (
    Aborted,
    KeyExists,
    LockTimeout,
    RolledBack,
    UnavailableBeforeCommit,
    Undetermined,
    WriteConflict,
)
from cluster.tikv_errors import before_commit, lost_its_connection, out_of_commit, shorten

_REST = (
    "deadlock: None, commit_ts_expired: None, txn_not_found: None, commit_ts_too_large: None, assertion_failed: None"
)


def key_error(*, abort: str = "", conflict: str = "None", exists: str = "None") -> str:
    return (
        f'KeyError(KeyError {{ locked: None, retryable: "", abort: "{abort}", conflict: {conflict}, '
        f"already_exist: {exists}, {_REST} }})"
    )


CONFLICT = key_error(conflict="Some(WriteConflict { start_ts: 2, conflict_ts: 1, key: [97], primary: [] })")
EXISTS = key_error(exists="Some(AlreadyExist { key: [97] })")
LOST = key_error(abort="Error(Txn(Error(Mvcc(Error(PessimisticLockNotFound { start_ts: TimeStamp(1) })))))")


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        (f"Multiple key errors: [{CONFLICT}]", WriteConflict),
        (f"Multiple key errors: [{EXISTS}]", KeyExists),
        ("Failed to resolve lock", LockTimeout),
        # Not from prewrite, or nobody knows from where.
        (f"Multiple errors: [MultipleKeyErrors([{CONFLICT}])]", Undetermined),
        ("Multiple errors: [ResolveLockError([])], Failed to resolve lock", Undetermined),
        (f"Multiple key errors: [{LOST}]", Undetermined),
        ("gRPC error: transport error", Undetermined),
        ('gRPC api error: status: Unavailable, message: "conflict: Some(WriteConflict"', Undetermined),
        ("Whether the transaction is committed or not is undetermined", Undetermined),
        ("Region error: Error { not_leader: Some(NotLeader { region_id: 19, leader: None }) }", Undetermined),
        ("rust future panicked", Undetermined),
        ("", Undetermined),
    ],
)
def test_out_of_commit_only_the_proved_messages_are_definite(text, outcome):
    assert type(out_of_commit(text)) is outcome


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        (f"PessimisticLock error: MultipleKeyErrors([{CONFLICT}])", WriteConflict),
        (f"PessimisticLock error: MultipleKeyErrors([{EXISTS}])", KeyExists),
        ("Duplicate key insertion", KeyExists),
        ("PessimisticLock error: ResolveLockError([LockInfo { primary_lock: [97] }])", LockTimeout),
        ("Failed to resolve lock", LockTimeout),
        (f"Multiple key errors: [{LOST}]", RolledBack),
        ("rust future panicked", UnavailableBeforeCommit),
        ("gRPC error: transport error", UnavailableBeforeCommit),
    ],
)
def test_before_commit_the_message_only_gives_the_name(text, outcome):
    assert type(before_commit(text)) is outcome


@given(st.text())
def test_any_text_is_definite_before_commit_and_undetermined_out_of_it(text):
    assert isinstance(before_commit(text), Aborted)
    assert type(out_of_commit(text)) is Undetermined


@given(st.text(max_size=2000))
def test_a_shortened_text_is_one_short_line(text):
    line = shorten(text)
    assert len(line) <= 200
    assert len(line.splitlines()) <= 1


def test_what_a_key_error_does_not_say_is_left_out():
    conflict = "conflict: Some(WriteConflict { start_ts: 2, conflict_ts: 1, key: [97], })"
    assert (
        shorten(f"Multiple key errors: [{CONFLICT}]") == f"Multiple key errors: [KeyError(KeyError {{ {conflict}, }})]"
    )


def test_paths_of_the_build_machine_are_left_out():
    text = "[/root/.cargo/git/checkouts/client-rust/b12f95e/src/pd/cluster.rs:189]: PD cluster failed to respond"
    assert shorten(text) == "PD cluster failed to respond"


@pytest.mark.parametrize(
    ("text", "is_lost"),
    [
        ("Leader of region 40 is not found", True),
        ("PessimisticLock error: Leader of region 40 is not found", True),
        ("TimestampRequest channel is closed", True),
        ("rust future panicked", True),
        ("Region error: Error { not_leader: Some(NotLeader { region_id: 40, leader: None }) }", False),  # it asks again
        ("gRPC error: transport error", False),
    ],
)
def test_a_connection_that_does_not_recover_by_itself_is_given_up(text, is_lost):
    assert lost_its_connection(text) is is_lost
