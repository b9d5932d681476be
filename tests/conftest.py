"""Whole runs for tests: recorded and judged as on the command line, without the report. And clusters to run them on."""

import shutil

import pytest

from harness.judge import judge_run
from harness.registry import make_spec
from harness.run import Watcher, plan_run, record, write_spec
from harness.run_folder import RunFolder

pytest_plugins = ["tests.standin.fixtures"]


@pytest.fixture
def judged(tmp_path):
    """Call with options of ``quorumquake run bank``, or a schedule of your own; get the results and the history."""

    def run(schedule=None, **options):
        spec = make_spec("bank", **options)
        plan = plan_run(spec)
        plan.schedule = schedule or plan.schedule
        folder = RunFolder.create(tmp_path, "bank", f"seed{spec.seed}")
        write_spec(folder, spec, plan.cluster)
        outcome, failure = record(plan, folder, Watcher())
        assert failure is None
        assert not outcome.interrupted
        results, history = judge_run(folder)
        shutil.rmtree(folder.path)  # 200 of them would fill a small disk; the open history stays readable
        return results, history

    return run
