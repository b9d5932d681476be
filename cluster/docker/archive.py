"""A tar archive with one file, which is how the engine takes files and images."""

from __future__ import annotations

import io
import tarfile


def archive_of(path: str, content: bytes, mode: int = 0o644) -> bytes:
    """The archive; ``path`` is absolute, where the file will be."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo(path.lstrip("/"))
        entry.size, entry.mode = len(content), mode
        archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
