"""Temporary files, whose names identify the writing process, so that those of dead processes can be deleted."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import shutil
import time
from pathlib import Path

TEMPORARY_PREFIX = ".tmp-"
"""Begins the name of every temporary file; all of them may be deleted when nothing runs."""

STALE_SECONDS = 86_400.0
"""Age from which a temporary file is stale, whoever wrote it."""


def make_temp_name() -> str:
    """Return the beginning of a temporary file's name, which identifies host and process."""
    return f"{TEMPORARY_PREFIX}{_identify_host()}-{os.getpid()}-"


@functools.cache
def _identify_host() -> str:
    """Return a digest of the running kernel and the PID namespace, within which process numbers are unique."""
    with contextlib.suppress(OSError):
        boot, processes = Path("/proc/sys/kernel/random/boot_id").read_text("ascii"), Path("/proc/self/ns/pid").stat()
        return hashlib.sha256(f"{boot} {processes.st_ino}".encode()).hexdigest()[:8]
    return "x"


_CLEANED: dict[int, set[Path]] = {}
"""Process to the folders it has cleaned."""


def clean_stale(folder: Path) -> None:
    """Delete stale temporary files in a folder; each process does so once per folder."""
    cleaned = _CLEANED.setdefault(os.getpid(), set())
    if folder in cleaned:
        return
    cleaned.add(folder)
    with contextlib.suppress(OSError):  # a folder that cannot be listed is reported by whoever writes there
        for path in folder.glob(f"{TEMPORARY_PREFIX}*"):
            if _is_stale(path):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _is_stale(path: Path) -> bool:
    """True if the writer of a temporary file is dead: by its process number on the same host, else by the file's age."""
    host, _, rest = path.name.removeprefix(TEMPORARY_PREFIX).partition("-")
    pid = rest.partition("-")[0]
    if host == _identify_host() and pid.isdecimal():
        return not is_alive(int(pid))
    with contextlib.suppress(OSError):
        return time.time() - path.stat().st_mtime > STALE_SECONDS
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
