"""The watch as a service: pass after pass, with sleep between them; errors are told and the next pass goes on."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator

from minewatch.core.errors import MinewatchError, describe
from minewatch.core.progress import Reporter
from minewatch.core.signals import Stopped, find_exit_code
from minewatch.core.workspace import Workspace
from minewatch.operations.watch import Cycle, watch_once

LONGEST_SLEEP = dt.timedelta(minutes=15)
"""Between passes: so often waiting messages are tried, new areas and settings seen, and the heart beats."""

SLICE = dt.timedelta(seconds=30)
"""So often the clock is looked at while nothing is due: it may be set, and a machine may have slept."""

BUSY_WAIT = dt.timedelta(minutes=1)
"""So long what is due waits while somebody else works in the workspace."""

LONGEST_PASS = dt.timedelta(hours=24)
"""A pass that takes longer hangs: the system's watchdog is no longer told that all is well."""


ASKED_TO_END = 128 + signal.SIGTERM
"""What a command that the system stops would end with."""


def serve(
    workspace: Workspace,
    reporter: Reporter,
    clock: Callable[[], dt.datetime],
    sleep: Callable[[float], None] = time.sleep,
    one_pass: Callable[[Workspace, dt.datetime, Reporter], Cycle] = watch_once,
) -> None:
    """Watch until the system wants it to end (SIGTERM); then returns.  Other ways to be stopped pass."""
    supervisor = Supervisor()
    try:
        with supervisor.guarding():
            supervisor.tell("READY=1")
            while True:
                supervisor.begin_pass()
                wake = _pass(workspace, reporter, clock(), one_pass)
                supervisor.end_pass(f"next: {wake:%Y-%m-%d %H:%M} UTC")
                _wait(clock, wake, sleep)
    except Stopped as stop:
        if find_exit_code(stop) != ASKED_TO_END:
            raise
    finally:
        supervisor.tell("STOPPING=1")


def _pass(
    workspace: Workspace,
    reporter: Reporter,
    now: dt.datetime,
    one_pass: Callable[[Workspace, dt.datetime, Reporter], Cycle],
) -> dt.datetime:
    """Make one pass, whatever comes of it; gives when the next one begins."""
    latest = now + LONGEST_SLEEP
    try:
        done = one_pass(workspace, now, reporter)
    except MinewatchError as error:
        reporter.note(f"this round could not be done, the next one is tried at {latest:%H:%M} UTC: {describe(error)}")
        return latest
    except Exception as error:  # noqa: BLE001  a year is long: whatever happens in one round, the next one is tried
        reason = f"{type(error).__name__}: {describe(error)}"
        reporter.note(f"this round failed, the next one is tried at {latest:%H:%M} UTC: {reason}")
        return latest
    times = [time for time in (done.next_due, done.next_try) if time]
    return max(now + SLICE, min([latest, *times])) if not done.busy else min(latest, now + BUSY_WAIT)


def _wait(clock: Callable[[], dt.datetime], wake: dt.datetime, sleep: Callable[[float], None]) -> None:
    """Sleep until the clock says so, or was set back: nobody waits for longer than LONGEST_SLEEP."""
    while dt.timedelta(0) < (rest := wake - clock()) <= LONGEST_SLEEP:
        sleep(min(SLICE, rest).total_seconds())


class Supervisor:
    """What the system's service manager is told, where there is one (sd_notify(3))."""

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "")
        self._seconds = _read_watchdog()
        self._begun: float | None = None
        self._ended = threading.Event()

    def tell(self, text: str) -> None:
        """Send a message; nothing where there is no manager, or it does not listen."""
        if not self._address:
            return
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
            line.sendto(text.encode(), address)

    def begin_pass(self) -> None:
        """Note that a pass begins."""
        self._begun = time.monotonic()
        self.tell("STATUS=at work")

    def end_pass(self, status: str) -> None:
        """Note that it ended."""
        self._begun = None
        self.tell(f"STATUS={status}")

    @contextlib.contextmanager
    def guarding(self) -> Iterator[None]:
        """Tell the manager's watchdog that all is well, as long as no pass hangs."""
        thread = threading.Thread(target=self._guard, name="minewatch-watchdog", daemon=True)
        if self._address and self._seconds:
            thread.start()
        try:
            yield
        finally:
            self._ended.set()
            if thread.is_alive():
                thread.join()

    def _guard(self) -> None:
        assert self._seconds, "the thread runs only where the manager has a watchdog"
        while not self._ended.wait(self._seconds / 2):
            begun = self._begun
            if begun is None or time.monotonic() - begun < LONGEST_PASS.total_seconds():
                self.tell("WATCHDOG=1")


def _read_watchdog() -> float | None:
    """Read after how many seconds without a word the manager would start the service anew; None = never."""
    meant = os.environ.get("WATCHDOG_PID", "")
    text = os.environ.get("WATCHDOG_USEC", "")
    if not text.isdecimal() or int(text) == 0 or (meant and meant != str(os.getpid())):
        return None
    return int(text) / 1_000_000
