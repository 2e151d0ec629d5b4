"""Kills a process before, within or after its n-th call that changes files, tables or connections."""

from __future__ import annotations

import os
import pathlib
import signal
import socket
import sqlite3
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

PHASES = ("before", "half", "during", "after")
"""Before a call, with half of its bytes written, some microseconds after it began, and after it."""

ATOMIC = "overwrite"
"""Kind of call that a kill cannot interrupt: less than a page, written in one piece."""

CALLS: tuple[tuple[str, Any, str], ...] = (
    ("rename", os, "replace"),
    ("rename", os, "rename"),
    ("flush", os, "fsync"),
    ("delete", os, "unlink"),
    ("delete", os, "rmdir"),
    ("make", os, "mkdir"),
    ("make", tempfile, "mkstemp"),
    ("truncate", os, "ftruncate"),
    ("append", os, "write"),
    ("overwrite", os, "pwrite"),
    ("write", pathlib.Path, "write_bytes"),
    ("write", pathlib.Path, "write_text"),
    ("send", socket.socket, "sendall"),
    ("send", socket.socket, "send"),
    ("receive", socket.socket, "recv_into"),
)
"""Kind of call, its module or class, and its name."""


@dataclass(frozen=True)
class KillPoint:
    """A moment at which a process is killed."""

    kind: str
    """Of the call."""

    number: int
    """Number among the calls of this kind, from 1."""

    phase: str
    """One of PHASES."""

    delay: float = 0.0
    """Seconds after the call began, for ``during``."""

    def describe(self) -> str:
        """Return it in words."""
        return f"{self.phase} {self.kind} {self.number}"


class CallTrap:
    """Counts calls while it is open, and kills the process at its point."""

    def __init__(self, point: KillPoint | None) -> None:
        self.is_open, self.counts = False, Counter[str]()
        self._point, self._lock = point, threading.Lock()

    def install(self) -> None:
        """Wrap the calls of this process."""
        for kind, owner, name in CALLS:
            setattr(owner, name, self._wrap(kind, getattr(owner, name)))
        _trap_sqlite(self)

    def _wrap(self, kind: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def trapped(*arguments: Any, **options: Any) -> Any:
            return self.make_call(kind, call, *arguments, **options)

        return trapped

    def make_call(self, kind: str, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Make a call; the process is killed here if this is its point."""
        phase = self._count(kind)
        if phase == "before":
            die()
        if phase == "half":
            shorter = None if kind == ATOMIC else _halve(arguments)
            if shorter is not None:
                call(*shorter, **options)
            die()
        if phase == "during" and self._point:
            threading.Thread(target=_die_after, args=(self._point.delay,), daemon=True).start()
        done = call(*arguments, **options)
        if phase in ("during", "after"):
            die()
        return done

    def _count(self, kind: str) -> str:
        if not self.is_open:
            return ""
        with self._lock:
            self.counts[kind] += 1
            is_here = self._point and (kind, self.counts[kind]) == (self._point.kind, self._point.number)
        return self._point.phase if self._point and is_here else ""


def _halve(arguments: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """Return the arguments of a call that writes half as much; None where it writes nothing."""
    for at, value in enumerate(arguments):
        if isinstance(value, bytes | bytearray | memoryview | str) and at == 1:
            return (*arguments[:at], value[: len(value) // 2], *arguments[at + 1 :])
    return None


def _die_after(seconds: float) -> None:
    time.sleep(seconds)
    die()


def die() -> NoReturn:
    """Kill this process at once."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise SystemExit("a killed process goes on")


def _trap_sqlite(trap: CallTrap) -> None:
    class Connection(sqlite3.Connection):
        def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
            kind = "commit" if sql.lstrip().upper().startswith("COMMIT") else "statement"
            done: sqlite3.Cursor = trap.make_call(kind, super().execute, sql, *values)
            return done

    connect = sqlite3.connect

    def trapped(*arguments: Any, **options: Any) -> Any:
        return connect(*arguments, **{"factory": Connection, **options})

    sqlite3.connect = trapped  # type: ignore[assignment]
