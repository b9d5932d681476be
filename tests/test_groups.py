"""Tests that share something, as those of Docker share the machine's networks, run one after the other."""

from __future__ import annotations

import os

import pytest


@pytest.mark.xdist_group("of-one")
@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="not run by several workers: see make test")
def test_groups_are_kept_together(request):
    """pytest-xdist writes the group behind the name, and sends what has the same one to the same worker."""
    assert request.node.nodeid.endswith("@of-one")
