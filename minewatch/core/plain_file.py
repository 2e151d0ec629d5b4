"""Opens files that may have come from strangers: plain ones only, no links, pipes or devices, and no more than expected."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

SAFE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""Flags with which a link is refused, and a pipe never waited for."""


def open_plain_handle(path: Path, flags: int = os.O_RDONLY) -> int:
    """Open a plain file and return its descriptor; raises OSError for anything else, with the reason as ``strerror``."""
    try:
        handle = os.open(path, flags | SAFE, 0o600)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "it is a link, not a copy") from error
        if error.errno == errno.ENXIO:  # a socket, or a pipe that nobody reads
            raise OSError(errno.ENXIO, "it is no plain file") from error
        raise
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "it is no plain file")
    return handle


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
