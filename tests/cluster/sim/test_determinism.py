"""Same seed, same history: whatever the hash seed of the interpreter, and in another process."""

import os
import subprocess
import sys
from pathlib import Path

from tests.cluster.sim import chaos

SCRIPT = Path(chaos.__file__)
ROOT = SCRIPT.parents[3]


def run_script(seed, hash_seed):
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, str(SCRIPT), str(seed)], env=environment, capture_output=True, text=True, check=True
    )
    return result.stdout.strip()


def test_the_same_seed_gives_the_same_observations_in_every_process():
    here = chaos.chaos(5, seconds=12)
    assert chaos.chaos(5, seconds=12).hash() == here.hash()
    assert {run_script(5, "0"), run_script(5, "4711")} == {here.hash()}


def test_another_seed_gives_other_observations():
    assert chaos.chaos(5, seconds=5).hash() != chaos.chaos(6, seconds=5).hash()
