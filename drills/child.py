"""The processes that are disturbed: each runs one command of minewatch, and says when its stage begins and ends."""

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

from drills.points import Point, Tap

FORK = multiprocessing.get_context("forkserver")
FORK.set_forkserver_preload(["drills.loaded"])

LONGEST = 60.0
"""Seconds after which a process counts as hanging."""

STARTED = "started"
"""What a process says when its stage begins."""

ENDED = "ended"
"""... and when it is over."""


@dataclass(frozen=True)
class Job:
    """One command, and what is done to it."""

    root: Path
    """Of the workspace."""

    command: tuple[str, ...]
    """Arguments of minewatch; or ``tell`` or ``night`` with a time, for one pass of the watch at that time."""

    begin: str = ""
    """``module:name`` of the function at whose call the stage begins; '' = at once."""

    end: str = ""
    """... and at whose call it is over; '' = when the command ends."""

    environment: Mapping[str, str] = field(default_factory=dict)
    """Added to that of the process."""

    point: Point | None = None
    """Where it dies."""

    shift: float = 0.0
    """Seconds by which its clock is wrong."""

    largest: int | None = None
    """Bytes beyond which no file may grow."""


@dataclass(frozen=True)
class Ending:
    """What became of a process."""

    code: int
    """Exit code; below 0, the signal that ended it."""

    seconds: float
    """From the beginning of its stage to its end, or to that of the process."""

    in_stage: bool
    """Whether it was ended within its stage."""

    counts: Mapping[str, int]
    """Calls within the stage, by kind; only of processes that came to their end."""

    text: str
    """What it printed."""


def run_job(job: Job, after: float | None = None, number: int = signal.SIGKILL) -> Ending:
    """Run a job in a process of its own; ``after`` so many seconds of its stage, send it a signal."""
    started = start_job(job)
    if after is not None and started.wait_for(STARTED):
        time.sleep(after)
        started.send(number)
    return started.finish()


class Started:
    """A process that runs a job."""

    def __init__(self, job: Job, name: str = "") -> None:
        self._here, there = FORK.Pipe(duplex=False)
        self._log = job.root.with_name(f"{job.root.name}{name}.log")
        self._log.unlink(missing_ok=True)
        self._process = FORK.Process(target=perform, args=(job, there, self._log))
        self._process.start()
        there.close()
        self._told: dict[str, tuple[float, Mapping[str, int]]] = {}

    def wait_for(self, word: str) -> bool:
        """Wait until the process says a word; False where it ends before."""
        deadline = time.monotonic() + LONGEST
        while word not in self._told and time.monotonic() < deadline:
            try:
                if self._here.poll(0.5):
                    name, when, counts = self._here.recv()
                    self._told[name] = when, counts
            except (EOFError, OSError):
                return word in self._told
        return word in self._told

    def send(self, number: int) -> None:
        """Send it a signal, where it still runs."""
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
        begun = self._told.get(STARTED, (over, {}))[0]
        ended, counts = self._told.get(ENDED, (over, {}))
        within = STARTED in self._told and ENDED not in self._told
        return Ending(self._process.exitcode, ended - begun, within, counts, self._read())

    def _read(self) -> str:
        return self._log.read_text("utf-8", "replace") if self._log.exists() else ""


def start_job(job: Job, name: str = "", wait: float = 0.0) -> Started:
    """Start a job in a process of its own, after some seconds; ``name`` tells it from another in the same workspace."""
    time.sleep(wait)
    return Started(job, name)


def finish_with(code: int, text: str) -> Ending:
    """Make the ending of a process of which only this is known."""
    return Ending(code, 0.0, code != 0, {}, text)


# --- within the process ----------------------------------------------------------------------------------------------


def perform(job: Job, line: Connection, log: Path) -> None:
    """Run a job in this process."""
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (1, 2):
        os.dup2(handle, stream)
    os.environ.update(job.environment)
    tap = Tap(job.point)
    shift_clock(job.shift)
    stage = Stage(tap, line)
    if job.end:
        watch_call(job.end, stage.end)
    if job.begin:
        watch_call(job.begin, stage.begin)
    tap.install()
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


class Stage:
    """Says when a stage begins and ends."""

    def __init__(self, tap: Tap, line: Connection) -> None:
        self._tap, self._line, self._state = tap, line, ""

    def begin(self) -> None:
        """Say that it begins; the first time counts."""
        if not self._state:
            self._state = STARTED
            self._line.send((STARTED, time.monotonic(), {}))
            self._tap.is_open = True

    def end(self) -> None:
        """Say that it is over; the first time counts."""
        if self._state == STARTED:
            self._state, self._tap.is_open = ENDED, False
            self._line.send((ENDED, time.monotonic(), dict(self._tap.counts)))


def watch_call(name: str, tell: Callable[[], None]) -> None:
    """Be told when a function is called."""
    module_name, _, function_name = name.partition(":")
    module = importlib.import_module(module_name)
    function = getattr(module, function_name)

    @functools.wraps(function)
    def told(*arguments: Any, **options: Any) -> Any:
        tell()
        return function(*arguments, **options)

    setattr(module, function_name, told)


def run_command(job: Job) -> None:
    """Run what a job asks for."""
    if job.command[0] in PASSES:
        _guard(PASSES[job.command[0]], job)
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


def _guard(action: Callable[[Job], None], job: Job) -> None:
    """Say in one line what a user can understand, as the command line does."""
    from minewatch.core.errors import MinewatchError, describe  # noqa: PLC0415
    from minewatch.core.files import wrap_disk_errors  # noqa: PLC0415

    try:
        with wrap_disk_errors():
            action(job)
    except MinewatchError as error:
        sys.stderr.write(f"Error: {describe(error)}\n")
        sys.exit(1)


def tell_news(job: Job) -> None:
    """Put what is new into the outbox and send what waits there, at a time."""
    from minewatch.core.workspace import Workspace  # noqa: PLC0415
    from minewatch.operations.notify.collection import collect  # noqa: PLC0415
    from minewatch.operations.notify.delivery import deliver  # noqa: PLC0415

    now = dt.datetime.fromisoformat(job.command[1])
    workspace = Workspace(job.root)
    collect(workspace, now)
    done = deliver(workspace, now)
    sys.stdout.write(f"{done}\n")
    sys.exit(3 if done.dead else 0)


def spend_night(job: Job) -> None:
    """Make one pass of the watch, at a time."""
    from minewatch.core.progress import Reporter  # noqa: PLC0415
    from minewatch.core.workspace import Workspace  # noqa: PLC0415
    from minewatch.operations.watch import watch_once  # noqa: PLC0415

    now = dt.datetime.fromisoformat(job.command[1])
    done = watch_once(Workspace(job.root), now, Reporter(note=lambda text: sys.stderr.write(f"{text}\n") and None))
    sys.exit(0 if done.is_well else 3)


PASSES: dict[str, Callable[[Job], None]] = {"tell": tell_news, "night": spend_night}


def shift_clock(seconds: float) -> None:
    """Let the clock of this process be wrong: all of minewatch asks ``datetime.now``."""
    if seconds:
        Shifted.shift = dt.timedelta(seconds=seconds)
        dt.datetime = Shifted  # type: ignore[misc]


class _Kind(type):
    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, _REAL)


_REAL = dt.datetime


class Shifted(_REAL, metaclass=_Kind):
    """A clock that is wrong."""

    shift = dt.timedelta(0)
    """By so much."""

    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:  # type: ignore[override]
        """Tell the wrong time."""
        return _REAL.now(tz) + cls.shift
