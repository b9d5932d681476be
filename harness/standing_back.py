"""The harness and its clients share the machine with the cluster under test, and let it go first."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def standing_back() -> Iterator[None]:
    """As long as this lasts, the calling thread drives nothing off a processor when it wakes (Linux's SCHED_BATCH).

    Threads and processes that it starts meanwhile inherit that. Their share of a busy machine is no smaller, it only
    comes some milliseconds later; the servers are interrupted less often, and all get more done.
    """
    if sys.platform != "linux" or os.sched_getscheduler(0) != os.SCHED_OTHER:  # somebody has chosen otherwise
        yield
        return
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
