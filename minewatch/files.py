"""Writes files so that a reader sees the old content or the new one, never a half.

Everything below ``output/`` is confidential (coordinates of a case): files are made 0600, folders 0700.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from minewatch.errors import WorkspaceError

TEMPORARY_PREFIX = ".tmp-"
"""Names of unfinished files; whatever carries it may be deleted when no scan runs."""


def make_private_folder(folder: Path) -> Path:
    """Create ``folder`` and what is missing above it, readable by the owner alone.

    Raises WorkspaceError where that is not allowed.
    """
    try:
        for missing in reversed([p for p in (folder, *folder.parents) if not p.exists()]):
            missing.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise WorkspaceError(f"cannot make the folder {folder}: {error.strerror}; check its permissions") from error
    return folder


@contextlib.contextmanager
def publishing(path: Path) -> Iterator[Path]:
    """Lend a temporary path next to ``path`` and rename it onto ``path`` when the block ends well.

    The file is flushed to disk before the rename, so that a crash leaves the old file or the whole new one.
    """
    make_private_folder(path.parent)
    try:
        handle, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, suffix=path.suffix, dir=path.parent)
    except OSError as error:
        raise WorkspaceError(f"cannot write in {path.parent}: {error.strerror}; check its permissions") from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        sync(temporary)
        temporary.chmod(0o600)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Force the content of a file to the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def publish_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` at once."""
    with publishing(path) as temporary:
        temporary.write_bytes(data)


def publish_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON to ``path`` at once."""
    publish_bytes(path, (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode())
