"""A run that stops at the first violation, and says so."""

import json

import pytest

from harness.cli import invoke
from harness.exit_codes import ExitCode
from harness.fail_fast import FailFast
from harness.history import History
from harness.op import Op


def run(tmp_path, capsys, *options):
    arguments = ["run", "bank", *options, "--out", str(tmp_path), "--format", "json"]
    code = invoke(arguments)
    return code, json.loads(capsys.readouterr().out), History.load(tmp_path / "bank" / "latest")


@pytest.mark.parametrize(("bug", "seed"), [("skip-write-conflict", "1"), ("minority-leader", "1")])
def test_a_planted_bug_ends_the_run(tmp_path, capsys, bug, seed):
    code, said, history = run(tmp_path, capsys, "--bug", bug, "--seed", seed, "--fail-fast")
    assert code is ExitCode.ANOMALY
    assert said["interrupted"] is False
    assert history.time[-1] < 55e9
    results = json.loads((tmp_path / "bank" / "latest" / "results.json").read_text())
    assert any("ended early by --fail-fast" in warning for warning in results["warnings"])
    assert "ended early by --fail-fast" in (tmp_path / "bank" / "latest" / "report.html").read_text()
    assert "--fail-fast" in json.loads((tmp_path / "bank" / "latest" / "spec.json").read_text())["command"]


def test_a_sound_run_goes_on_to_its_end(tmp_path, capsys):
    code, said, history = run(tmp_path, capsys, "--seed", "3", "--nemesis", "kill", "--time-limit", "20", "--fail-fast")
    assert (code, said["valid"]) == (ExitCode.VALID, True)
    assert history.time[-1] > 20e9
    results = json.loads((tmp_path / "bank" / "latest" / "results.json").read_text())
    assert results["warnings"] == []


class Broken:
    violation = None
    figures = {}  # noqa: RUF012

    def observe(self, op):
        raise KeyError(op.index)

    def finish(self):
        raise NotImplementedError


def test_a_checker_that_crashes_ends_nothing():
    follower = FailFast(Broken())
    for index in range(2):
        follower.observe(Op(index, 0, 0, "invoke", "read"))
    assert not follower.found()
    assert follower.reason == "--fail-fast gave up: KeyError: 0"
