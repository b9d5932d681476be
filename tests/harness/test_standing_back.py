"""A run lets the servers on its machine go first, and its client processes do too; afterwards all is as before."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress

import pytest

from harness.standing_back import standing_back

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a policy of Linux")


def test_what_is_started_meanwhile_stands_back_too_and_nothing_afterwards():
    ask = [sys.executable, "-c", "import os; print(os.sched_getscheduler(0))"]
    with suppress(ZeroDivisionError), standing_back():
        assert os.sched_getscheduler(0) == os.SCHED_BATCH
        assert int(subprocess.check_output(ask)) == os.SCHED_BATCH
        raise ZeroDivisionError
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
    assert int(subprocess.check_output(ask)) == os.SCHED_OTHER


def test_who_stood_back_before_still_does_afterwards():
    with standing_back():
        with standing_back():
            pass
        assert os.sched_getscheduler(0) == os.SCHED_BATCH
