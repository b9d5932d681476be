"""Holding a cluster: two runs that break it would be in each other's histories."""

from __future__ import annotations

import socket

from harness.exit_codes import EnvironmentFailure


def hold(name: str) -> socket.socket:
    """Hold the cluster of that name until the socket is closed, or this process ends, however it does.

    It is an abstract address: all users of the machine share it, and nothing of it is left behind.

    Raises:
        EnvironmentFailure: another process holds it.
    """
    held = socket.socket(socket.AF_UNIX)
    try:
        held.bind(f"\0quorumquake/{name}")
    except OSError:
        held.close()
        raise EnvironmentFailure(f"another run uses the cluster {name!r}") from None
    return held
