"""Locks of the operating system on open files; each ends with the process that has it, however that ends.

Where the system has none of them (Windows), reading goes on without, and what needs a lock is refused.
"""

from __future__ import annotations

import errno
from pathlib import Path
from types import ModuleType

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:
    fcntl = None

NO_LOCK_ERRORS = (errno.ENOLCK, errno.EBADF, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
"""Error numbers of a lock in a folder that cannot lock files."""

NO_LOCKS = (
    "mount the share with locks (NFS: without nolock, SMB: without nobrl, Lustre: with flock), "
    "or move the workspace to a local disk"
)
"""What to do about such a folder."""


class NoLocksError(OSError):
    """A file lies in a folder that cannot lock files."""


def lock_handle(handle: int, path: Path, *, shared: bool = False, wait: bool = True) -> None:
    """Lock an open file (flock), alone or together with others who share it.

    Raises BlockingIOError where another process has the lock and ``wait`` is off, NoLocksError where the folder cannot lock
    files.
    """
    if fcntl is None:
        if shared:
            return
        raise NoLocksError(errno.ENOSYS, "this system cannot lock files; use Linux to change a workspace", str(path))
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        if error.errno in NO_LOCK_ERRORS:
            raise NoLocksError(error.errno, f"its folder cannot lock files; {NO_LOCKS}", str(path)) from error
        raise


def lock_record(handle: int) -> None:
    """Lock an open file by fcntl, as SQLite locks its own; raises OSError where that is not possible at once."""
    if fcntl is None:
        raise OSError(errno.ENOSYS, "this system cannot lock files; use Linux to change a workspace")
    fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
