"""Folders for what can be made anew: of the user, else, in containers and under cron, private ones among the temporary files."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from pathlib import Path

ROOM = 64 * 2**20
"""Bytes that must be free in such a folder: several times what goes there."""


def find_user_cache() -> Path | None:
    """Return the user's folder for caches, made where it was missing; None where it cannot be used, or there is no home."""
    stated = os.environ.get("XDG_CACHE_HOME", "")
    with contextlib.suppress(RuntimeError):  # no home
        folder = (Path(stated) if stated else Path.home() / ".cache") / "minewatch"
        return folder if folder.is_absolute() and make_usable(folder) else None
    return None


def find_temporary_cache() -> Path | None:
    """Return a folder of this user among the temporary files, the same in every run; None where there can be none."""
    with contextlib.suppress(OSError):  # no folder for temporary files
        folder = Path(tempfile.gettempdir(), f"minewatch-{os.geteuid()}")
        return folder if make_usable(folder) and _is_private(folder) else None
    return None


def make_usable(folder: Path) -> bool:
    """Make a folder; False where it cannot be written or has no room."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return shutil.disk_usage(folder).free >= ROOM
    except OSError:
        return False


def _is_private(folder: Path) -> bool:
    """True if nobody else can have put anything into a folder: it may be code that is run."""
    status = folder.lstat()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o077


def set_matplotlib_folder() -> None:
    """Name a folder for matplotlib's list of fonts, where its own cannot be made; it would warn, and make the list each time."""
    stated = os.environ.get("XDG_CONFIG_HOME", "")
    with contextlib.suppress(RuntimeError, OSError):
        own = (Path(stated) if stated else Path.home() / ".config") / "matplotlib"
        existing = next(folder for folder in (own, *own.parents) if folder.exists())
        with tempfile.TemporaryFile(dir=existing):
            return
    if folder := find_temporary_cache():
        os.environ.setdefault("MPLCONFIGDIR", str(folder / "matplotlib"))
