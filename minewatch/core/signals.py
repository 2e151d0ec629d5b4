"""Signals that stop a command: the first lets it clean up, the second exits at once."""

from __future__ import annotations

import _thread
import atexit
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""Ctrl-C, and what service managers send before they kill."""

NOTICE = "stopped; what was finished is kept, and the same command goes on from there"
"""Printed by a stopped command."""

IMPORTING = "<frozen importlib"
"""How the names of the files of Python's import system begin."""

AGAIN_SECONDS = 0.01
"""Time after which a signal that came where nothing may be raised is sent again."""


class Stopped(KeyboardInterrupt):
    """A signal arrived; not an Exception, so nothing that handles errors catches it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number
        self.code = 128 + number


def find_exit_code(stop: KeyboardInterrupt) -> int:
    """Return the exit code of a command that was stopped: 128 and the signal's number, as in shells."""
    return stop.code if isinstance(stop, Stopped) else 128 + signal.SIGINT


@contextlib.contextmanager
def handle_signals() -> Iterator[None]:
    """Let signals raise Stopped for the duration of a block, which is the last that its process does.

    Where Python drops what is raised, as in callbacks of weak references, the signal is sent again.  After the block the
    process only exits: its exit code tells what the block did, whatever signal comes.  Does nothing outside the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _answer_signals(_raise_stopped)
    atexit.register(_answer_signals, signal.SIG_IGN)  # the first that is registered runs last; Python undoes other handlers then
    report = sys.unraisablehook

    def take_dropped(dropped: sys.UnraisableHookArgs) -> None:
        if isinstance(dropped.exc_value, Stopped):
            _answer_signals(_raise_stopped)
            _send_again(dropped.exc_value.number)
        else:
            report(dropped)

    sys.unraisablehook = take_dropped
    try:
        yield
    finally:
        _answer_signals(_pass_over)
        sys.unraisablehook = report


def exit_process(code: int) -> NoReturn:
    """Exit; running threads are not waited for after a signal that :func:`handle_signals` caught."""
    if signal.getsignal(signal.SIGINT) is _exit_now:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)
    sys.exit(code)


def exit_early(stop: KeyboardInterrupt) -> NoReturn:
    """Exit with the notice, where there is no command yet to print it."""
    sys.stderr.write(f"{NOTICE}\n")
    exit_process(find_exit_code(stop))


def _answer_signals(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    for number in SIGNALS:
        signal.signal(number, handler)


def _raise_stopped(number: int, frame: FrameType | None) -> None:
    if _is_importing(frame):
        _send_again(number)
        return
    _answer_signals(_exit_now)
    raise Stopped(number)


def _pass_over(_number: int, _frame: FrameType | None) -> None:
    """Let a process exit that is about to; a second signal ends one that does not come to it."""
    _answer_signals(_exit_now)


def _is_importing(frame: FrameType | None) -> bool:
    """True if a module is being loaded.

    Then the lock of imports may be held, for which other threads wait, and libraries in C take what is raised for a failure of
    their own.
    """
    while frame:
        if frame.f_code.co_filename.startswith(IMPORTING):
            return True
        frame = frame.f_back
    return False


def _send_again(number: int) -> None:
    """Send a signal to this process a little later; takes no lock, since the main thread may hold any."""
    _thread.start_new_thread(_send_late, (number,))


def _send_late(number: int) -> None:
    time.sleep(AGAIN_SECONDS)
    os.kill(os.getpid(), number)


def _exit_now(number: int, _frame: FrameType | None) -> NoReturn:
    os._exit(128 + number)
