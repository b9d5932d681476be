"""The examples run as they are."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def test_the_example_finds_its_planted_bug(tmp_path):
    script = EXAMPLES / "find_a_planted_bug.py"
    done = subprocess.run(
        [sys.executable, script, "runs"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr == ""
    assert "valid: False" in done.stdout
    assert "'lost-update'" in done.stdout
    report = Path(done.stdout.splitlines()[-1].removeprefix("report: "))
    assert (tmp_path / report).read_text().startswith("<!doctype html>")


def test_the_example_file_of_options_gives_a_schedule(tmp_path):
    command = ["run", "bank", "--config", EXAMPLES / "quorumquake.toml", "--seed", "7", "--dry-run"]
    done = subprocess.run(
        [sys.executable, "-m", "harness.cli", *command], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "--time-limit 120 --concurrency 20 --rate 150 --seed 7" in done.stdout


@pytest.mark.parametrize("page", ["python.md", "ci.md"])
def test_python_on_the_pages_runs(page, tmp_path):
    text = (EXAMPLES.parent / "docs" / page).read_text()
    blocks = [block.partition("```")[0] for block in text.split("```python\n")[1:]]
    assert blocks
    for number, block in enumerate(blocks):
        script = tmp_path / f"test_{number}.py"
        script.write_text(block)
        runner = ["-m", "pytest", "-q", "-p", "no:cacheprovider"] if "def test_" in block else []
        done = subprocess.run(
            [sys.executable, *runner, script], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_shell_script_of_the_page_ends_with_the_worst_code(tmp_path):
    text = (EXAMPLES.parent / "docs" / "ci.md").read_text()
    (tmp_path / "consistency.sh").write_text(text.partition("```sh\n")[2].partition("```")[0])
    fake = tmp_path / "quorumquake"  # the seeds stand for exit codes: only the script is on trial here
    fake.write_text('#!/bin/sh\nwhile [ "$1" != --seed ]; do shift; done\nexit "$2"\n')
    fake.chmod(0o755)

    def code(*seeds):
        environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
        return subprocess.run(
            ["sh", "consistency.sh", *seeds], cwd=tmp_path, env=environment, capture_output=True, check=False
        ).returncode

    assert [code("0", "0"), code("0", "1", "3"), code("3", "1"), code("0", "4"), code("3", "4")] == [0, 1, 1, 4, 3]
