"""The run's folder and the faults journal."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.exit_codes import EnvironmentFailure, UsageError
from harness.journal import Journal, JournalEntry, open_entries
from harness.registry import make_spec
from harness.run import left_in_force
from harness.run_folder import RunFolder

ROOT = Path(__file__).parents[2]


def make(base: Path, label: str = "seed7") -> RunFolder:
    folder = RunFolder.create(base, "bank", label)
    folder.history.touch()
    return folder


def test_every_run_has_a_folder_of_its_own(tmp_path):
    folders = [make(tmp_path) for _ in range(4)]
    assert len({folder.path for folder in folders}) == 4
    for folder in folders:
        assert re.fullmatch(r"\d{8}T\d{6}Z-seed7(-\d)?", folder.path.name)
        assert folder.path.parent == tmp_path / "bank"
        assert list(folder.path.iterdir()) == [folder.history]


def test_latest_leads_to_the_newest_and_moves_with_the_folder(tmp_path):
    base = tmp_path / "runs"
    make(base)
    second = make(base, "seed8")
    for link in (base / "latest", base / "bank" / "latest"):
        assert link.is_symlink()
        assert not link.readlink().is_absolute()
        assert link.resolve() == second.path
    base.rename(tmp_path / "elsewhere")
    assert RunFolder.open(tmp_path / "elsewhere" / "latest").path.name == second.path.name


def test_a_run_is_found_from_anything_inside_it(tmp_path):
    folder = make(tmp_path)
    (folder.path / "logs" / "kv1").mkdir(parents=True)
    places = [folder.path, folder.history, folder.path / "logs" / "kv1", tmp_path / "latest", tmp_path / "bank/latest"]
    assert {RunFolder.open(place).path for place in places} == {folder.path}
    for place in (tmp_path, tmp_path / "bank", tmp_path / "none", tmp_path / "bank" / "none" / "latest"):
        with pytest.raises(UsageError, match="run"):
            RunFolder.open(place)


def test_where_links_fail_nothing_else_does(tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    make(tmp_path, "seed1")
    newest = make(tmp_path, "seed2")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bank"]
    assert RunFolder.open(tmp_path / "latest").path == newest.path
    assert RunFolder.open(tmp_path / "bank" / "latest").path == newest.path


def test_a_latest_that_is_a_folder_is_left_alone(tmp_path):
    (tmp_path / "latest" / "mine").mkdir(parents=True)
    make(tmp_path)
    assert (tmp_path / "latest" / "mine").is_dir()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bank", "latest"]


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(EnvironmentFailure, match=r"cannot make a run folder in .*: Not a directory"):
        RunFolder.create(tmp_path / "file" / "runs", "bank", "seed7")
    with pytest.raises(EnvironmentFailure, match="cannot make a run folder in "):
        RunFolder.create(Path("/proc/runs"), "bank", "seed7")
    folder = make(tmp_path)
    folder.results.mkdir()
    with pytest.raises(EnvironmentFailure, match=r"cannot write .*results.json: Is a directory"):
        folder.write_json(folder.results, {})
    assert sorted(path.name for path in folder.path.iterdir()) == ["history.jsonl", "results.json"]


WRITER = """
import sys
sys.path.insert(0, "")
from pathlib import Path
from harness.run_folder import RunFolder
folder = RunFolder(Path(sys.argv[1]))
number = 0
while True:
    folder.write_json(folder.results, [number] * 50_000)
    if number == 0:
        print("ready", flush=True)
    number += 1
"""


def test_a_file_is_there_whole_or_not_at_all_whenever_the_writer_is_killed(tmp_path):
    import json

    for delay in (0, 0.01, 0.02):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE
        ) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            with pytest.raises(subprocess.TimeoutExpired):
                writer.wait(delay)
            writer.kill()
        numbers = json.loads((tmp_path / "results.json").read_text())
        assert len(numbers) == 50_000
        assert len(set(numbers)) == 1


# The journal.


def test_what_was_not_undone_is_open_newest_first(tmp_path):
    path = tmp_path / "journal.jsonl"
    assert open_entries(path) == []
    journal = Journal(path)
    cut = journal.begin("partition", {"links": [["kv1", "kv2"]]})
    kill = journal.begin("kill", {"node": "kv3"})
    skew = journal.begin("clock-skew", {"node": "pd1"})
    journal.undone(kill)
    assert open_entries(path) == [
        JournalEntry(skew, "clock-skew", {"node": "pd1"}),
        JournalEntry(cut, "partition", {"links": [["kv1", "kv2"]]}),
    ]
    journal.close()
    journal.close()


def test_a_journal_cut_anywhere_can_be_read_and_gone_on_with(tmp_path):
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    first = journal.begin("kill", {"node": "kv3"})
    journal.begin("partition", {"links": []})
    journal.undone(first)
    journal.close()
    content = path.read_bytes()
    ends = [at + 1 for at, byte in enumerate(content) if byte == 10]
    for size in range(len(content) + 1):
        path.write_bytes(content[:size])
        whole = sum(end <= size for end in ends)
        expected = [[], ["kill"], ["partition", "kill"], ["partition"]][whole]
        assert [entry.fault for entry in open_entries(path)] == expected
        again = Journal(path)
        number = again.begin("pause", {})
        again.close()
        assert [entry.fault for entry in open_entries(path)] == ["pause", *expected]
        assert number == min(whole, 2) + 1


def test_what_is_no_journal_is_refused(tmp_path):
    path = tmp_path / "journal.jsonl"
    for content in (b"garbage\n", b"[]\n", b'{"id":1}\n\xff\n', b"[" * 10_000 + b"\n"):
        path.write_bytes(content)
        with pytest.raises(UsageError, match="is not a faults journal: line"):
            open_entries(path)
    with pytest.raises(UsageError, match="cannot read the faults journal"):
        open_entries(tmp_path)


def test_a_fault_that_cannot_be_noted_must_not_come(tmp_path):
    journal = Journal(tmp_path / "journal.jsonl")
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, journal._fd)
    os.close(full)
    with pytest.raises(EnvironmentFailure, match=r"cannot write the faults journal .*: No space left on device"):
        journal.begin("kill", {})
    journal.close()
    with pytest.raises(EnvironmentFailure, match="cannot write the faults journal"):
        Journal(tmp_path)


def test_on_a_cluster_that_stays_it_is_told_what_was_not_undone(tmp_path):
    folder = RunFolder.create(tmp_path, "bank", "seed7")
    stays, goes = (make_spec("bank", cluster=cluster, nemesis="kill") for cluster in ("docker:mine", "docker"))
    journal = Journal(folder.journal)
    kill = journal.begin("kill", {})
    failure = left_in_force(stays, folder)
    assert failure is not None
    assert f"cluster heal {folder.path}" in str(failure)
    assert left_in_force(goes, folder) is None
    journal.undone(kill)
    journal.close()
    assert left_in_force(stays, folder) is None
