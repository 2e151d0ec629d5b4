"""Unfinished files: their names tell who writes them, so that those of processes that died can be told from those at work."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import shutil
import time
from pathlib import Path

TEMPORARY_PREFIX = ".tmp-"
"""Names of unfinished files; whatever carries it may be deleted when nothing runs."""

STALE_SECONDS = 86_400.0
"""Age at which an unfinished file is dead, whoever wrote it."""


def make_temp_name() -> str:
    """Return the beginning of the name of an unfinished file: it tells who writes it."""
    return f"{TEMPORARY_PREFIX}{_identify_host()}-{os.getpid()}-"


@functools.cache
def _identify_host() -> str:
    """Name what process numbers mean here: the running kernel, and its set of processes."""
    with contextlib.suppress(OSError):
        boot, processes = Path("/proc/sys/kernel/random/boot_id").read_text("ascii"), Path("/proc/self/ns/pid").stat()
        return hashlib.sha256(f"{boot} {processes.st_ino}".encode()).hexdigest()[:8]
    return "x"


_CLEANED: dict[int, set[Path]] = {}
"""Process to the folders that it looked through."""


def clean_stale(folder: Path) -> None:
    """Delete what processes that died left unfinished in a folder; each process looks once."""
    swept = _CLEANED.setdefault(os.getpid(), set())
    if folder in swept:
        return
    swept.add(folder)
    with contextlib.suppress(OSError):  # a folder that cannot be listed has other troubles, told elsewhere
        for draft in folder.glob(f"{TEMPORARY_PREFIX}*"):
            if _is_stale(draft):
                shutil.rmtree(draft) if draft.is_dir() else draft.unlink()


def _is_stale(draft: Path) -> bool:
    """True if the writer of an unfinished file is dead: by its number where that can be asked here, else by its age."""
    home, _, rest = draft.name.removeprefix(TEMPORARY_PREFIX).partition("-")
    number = rest.partition("-")[0]
    if home == _identify_host() and number.isdecimal():
        return not is_alive(int(number))
    with contextlib.suppress(OSError):
        return time.time() - draft.stat().st_mtime > STALE_SECONDS
    return False


def is_alive(pid: int) -> bool:
    """True if this machine has a process of this number."""
    try:
        os.kill(pid, 0)  # signal 0 is not delivered
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # another user's process
        return True
    return True
