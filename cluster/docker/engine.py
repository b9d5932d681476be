"""The door to the Docker engine: every call in a thread, every error one sentence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeVar

import docker
import docker.errors
import requests

from harness.exit_codes import EnvironmentFailure

T = TypeVar("T")

TIMEOUT_S: Final = 60
CONNECTIONS: Final = 32  # a call that takes its time must not keep others waiting


class Engine:
    """A connection to the engine that the environment names (``DOCKER_HOST``, else the local socket).

    Attributes:
        api: the SDK's low-level client. Its calls block: use ``call``.

    Raises:
        EnvironmentFailure: no engine answers, or it does not let us in; the sentence says what to do.
    """

    def __init__(self) -> None:
        try:
            self.api = docker.DockerClient.from_env(timeout=TIMEOUT_S, max_pool_size=CONNECTIONS).api
            self.version = str(self.api.version().get("Version", ""))
        except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
            raise EnvironmentFailure(_no_engine(error)) from None

    def close(self) -> None:
        """End the connections."""
        self.api.close()

    async def call(self, function: Callable[..., T], *arguments: Any, **options: Any) -> T:
        """Call a blocking function of ``api``.

        Raises:
            EnvironmentFailure: the engine says no, or does not answer any more.
        """
        return await asyncio.to_thread(self.do, function, *arguments, **options)

    def do(self, function: Callable[..., T], *arguments: Any, **options: Any) -> T:
        """The same, here and now."""
        try:
            return function(*arguments, **options)
        except docker.errors.NotFound:
            raise
        except docker.errors.APIError as error:
            raise EnvironmentFailure(f"Docker says no: {_explanation(error)}") from None
        except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
            raise EnvironmentFailure(f"the Docker engine does not answer any more: {_innermost(error)}") from None


def _explanation(error: docker.errors.APIError) -> str:
    return " ".join(str(error.explanation or error).split())


def _no_engine(error: BaseException) -> str:
    reason = _innermost(error)
    if "Permission denied" in reason or "PermissionError" in reason:
        return (
            "the Docker engine does not let this user in (permission denied): "
            "add the user to the group docker, or run as root"
        )
    return (
        f"no Docker engine answers ({reason}): install and start it (Debian: apt install docker.io), "
        "or set DOCKER_HOST; the simulated cluster (--cluster sim) needs none"
    )


def _innermost(error: BaseException) -> str:
    """What it is about, below the layers of three libraries."""
    text = " ".join(str(error).split())
    for known in ("Permission denied", "No such file or directory", "Connection refused", "timed out"):
        if known in text:
            return known
    return text[:200]
