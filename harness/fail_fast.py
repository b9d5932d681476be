"""``--fail-fast``: follows what is recorded with the workload's streaming checker, and says when to stop."""

from __future__ import annotations

from harness.exit_codes import UsageError
from harness.op import Op
from harness.protocols import Streaming, StreamsChecks, Workload


class FailFast:
    """Stands behind the recorder. A checker that crashes has found nothing: the run goes on without it."""

    def __init__(self, checker: Streaming) -> None:
        self._checker: Streaming | None = checker
        self.reason = ""

    def observe(self, op: Op) -> None:
        """Take an entry that was recorded, in the order of the history."""
        if self._checker is None:
            return
        try:
            self._checker.observe(op)
        except Exception as error:  # noqa: BLE001 (whatever it is, the check afterwards still decides)
            self._checker = None
            self.reason = f"--fail-fast gave up: {type(error).__name__}: {error}"
            return
        if self._checker.violation is not None:
            self.reason = f"the run was ended early by --fail-fast: {self._checker.violation.explanation}"

    def found(self) -> bool:
        """Whether there is a violation."""
        return self._checker is not None and self._checker.violation is not None


def fail_fast_of(workload: Workload) -> FailFast:
    """What follows a run of this workload.

    Raises:
        UsageError: it has no streaming checker.
    """
    if not isinstance(workload, StreamsChecks):
        raise UsageError(f"{workload.name} has no checker that follows a run, so --fail-fast cannot stop it")
    return FailFast(workload.streaming())
