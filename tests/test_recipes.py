"""CONTRIBUTING.md followed to the letter, in a copy of the tree: what it says must work as written."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("harness", "workloads", "nemesis", "checkers", "reports", "cluster")

# A block is meant for the file that was named last before it, in the same section.
NAMED = re.compile(r"`([\w./]+\.py)`")


def sections():
    parts = re.split(r"^## ", (ROOT / "CONTRIBUTING.md").read_text(), flags=re.MULTILINE)
    return {part.partition("\n")[0]: part for part in parts}


def steps(section):
    """(file, language, block) of each fenced block."""
    found, at = [], 0
    for block in re.finditer(r"^```(python|diff)\n(.*?)^```$", section, flags=re.MULTILINE | re.DOTALL):
        names = NAMED.findall(section[at : block.start()])
        found.append((names[-1] if names else found[-1][0], block[1], block[2]))
        at = block.end()
    return found


def commands(section):
    return [line.split()[1:] for line in section.splitlines() if line.startswith("    quorumquake ")]


def patched(text, diff):
    lines = diff.splitlines(keepends=True)
    old = "".join(line[1:] for line in lines if line[0] in " -")
    assert text.count(old) == 1, f"not there, or more than once:\n{old}"
    return text.replace(old, "".join(line[1:] for line in lines if line[0] in " +"))


@pytest.fixture
def tree(tmp_path):
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def follow(tree, section):
    for name, language, block in steps(section):
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if language == "python":
            assert not path.exists(), f"{name} is there already"
            path.write_text(block)
        else:
            path.write_text(patched(path.read_text(), block))


def python(tree, *arguments):
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"},
    )


def results(done):
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def quorumquake(tree, arguments):
    extra = [] if "--dry-run" in arguments else ["--format", "json"]
    return python(tree, "-m", "harness.cli", *arguments, *extra)


def test_a_workload_as_described_is_valid_and_finds_a_planted_bug(tree):
    section = sections()["Add a workload"]
    follow(tree, section)
    sound, broken = [quorumquake(tree, command) for command in commands(section)]
    assert sound.returncode == 0, sound.stdout + sound.stderr
    assert {verdict["checker"]: verdict["valid"] for verdict in results(sound)["verdicts"]}["counter"] is True
    assert broken.returncode == 1
    assert results(broken)["anomalies"][0]["name"] == "wrong-total"
    assert (tree / "runs" / "counter" / "latest" / "report.html").is_file()
    _lint(tree, "checkers/counter.py", "workloads/counter.py", "harness/registry.py")


def test_a_fault_as_described_is_injected_and_verified(tree):
    section = sections()["Add a fault"]
    follow(tree, section)
    run, plan = [quorumquake(tree, command) for command in commands(section)]
    assert run.returncode == 0, run.stdout + run.stderr
    assert "bounce" in (tree / "runs" / "bank" / "latest" / "history.jsonl").read_text()
    assert plan.returncode == 0
    assert {"bounce", "partition"} <= set(plan.stdout.split())
    _lint(tree, "nemesis/bounce.py", "nemesis/registry.py")


def test_a_checker_as_described_fails_on_what_it_looks_for_and_passes_sound_runs(tree):
    section = sections()["Add a checker"]
    follow(tree, section)
    run, check = [quorumquake(tree, command) for command in commands(section)]
    for done in (run, check):
        assert done.returncode == 0, done.stdout + done.stderr
        assert {verdict["checker"]: verdict["valid"] for verdict in results(done)["verdicts"]}["timestamps"] is True
    test = python(tree, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/checkers/test_timestamps.py")
    assert "2 passed" in test.stdout, test.stdout + test.stderr
    _lint(tree, "checkers/timestamps.py", "workloads/bank.py", "tests/checkers/test_timestamps.py")


def test_a_planted_bug_as_described_is_caught_by_the_name_it_expects(tree):
    section = sections()["Add a planted bug"]
    follow(tree, section)
    (command,) = commands(section)
    run = quorumquake(tree, command)
    assert run.returncode == 1, run.stdout + run.stderr
    assert "future-read" in {anomaly["name"] for anomaly in results(run)["anomalies"]}
    _lint(tree, "cluster/sim/bugs.py", "cluster/sim/percolator_reads.py")


def _lint(tree, *files):
    for action in (["check"], ["format", "--check"]):
        done = python(tree, "-m", "ruff", *action, "--no-cache", *files)
        assert done.returncode == 0, done.stdout + done.stderr
