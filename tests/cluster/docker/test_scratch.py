"""A harness that is killed leaves its folders; `cluster clean` takes these away, and those of nobody who still runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from cluster.docker.scratch import remove_abandoned, scratch_folder

KILLED = """
import os, signal
from cluster.docker.scratch import scratch_folder
folder = scratch_folder()
open(folder.name + "/file", "w").close()
print(folder.name, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_folders_of_the_dead_are_removed_and_no_others(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    killed = subprocess.run(
        [sys.executable, "-c", KILLED],
        env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    foreign = tmp_path / "quorumquake-notes"
    foreign.mkdir()
    with scratch_folder() as ours:
        assert remove_abandoned() == [killed.stdout.strip()]
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([Path(ours).name, foreign.name])
    assert remove_abandoned() == []
