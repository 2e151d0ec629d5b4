"""The processes that are disturbed: each runs one command of minewatch, and reports when its stage begins and ends."""

from __future__ import annotations

import datetime as dt
import functools
import importlib
import multiprocessing
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from drills.kill_points import CallTrap, KillPoint

FORK = multiprocessing.get_context("forkserver")
FORK.set_forkserver_preload(["drills.loaded"])

LONGEST = 60.0
"""Seconds after which a process counts as hanging."""

STARTED, ENDED = "started", "ended"
"""Messages of a process when its stage begins and ends."""


@dataclass(frozen=True)
class Job:
    """One command, and how it is disturbed."""

    root: Path
    """Of the workspace."""

    command: tuple[str, ...]
    """Arguments of minewatch; or ``notify`` or ``night`` with a time, for a part of the watch at that time."""

    begin: str = ""
    """``module:name`` of the function whose call begins the stage; '' = it begins at once."""

    end: str = ""
    """The same for its end; '' = with the command."""

    environment: Mapping[str, str] = field(default_factory=dict)
    """Added to that of the process."""

    point: KillPoint | None = None
    """Where it is killed."""

    shift: float = 0.0
    """Seconds by which its clock is wrong."""

    largest: int | None = None
    """Largest size of a file in bytes."""


@dataclass(frozen=True)
class Ending:
    """How a process ended."""

    code: int
    """Exit code; below 0, the signal that ended it."""

    seconds: float
    """Duration of its stage, at most until the process ended."""

    in_stage: bool
    """True if it ended within its stage."""

    counts: Mapping[str, int]
    """Calls within the stage, by kind; only where the process was not killed."""

    text: str
    """What it printed."""


def run_job(job: Job, after: float | None = None, number: int = signal.SIGKILL) -> Ending:
    """Run a job in a process of its own; send it a signal ``after`` so many seconds of its stage."""
    started = start_job(job)
    if after is not None and started.wait_for(STARTED):
        time.sleep(after)
        started.send(number)
    return started.finish()


class RunningJob:
    """A process that runs a job."""

    def __init__(self, job: Job, name: str = "") -> None:
        self._here, there = FORK.Pipe(duplex=False)
        self._log = job.root.with_name(f"{job.root.name}{name}.log")
        self._log.unlink(missing_ok=True)
        self._process = FORK.Process(target=perform, args=(job, there, self._log))
        self._process.start()
        there.close()
        self._messages: dict[str, tuple[float, Mapping[str, int]]] = {}

    def wait_for(self, word: str) -> bool:
        """Wait until the process sends a message; returns False where it ends before."""
        deadline = time.monotonic() + LONGEST
        while word not in self._messages and time.monotonic() < deadline:
            try:
                if self._here.poll(0.5):
                    name, when, counts = self._here.recv()
                    self._messages[name] = when, counts
            except (EOFError, OSError):
                return word in self._messages
        return word in self._messages

    def send(self, number: int) -> None:
        """Send it a signal, if it still runs."""
        if self._process.pid and self._process.is_alive():
            os.kill(self._process.pid, number)

    def finish(self) -> Ending:
        """Wait for its end."""
        self.wait_for("nothing more")
        self._process.join(LONGEST)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()
            raise RuntimeError(f"a process hangs; it said: {self._read()[-2000:]}")
        over = time.monotonic()
        begun = self._messages.get(STARTED, (over, {}))[0]
        ended, counts = self._messages.get(ENDED, (over, {}))
        within = STARTED in self._messages and ENDED not in self._messages
        return Ending(self._process.exitcode, ended - begun, within, counts, self._read())

    def _read(self) -> str:
        return self._log.read_text("utf-8", "replace") if self._log.exists() else ""


def start_job(job: Job, name: str = "", wait: float = 0.0) -> RunningJob:
    """Start a job in a process of its own, after some seconds; ``name`` must differ within a workspace."""
    time.sleep(wait)
    return RunningJob(job, name)


def finish_with(code: int, text: str) -> Ending:
    """Return the ending of a process of which only code and output are known."""
    return Ending(code, 0.0, code != 0, {}, text)


# --- within the process ----------------------------------------------------------------------------------------------


