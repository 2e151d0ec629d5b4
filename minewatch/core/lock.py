"""The lock of a workspace, on one machine or on a folder that several machines share.

The operating system's lock (flock) is released when its process ends, however it ends.  Some shared folders do not pass
flock on to other machines.  So the lock file also contains a lease: who holds the lock and, by the file's modification
time, when the holder last renewed it.  Times are compared only by the file server's clock.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import platform
import secrets
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from minewatch.core.errors import BusyError, WorkspaceError
from minewatch.core.file_lock import NO_LOCK_ERRORS, NO_LOCKS, NoLocksError, lock_handle, lock_record
from minewatch.core.plain_file import NotPlainError, open_plain_handle, read_plain
from minewatch.core.temp_files import TEMPORARY_PREFIX, is_alive
from minewatch.core.text import count_of

RENEWAL_SECONDS = 60.0
"""Interval at which a holder renews its lease."""

EXPIRY_SECONDS = 600.0
"""Age from which a lease that was not renewed has expired."""

SCAN = "scan"
"""The usual operation."""

LARGEST_LEASE = 2**16
"""Bytes of a lock file; it may be a stranger's."""

BOOT = Path("/proc/sys/kernel/random/boot_id")
"""File with the id of the running kernel (Linux)."""


@dataclass(frozen=True)
class Lease:
    """Who holds a workspace."""

    host: str
    """Name of the machine."""

    pid: int
    """Of the process there."""

    boot: str
    """Id of the machine's running kernel, which tells apart two machines of one name; '' where it is not known."""

    since: str
    """UTC, by the holder's clock; for people."""

    doing: str
    """The operation, as a noun; the name of the field is part of the file."""

    token: str = field(default_factory=lambda: secrets.token_hex(8))
    """Different for each lock."""

    def describe(self) -> str:
        """Return a text that identifies the holder."""
        return f"since {self.since}, process {self.pid} on {self.host}"


class HeldLock:
    """A lock that is held; its lease is renewed in the background."""

    def __init__(self, path: Path, lease: Lease, handle: int) -> None:
        self._path, self._lease, self._handle = path, lease, handle
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="minewatch-lease", daemon=True)

    def start(self) -> None:
        """Write the lease and start renewing it."""
        _write(self._handle, json.dumps(asdict(self._lease)).encode())
        self._thread.start()

    def check(self) -> None:
        """Raise WorkspaceError where another process took the lock over, since the lease had expired."""
        other = read_lease(self._path)
        if other is None or other.token != self._lease.token:
            who = f"by a {other.doing} ({other.describe()})" if other else "or taken away"
            raise WorkspaceError(
                f"the lock {self._path} was taken over {who} while this {self._lease.doing} gave no sign of life; "
                "nothing was published; start it again"
            )

    def release(self) -> None:
        """Release the lock."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        with contextlib.suppress(WorkspaceError, OSError):
            self.check()
            _write(self._handle, b"")

    def _renew(self) -> None:
        while not self._ended.wait(RENEWAL_SECONDS):
            with contextlib.suppress(WorkspaceError, OSError):  # the file server may be away for a while
                self.check()
                os.utime(self._handle)  # without a time, the file server uses its own clock


@contextlib.contextmanager
def acquire_lock(path: Path, operation: str = SCAN, report: Callable[[str], None] = lambda _text: None) -> Iterator[HeldLock]:
    """Hold the lock in a file for the duration of a block.

    ``report`` gets a line where the lock of a dead holder was taken over.  Raises BusyError where another process holds it,
    WorkspaceError where the file cannot be written, or the folder cannot lock files.
    """
    try:
        handle = open_plain_handle(path, os.O_RDWR | os.O_CREAT)
    except NotPlainError as error:
        raise WorkspaceError(f"cannot use the lock {path}: {error.strerror}; delete it, and try again") from error
    except OSError as error:
        raise WorkspaceError(f"cannot write in {path.parent}: {error.strerror}; check its permissions") from error
    lock = None
    try:
        check_locks(path.parent)
        _acquire(path, handle, report)
        since = f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC"
        lock = HeldLock(path, Lease(platform.node(), os.getpid(), _read_boot_id(), since, operation), handle)
        lock.start()
        yield lock
    finally:
        if lock:
            lock.release()
        os.close(handle)


def check_locks(folder: Path) -> None:
    """Raise WorkspaceError where files in a folder cannot be locked by fcntl, as SQLite locks the alerts table.

    SQLite itself would call the table locked by somebody else.
    """
    probe = folder / f"{TEMPORARY_PREFIX}lock-{secrets.token_hex(4)}"
    try:
        with probe.open("xb") as file:
            lock_record(file.fileno())
    except OSError as error:
        if error.errno in NO_LOCK_ERRORS and probe.exists():
            raise WorkspaceError(f"files in {folder} cannot be locked ({os.strerror(error.errno)}); {NO_LOCKS}") from error
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)


def read_lease(path: Path) -> Lease | None:
    """Read the lease of the holder, dead or alive; None where there is none or it cannot be parsed."""
    try:
        lease = Lease(**json.loads(read_plain(path, LARGEST_LEASE)))
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    texts = lease.host, lease.boot, lease.since, lease.doing, lease.token
    return lease if type(lease.pid) is int and all(isinstance(text, str) for text in texts) else None


def find_holder(path: Path) -> Lease | None:
    """Return the lease of a lock's living holder, else None.  Changes nothing."""
    lease = read_lease(path)
    is_held = lease is not None and (is_alive(lease.pid) if lease.boot == _read_boot_id() != "" else not _is_expired(path))
    return lease if is_held else None


