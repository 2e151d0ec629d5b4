"""The watch as a service: cycle after cycle, with sleep in between; an error is reported and the next cycle follows."""

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
"""Between cycles, so that waiting messages are sent, changed settings read and heartbeats written at least so often."""

CLOCK_CHECK = dt.timedelta(seconds=30)
"""Longest sleep without reading the clock: it may be set, and the machine may have been suspended."""

BUSY_WAIT = dt.timedelta(minutes=1)
"""Between cycles while another process holds the workspace."""

LONGEST_CYCLE = dt.timedelta(hours=24)
"""A longer cycle counts as hanging: the watchdog is then no longer fed."""


CycleRunner = Callable[[Workspace, dt.datetime, Reporter], Cycle]

SIGTERM_CODE = 128 + signal.SIGTERM
"""Exit code after SIGTERM."""


def serve(
    workspace: Workspace,
    reporter: Reporter,
    clock: Callable[[], dt.datetime],
    sleep: Callable[[float], None] = time.sleep,
    run_cycle: CycleRunner = watch_once,
) -> None:
    """Run cycles until SIGTERM, then return; raises Stopped for other signals."""
    manager = ServiceManager()
    try:
        with manager.feed_watchdog():
            manager.sd_notify("READY=1")
            while True:
                manager.begin_cycle()
                wake = _run_cycle(workspace, reporter, clock(), run_cycle)
                manager.end_cycle(f"next: {wake:%Y-%m-%d %H:%M} UTC")
                # Where the clock was set back, the next cycle comes earlier: no sleep exceeds LONGEST_SLEEP.
                while dt.timedelta(0) < (rest := wake - clock()) <= LONGEST_SLEEP:
                    sleep(min(CLOCK_CHECK, rest).total_seconds())
    except Stopped as stop:
        if find_exit_code(stop) != SIGTERM_CODE:
            raise
    finally:
        manager.sd_notify("STOPPING=1")


def _run_cycle(workspace: Workspace, reporter: Reporter, now: dt.datetime, run_cycle: CycleRunner) -> dt.datetime:
    """Run one cycle, report its errors, and return when the next one begins."""
    latest = now + LONGEST_SLEEP
    try:
        done = run_cycle(workspace, now, reporter)
    except MinewatchError as error:
        reporter.note(f"this cycle could not be done, the next one is tried at {latest:%H:%M} UTC: {describe(error)}")
        return latest
    except Exception as error:  # noqa: BLE001  the service must outlive any error of one cycle
        reason = f"{type(error).__name__}: {describe(error)}"
        reporter.note(f"this cycle failed, the next one is tried at {latest:%H:%M} UTC: {reason}")
        return latest
    times = [time for time in (done.next_due, done.next_try) if time]
    return max(now + CLOCK_CHECK, min([latest, *times])) if not done.busy else min(latest, now + BUSY_WAIT)


class ServiceManager:
    """Reports to the system's service manager, where there is one (sd_notify(3))."""

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "")
        self._seconds = _read_watchdog()
        self._begun: float | None = None
        self._ended = threading.Event()

    def sd_notify(self, text: str) -> None:
        """Send a message; does nothing where there is no manager or it does not listen."""
        if not self._address:
            return
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
            line.sendto(text.encode(), address)

    def begin_cycle(self) -> None:
        """Report that a cycle begins."""
        self._begun = time.monotonic()
        self.sd_notify("STATUS=at work")

    def end_cycle(self, status: str) -> None:
        """Report that it ended."""
        self._begun = None
        self.sd_notify(f"STATUS={status}")

    @contextlib.contextmanager
    def feed_watchdog(self) -> Iterator[None]:
        """Feed the manager's watchdog as long as no cycle hangs."""
        thread = threading.Thread(target=self._feed, name="minewatch-watchdog", daemon=True)
        if self._address and self._seconds:
            thread.start()
        try:
            yield
        finally:
            self._ended.set()
            if thread.is_alive():
                thread.join()

    def _feed(self) -> None:
        assert self._seconds, "the thread runs only where the manager has a watchdog"
        while not self._ended.wait(self._seconds / 2):
            begun = self._begun
            if begun is None or time.monotonic() - begun < LONGEST_CYCLE.total_seconds():
                self.sd_notify("WATCHDOG=1")


def _read_watchdog() -> float | None:
    """Return after how many seconds without a report the manager restarts the service; None = never."""
    meant = os.environ.get("WATCHDOG_PID", "")
    text = os.environ.get("WATCHDOG_USEC", "")
    if not text.isdecimal() or int(text) == 0 or (meant and meant != str(os.getpid())):
        return None
    return int(text) / 1_000_000
