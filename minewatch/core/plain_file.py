"""Opens files of a workspace that may have come from strangers, by git, tar or ZIP, to read or to write them in place.

Only plain files are opened: no links, pipes or devices.  And nothing is written through a folder that is a link out of the
workspace, wherever in it the link is.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from pathlib import Path
from typing import BinaryIO

from minewatch.core.errors import WorkspaceError

MARKER = "minewatch.toml"
"""The file that makes a folder a workspace."""

SAFE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""Flags with which a link is refused, and a pipe never waited for."""

NO_LOCK_ERRORS = (errno.ENOLCK, errno.EBADF, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
"""Error numbers of a lock in a folder that cannot lock files."""

NO_LOCKS = (
    "mount the share with locks (NFS: without nolock, SMB: without nobrl, Lustre: with flock), "
    "or move the workspace to a local disk"
)
"""What to do about such a folder."""


class NotPlainError(OSError):
    """A file is a link, a pipe or a device."""


class NoLocksError(OSError):
    """A file lies in a folder that cannot lock files."""


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


def lock_handle(handle: int, path: Path, kind: int = fcntl.LOCK_EX) -> None:
    """Lock an open file (flock); raises BlockingIOError as flock does, NoLocksError where its folder cannot lock files."""
    try:
        fcntl.flock(handle, kind)
    except OSError as error:
        if error.errno in NO_LOCK_ERRORS:
            raise NoLocksError(error.errno, f"its folder cannot lock files; {NO_LOCKS}", str(path)) from error
        raise


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
