"""Keeps two scans of one workspace apart: in one machine, and on a folder that several machines share.

The system holds a lock (flock) for the process that works, and lets it fall when that process ends, however it ends.
Some shared folders do not pass that lock on to other machines.  So a lease stands in the same file: who works, and, by the
file's time of change, that it still lives.  Only the file server's clock is compared with itself, never two machines'.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import fcntl
import json
import os
import platform
import secrets
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from minewatch.core.errors import BusyError, WorkspaceError
from minewatch.core.temp_files import TEMPORARY_PREFIX, is_alive
from minewatch.core.text import count_of

RENEWAL_SECONDS = 60.0
"""A holder shows this often that it lives."""

EXPIRY_SECONDS = 600.0
"""A holder on another machine that did not show it for so long is dead."""

SCAN = "scan"
"""What holders mostly do."""

NO_LOCK_ERRORS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
"""What a folder without locks answers; there the lease alone keeps scans apart."""

BOOT = Path("/proc/sys/kernel/random/boot_id")
"""Names a running kernel, where it is Linux."""


@dataclass(frozen=True)
class Lease:
    """Who holds a workspace."""

    host: str
    """Name of the machine."""

    pid: int
    """Of the process there."""

    boot: str
    """Names the machine's running kernel, so that two machines of one name are told apart; '' where that is not known."""

    since: str
    """UTC, by the holder's clock; for people."""

    doing: str
    """What it works on, as a noun."""

    token: str = field(default_factory=lambda: secrets.token_hex(8))
    """Different for each lock."""

    def describe(self) -> str:
        """Name the holder for people."""
        return f"since {self.since}, process {self.pid} on {self.host}"


class HeldLock:
    """A lock that is held; it shows in the background that its holder lives."""

    def __init__(self, path: Path, lease: Lease, handle: int) -> None:
        self._path, self._lease, self._handle = path, lease, handle
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="minewatch-lease", daemon=True)

    def start(self) -> None:
        """Write the lease, and renew it from now on."""
        _write(self._handle, json.dumps(asdict(self._lease)).encode())
        self._thread.start()

    def check(self) -> None:
        """Raise WorkspaceError where somebody else took the lock over, since this holder seemed dead."""
        other = read_lease(self._path)
        if other is None or other.token != self._lease.token:
            who = f"by a {other.doing} ({other.describe()})" if other else "or taken away"
            raise WorkspaceError(
                f"the lock {self._path} was taken over {who} while this {self._lease.doing} gave no sign of life; "
                "nothing was published; start it again"
            )

    def release(self) -> None:
        """Let go."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        with contextlib.suppress(WorkspaceError, OSError):
            self.check()
            _write(self._handle, b"")

    def _renew(self) -> None:
        while not self._ended.wait(RENEWAL_SECONDS):
            with contextlib.suppress(WorkspaceError, OSError):  # a file server that is away for a while
                self.check()
                os.utime(self._handle)  # no time is given: a file server takes its own


@contextlib.contextmanager
def acquire_lock(path: Path, operation: str = SCAN, report: Callable[[str], None] = lambda _text: None) -> Iterator[HeldLock]:
    """Hold the lock in a file for the length of a block.

    Raises BusyError where somebody else holds it, WorkspaceError where the file cannot be written.  ``report`` gets a line
    where the lock of a dead holder was taken over.
    """
    handle = _open(path)
    lock = None
    try:
        _acquire(path, handle, report)
        lock = HeldLock(path, _make_lease(operation), handle)
        lock.start()
        yield lock
    finally:
        if lock:
            lock.release()
        os.close(handle)


def read_lease(path: Path) -> Lease | None:
    """Tell who holds a lock, or held it when it died; None where nobody does, or the file cannot be understood."""
    try:
        return Lease(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def find_holder(path: Path) -> Lease | None:
    """Tell who holds a lock now and lives; None where nobody does.  Changes nothing."""
    lease = read_lease(path)
    lives = lease is not None and (is_alive(lease.pid) if lease.boot == _read_boot_id() != "" else not _is_expired(path))
    return lease if lives else None


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise WorkspaceError(f"cannot write in {path.parent}: {error.strerror}; check its permissions") from error


def _acquire(path: Path, handle: int, report: Callable[[str], None]) -> None:
    """Take the system's lock, and look whether a lease forbids it."""
    try:
        is_locked = _flock(handle)
    except BlockingIOError as error:
        raise _make_busy_error(path, read_lease(path)) from error
    if os.fstat(handle).st_size == 0:
        return
    lease = read_lease(path)
    is_own = lease is not None and lease.boot == _read_boot_id() != ""
    if (
        lease is not None and is_own and (is_locked or not is_alive(lease.pid))
    ):  # the system would still hold its lock if it lived
        report(f"a {lease.doing} ended abnormally ({lease.describe()}); its lock was taken over")
        return
    age = _measure_age(path, handle)
    if age < EXPIRY_SECONDS:
        raise _make_busy_error(path, lease, max(0.0, EXPIRY_SECONDS - max(0.0, age)))
    who = f"a {lease.doing} ({lease.describe()})" if lease else "somebody"
    report(f"{who} gave no sign of life for {age / 60:.0f} minutes; its lock was taken over")


def _flock(handle: int) -> bool:
    """Take the system's lock; False on a folder that has none.  Raises BlockingIOError where another process has it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError as error:
        if error.errno in NO_LOCK_ERRORS:
            return False
        raise
    return True


def _make_busy_error(path: Path, lease: Lease | None, rest: float | None = None) -> BusyError:
    """Say who holds the lock, and when it would be free if the holder were dead."""
    doing, who = (lease.doing, f" ({lease.describe()})") if lease else (SCAN, "")
    text = f"another {doing} is running in {path.parent.parent}{who}; wait until it has ended"
    if rest is not None:
        text += f", or, if that machine is off, try again in {count_of(int(rest // 60) + 1, 'minute')}"
    return BusyError(text)


def _measure_age(path: Path, handle: int) -> float:
    """Tell how many seconds ago the holder showed that it lives, by the clock of the file server.

    Where that clock was set back, a dead holder would seem to live for long: then its time is set to now, and counts from
    there.  A holder that lives renews it anyway.
    """
    age = _read_server_time(path.parent) - os.fstat(handle).st_mtime
    if age < -RENEWAL_SECONDS:
        os.utime(handle)
    return age


def _read_server_time(folder: Path) -> float:
    """Return the time of a folder's file server."""
    probe = folder / f"{TEMPORARY_PREFIX}clock-{secrets.token_hex(4)}"
    try:
        probe.write_bytes(b"?")
        return probe.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)


def _is_expired(path: Path) -> bool:
    """Guess from this machine's clock whether a lease is dead; for those who only look."""
    age = dt.datetime.now(dt.UTC).timestamp() - path.stat().st_mtime
    return age >= EXPIRY_SECONDS


def _make_lease(operation: str) -> Lease:
    since = f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC"
    return Lease(platform.node(), os.getpid(), _read_boot_id(), since, operation)


def _read_boot_id() -> str:
    try:
        return BOOT.read_text("ascii").strip()
    except OSError:
        return ""


def _write(handle: int, data: bytes) -> None:
    """Replace the content of the file that is open, shown to others at once."""
    os.ftruncate(handle, 0)
    os.pwrite(handle, data, 0)
    os.fsync(handle)