def perform(job: Job, line: Connection, log: Path) -> None:
    """Run a job in this process."""
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (1, 2):
        os.dup2(handle, stream)
    os.environ.update(job.environment)
    trap = CallTrap(job.point)
    shift_clock(job.shift)
    stage = StageSignal(trap, line)
    if job.end:
        watch_calls(job.end, stage.end)
    if job.begin:
        watch_calls(job.begin, stage.begin)
    trap.install()
    if job.largest is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (job.largest, job.largest))
    if not job.begin:
        stage.begin()
    try:
        run_command(job)
    finally:
        stage.end()
        sys.stdout.flush()
        sys.stderr.flush()


class StageSignal:
    """Reports when a stage begins and ends."""

    def __init__(self, trap: CallTrap, line: Connection) -> None:
        self._trap, self._line, self._state = trap, line, ""

    def begin(self) -> None:
        """Report that it begins; only the first call counts."""
        if not self._state:
            self._state = STARTED
            self._line.send((STARTED, time.monotonic(), {}))
            self._trap.is_open = True

    def end(self) -> None:
        """Report that it ends; only the first call counts."""
        if self._state == STARTED:
            self._state, self._trap.is_open = ENDED, False
            self._line.send((ENDED, time.monotonic(), dict(self._trap.counts)))


def watch_calls(name: str, report: Callable[[], None]) -> None:
    """Call ``report`` before each call of a function."""
    module_name, _, function_name = name.partition(":")
    module = importlib.import_module(module_name)
    function = getattr(module, function_name)

    @functools.wraps(function)
    def reporting(*arguments: Any, **options: Any) -> Any:
        report()
        return function(*arguments, **options)

    setattr(module, function_name, reporting)


def run_command(job: Job) -> None:
    """Run the command of a job."""
    if job.command[0] in WATCH_COMMANDS:
        _report_errors(WATCH_COMMANDS[job.command[0]], job)
        return
    from minewatch.cli import main  # noqa: PLC0415  after the calls are watched
    from minewatch.core.signals import NOTICE, find_exit_code, handle_signals  # noqa: PLC0415

    with handle_signals():
        try:
            main([*job.command, "-w", str(job.root)], prog_name="minewatch")
        except KeyboardInterrupt as stop:
            sys.stderr.write(f"{NOTICE}\n")
            sys.stderr.flush()
            os._exit(find_exit_code(stop))


def _report_errors(action: Callable[[Job], None], job: Job) -> None:
    """Print the errors of minewatch in one line, as the command line does."""
    from minewatch.core.errors import MinewatchError, describe  # noqa: PLC0415
    from minewatch.core.files import wrap_disk_errors  # noqa: PLC0415

    try:
        with wrap_disk_errors():
            action(job)
    except MinewatchError as error:
        sys.stderr.write(f"Error: {describe(error)}\n")
        sys.exit(1)


def notify(job: Job) -> None:
    """Put new messages into the outbox and send what waits there, at a given time."""
    from minewatch.core.workspace import Workspace  # noqa: PLC0415
    from minewatch.operations.notify.delivery import deliver  # noqa: PLC0415
    from minewatch.operations.notify.enqueue import enqueue_messages  # noqa: PLC0415

    now = dt.datetime.fromisoformat(job.command[1])
    workspace = Workspace(job.root)
    enqueue_messages(workspace, now)
    done = deliver(workspace, now)
    sys.stdout.write(f"{done}\n")
    sys.exit(3 if done.dead else 0)


def run_night(job: Job) -> None:
    """Run one cycle of the watch, at a given time."""
    from minewatch.core.progress import Reporter  # noqa: PLC0415
    from minewatch.core.workspace import Workspace  # noqa: PLC0415
    from minewatch.operations.watch import watch_once  # noqa: PLC0415

    now = dt.datetime.fromisoformat(job.command[1])
    done = watch_once(Workspace(job.root), now, Reporter(note=lambda text: sys.stderr.write(f"{text}\n") and None))
    sys.exit(0 if done.is_well else 3)


WATCH_COMMANDS: dict[str, Callable[[Job], None]] = {"notify": notify, "night": run_night}


def shift_clock(seconds: float) -> None:
    """Shift the clock of this process: all of minewatch reads ``datetime.now``."""
    if seconds:
        ShiftedClock.shift = dt.timedelta(seconds=seconds)
        dt.datetime = ShiftedClock  # type: ignore[misc]


class _Kind(type):
    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, _REAL)


_REAL = dt.datetime


class ShiftedClock(_REAL, metaclass=_Kind):
    """A clock that is wrong by ``shift``."""

    shift = dt.timedelta(0)

    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:  # type: ignore[override]
        """Return the wrong time."""
        return _REAL.now(tz) + cls.shift
