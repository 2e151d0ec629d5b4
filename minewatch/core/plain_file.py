"""Opens files of a workspace that may have come from strangers, by git, tar or ZIP, to read or to write them in place.

Only plain files are opened: no links, pipes or devices.  And nothing is written through a folder that is a link out of the
workspace, wherever in it the link is.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from minewatch.core.errors import WorkspaceError

MARKER = "minewatch.toml"
"""The file that makes a folder a workspace."""

SAFE = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))
"""Flags with which a link is refused, and a pipe never waited for; a system has those of its own."""


class NotPlainError(OSError):
    """A file is a link, a pipe or a device."""


def open_plain_handle(path: Path, flags: int = os.O_RDONLY) -> int:
    """Open a plain file and return its descriptor; raises OSError for anything else, with the reason as ``strerror``."""
    try:
        handle = os.open(path, flags | SAFE, 0o600)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise NotPlainError(errno.ELOOP, "it is a link, not a copy", str(path)) from error
        if error.errno == errno.ENXIO:  # a socket, or a pipe that nobody reads
            raise NotPlainError(errno.ENXIO, "it is no plain file", str(path)) from error
        raise
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        raise NotPlainError(errno.EINVAL, "it is no plain file", str(path))
    return handle


def check_plain(path: Path) -> None:
    """Raise NotPlainError for a link, pipe or device that a library would open; whatever else there is passes."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return
    if not stat.S_ISREG(mode):
        raise NotPlainError(errno.EINVAL, "it is a link, not a copy" if stat.S_ISLNK(mode) else "it is no plain file", str(path))


def open_plain(path: Path) -> BinaryIO:
    """Open a plain file to read it; raises OSError as :func:`open_plain_handle` does."""
    return os.fdopen(open_plain_handle(path), "rb")


def read_plain(path: Path, most: int) -> bytes:
    """Read a plain file of at most ``most`` bytes; raises OSError for a larger one too."""
    with open_plain(path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"it is larger than any of its kind ({most >> 10} kB)")
    return data


# --- folders -----------------------------------------------------------------------------------------------------------


def check_folder(folder: Path) -> None:
    """Raise WorkspaceError for a folder in a workspace which, through a link, lies out of it.

    A folder that lies elsewhere by its own path is the choice of the user.
    """
    folder = _follow_dots(folder.absolute())
    for root in folder.parents:
        if (root / MARKER).is_file() and not _follow(folder).is_relative_to(_follow(root)):
            link = next(p for p in (*reversed(folder.parents), folder) if p.is_relative_to(root) and p != root and p.is_symlink())
            raise WorkspaceError(
                f"{link} is a link that leads out of the workspace, to {_follow(link)}; nothing is written there: put a folder "
                f"in its place, or name where it leads in {MARKER} (archive, changes) or by an option"
            )


def _follow(path: Path) -> Path:
    """Return where a path leads; links that lead in a circle stay as they are, and fail when they are used."""
    return Path(os.path.realpath(path))


def _follow_dots(folder: Path) -> Path:
    """Return a folder without '..', each followed as the system does."""
    parts = folder.parts
    last = max((number for number, part in enumerate(parts) if part == ".."), default=-1)
    return _follow(Path(*parts[: last + 1])).joinpath(*parts[last + 1 :]) if last >= 0 else folder
