"""Ends a command that somebody stops: the first signal lets it tidy up, the second ends it at once."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""Ctrl-C, and what systems send before they kill."""

NOTICE = "stopped; what was finished is kept, and the same command goes on from there"
"""For the person."""


class Stopped(KeyboardInterrupt):
    """A signal came; passes whatever catches errors."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.code = 128 + number


def find_exit_code(stop: KeyboardInterrupt) -> int:
    """Return the exit code of a command that was stopped: 128 and the signal's number, as shells have it."""
    return stop.code if isinstance(stop, Stopped) else 128 + signal.SIGINT


@contextlib.contextmanager
def handle_signals() -> Iterator[None]:
    """Let signals raise Stopped for the length of a block; nothing changes in threads other than the first."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _raise_stopped) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def exit_process(code: int) -> NoReturn:
    """End the process; the threads that still work are not waited for where a signal was caught by :func:`listening`."""
    if signal.getsignal(signal.SIGINT) is _exit_now:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)
    sys.exit(code)


def exit_early(stop: KeyboardInterrupt) -> NoReturn:
    """End the process before there is a command that could tell it."""
    sys.stderr.write(f"{NOTICE}\n")
    exit_process(find_exit_code(stop))


def _raise_stopped(number: int, _frame: FrameType | None) -> NoReturn:
    for other in SIGNALS:
        signal.signal(other, _exit_now)
    raise Stopped(number)


def _exit_now(number: int, _frame: FrameType | None) -> NoReturn:
    os._exit(128 + number)
