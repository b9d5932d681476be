"""What a checker says that followed a history to its end."""

from __future__ import annotations

from collections.abc import Mapping

from harness.verdict import Anomaly, Validity, Verdict


def ending(name: str, model: str, violation: Anomaly | None, left_open: str, figures: Mapping[str, int]) -> Verdict:
    """The verdict.

    Args:
        name: the checker's.
        model: the one that it decides.
        violation: the first that was found, or None.
        left_open: what the check afterwards must decide, in words; nothing if all was decided.
        figures: sizes of what is kept.
    """
    if violation is not None:
        return Verdict(name, False, [violation], {violation.name: 1}, {model: False}, dict(figures))
    valid: Validity = "unknown" if left_open else True
    return Verdict(name, valid, [], {}, {model: valid}, dict(figures), left_open)