def _acquire(path: Path, handle: int, report: Callable[[str], None]) -> None:
    """Acquire the system's lock; raises BusyError where it is taken or a lease has not expired."""
    try:
        is_locked = _flock(path, handle)
    except BlockingIOError as error:
        raise _make_busy_error(path, read_lease(path)) from error
    if os.fstat(handle).st_size == 0:
        return
    lease = read_lease(path)
    # A living holder on this machine would still have the system's lock.
    if lease is not None and lease.boot == _read_boot_id() != "" and (is_locked or not is_alive(lease.pid)):
        report(f"a {lease.doing} ended abnormally ({lease.describe()}); its lock was taken over")
        return
    age = _measure_age(path, handle)
    if age < EXPIRY_SECONDS:
        raise _make_busy_error(path, lease, max(0.0, EXPIRY_SECONDS - max(0.0, age)))
    who = f"a {lease.doing} ({lease.describe()})" if lease else "somebody"
    report(f"{who} gave no sign of life for {age / 60:.0f} minutes; its lock was taken over")


def _flock(path: Path, handle: int) -> bool:
    """Acquire the system's lock; False on a folder without locks.  Raises BlockingIOError where another process has it."""
    try:
        lock_handle(handle, path, wait=False)
    except NoLocksError:  # there the lease alone is the lock
        return False
    return True


def _make_busy_error(path: Path, lease: Lease | None, rest: float | None = None) -> BusyError:
    """Return the error that says who holds the lock; ``rest``: seconds until its lease expires."""
    operation, who = (lease.doing, f" ({lease.describe()})") if lease else (SCAN, "")
    text = f"another {operation} is running in {path.parent.parent}{who}; wait until it has ended"
    if rest is not None:
        text += f", or, if that machine is off, try again in {count_of(int(rest // 60) + 1, 'minute')}"
    return BusyError(text)


def _measure_age(path: Path, handle: int) -> float:
    """Return the seconds since the lease was renewed, by the file server's clock.

    Where that clock was set back, a dead holder's lease would not expire for long: then its time is set to now.  A living
    holder renews it anyway.
    """
    age = _read_server_time(path.parent) - os.fstat(handle).st_mtime
    if age < -RENEWAL_SECONDS:
        os.utime(handle)
    return age


def _read_server_time(folder: Path) -> float:
    """Return the current time of the folder's file server."""
    probe = folder / f"{TEMPORARY_PREFIX}clock-{secrets.token_hex(4)}"
    try:
        probe.write_bytes(b"?")
        return probe.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)


def _is_expired(path: Path) -> bool:
    """True if a lease seems expired by this machine's clock; for readers of the status only."""
    age = dt.datetime.now(dt.UTC).timestamp() - path.stat().st_mtime
    return age >= EXPIRY_SECONDS


def _read_boot_id() -> str:
    try:
        return BOOT.read_text("ascii").strip()
    except OSError:
        return ""


def _write(handle: int, data: bytes) -> None:
    """Replace the content of an open file and flush it."""
    os.ftruncate(handle, 0)
    os.pwrite(handle, data, 0)
    os.fsync(handle)
