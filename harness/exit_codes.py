"""Exit codes, part of the interface: a CI gate acts on them."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from harness.verdict import Validity


class ExitCode(IntEnum):
    """What the process says when it ends."""

    VALID = 0
    ANOMALY = 1
    USAGE = 2
    UNKNOWN = 3
    ENVIRONMENT = 4
    INTERNAL = 5
    INTERRUPTED = 130


# The worst first. An interruption is weighed by the caller: 130, unless an anomaly had been established by then.
_WORST_FIRST = (
    ExitCode.ANOMALY,
    ExitCode.INTERNAL,
    ExitCode.ENVIRONMENT,
    ExitCode.USAGE,
    ExitCode.INTERRUPTED,
    ExitCode.UNKNOWN,
    ExitCode.VALID,
)


def worst_code(codes: Iterable[ExitCode]) -> ExitCode:
    """Of several outcomes the one that counts; of none: unknown, since nothing was shown."""
    seen = set(codes)
    return next((code for code in _WORST_FIRST if code in seen), ExitCode.UNKNOWN)


def code_of(valid: Validity) -> ExitCode:
    """The exit code of a verdict."""
    if valid is False:
        return ExitCode.ANOMALY
    return ExitCode.VALID if valid is True else ExitCode.UNKNOWN


class QuorumquakeError(Exception):
    """A problem told in one sentence, with the exit code it means. Never shown with a traceback."""

    code = ExitCode.INTERNAL


class UsageError(QuorumquakeError):
    """What was asked for makes no sense: an unknown name, a bad value, a file that is not a history."""

    code = ExitCode.USAGE


class EnvironmentFailure(QuorumquakeError):
    """What was asked for cannot be done here: no cluster, no Docker, no place to write."""

    code = ExitCode.ENVIRONMENT
