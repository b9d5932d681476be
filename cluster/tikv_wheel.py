"""The door to PyPI's tikv-client: imported only when a real cluster is asked for, since its wheels fit few machines."""

from __future__ import annotations

import importlib
import importlib.metadata
import platform
import sys
from typing import Any

from harness.exit_codes import EnvironmentFailure

PINNED = "0.0.4"  # what its error messages mean is proved for this version only
_EXTENSION = "tikv_client.tikv_client"


def load_extension() -> Any:
    """Import and return the extension module below the package's wrapper, which hides commit timestamps and time-outs.

    Raises:
        EnvironmentFailure: it is not installed, is another version or does not fit this Python or machine.
    """
    try:
        installed = importlib.metadata.version("tikv-client")
        extension = importlib.import_module(_EXTENSION)
    except (importlib.metadata.PackageNotFoundError, ImportError) as error:
        raise EnvironmentFailure(_missing(error)) from None
    if installed != PINNED:
        raise EnvironmentFailure(
            f"tikv-client {installed} is installed, but what an error means is known for {PINNED} only: "
            f"pip install tikv-client=={PINNED}"
        )
    return extension


def client_version() -> str:
    """The version of tikv-client that is installed, or an empty string."""
    try:
        return importlib.metadata.version("tikv-client")
    except importlib.metadata.PackageNotFoundError:
        return ""


def _missing(error: Exception) -> str:
    here = f"{platform.python_implementation()} {platform.python_version()} on {sys.platform} {platform.machine()}"
    if sys.version_info[:2] == (3, 11) and platform.machine() in {"x86_64", "AMD64"}:
        remedy = f"pip install tikv-client=={PINNED}"
    else:
        remedy = "use that Python, or the simulated cluster (--cluster sim), which needs no tikv-client"
    reason = " ".join(str(error).split())
    return (
        f"a real cluster needs tikv-client {PINNED}, whose only wheels are for CPython 3.11 on x86-64, "
        f"and it cannot be imported by this {here} ({reason}): {remedy}"
    )
