"""How outcomes merge: false over unknown over true, and never a pass out of nothing."""

from __future__ import annotations

from itertools import permutations, product

import pytest

from harness.exit_codes import EnvironmentFailure, ExitCode, UsageError, code_of, worst_code
from harness.verdict import worst


@pytest.mark.parametrize(
    "several", [several for size in (1, 2, 3) for several in product((True, False, "unknown"), repeat=size)]
)
def test_the_worst_of_several_counts(several):
    expected = False if False in several else "unknown" if "unknown" in several else True
    assert worst(several) is expected or worst(several) == expected == "unknown"
    assert worst(iter(several)) == expected


def test_nothing_shows_nothing():
    assert worst([]) == "unknown"
    assert worst_code([]) == ExitCode.UNKNOWN


def test_the_exit_code_of_a_verdict():
    assert (code_of(True), code_of(False), code_of("unknown")) == (0, 1, 3)


def test_exit_codes_are_worst_in_the_order_that_was_promised():
    order = (1, 5, 4, 2, 3, 0)
    for first, second in permutations(order, 2):
        expected = first if order.index(first) < order.index(second) else second
        assert worst_code([ExitCode(first), ExitCode(second)]) == expected
    assert worst_code(ExitCode) == ExitCode.ANOMALY
    assert worst_code([ExitCode.INTERRUPTED, ExitCode.VALID]) == 130


def test_errors_carry_their_code():
    assert (UsageError("x").code, EnvironmentFailure("x").code) == (2, 4)
