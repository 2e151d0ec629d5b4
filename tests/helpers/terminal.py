"""A terminal of 80 columns in which commands are typed, on a day of the typist's choice; and the process at its other end.

One process runs all commands, so that Python and libraries are loaded once.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import json
import os
import pty
import shlex
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from tests.helpers.places import ROOT
from tests.helpers.small import plain_environment

COLUMNS = 80
END = "\x1e"
"""After what a command prints: this, its exit code, and a line break."""


@dataclass(frozen=True)
class Typed:
    """What came of a command."""

    command: str
    shown: str
    """Both of its outputs, as the terminal gets them."""
    code: int


@dataclass
class Terminal:
    """The typist's side."""

    leader: int
    orders: IO[str]
    now: dt.datetime
    history: list[Typed] = field(default_factory=list)

    def run(self, command: str) -> Typed:
        """Run a command; returns when it has ended."""
        self.orders.write(json.dumps({"now": self.now.isoformat(), "command": command}) + "\n")
        self.orders.flush()
        data = b""
        while not (data.endswith(b"\n") and END.encode() in data):
            data += os.read(self.leader, 65536)
        shown, _, code = data.decode().replace("\r\n", "\n").rpartition(END)
        self.history.append(Typed(command, shown, int(code)))
        return self.history[-1]


@contextmanager
def open_terminal(folder: Path, environment: Mapping[str, str]) -> Iterator[Terminal]:
    """Open a terminal in a folder."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
    env = plain_environment(TERM="dumb", PYTHONPATH=str(ROOT), **environment)
    for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR"):
        env.pop(name, None)
    command = [sys.executable, "-m", "tests.helpers.terminal"]
    with subprocess.Popen(
        command, cwd=folder, env=env, stdin=subprocess.PIPE, stdout=follower, stderr=follower, text=True
    ) as process:
        os.close(follower)
        assert process.stdin
        try:
            yield Terminal(leader, process.stdin, dt.datetime(2025, 1, 1, tzinfo=dt.UTC))
        finally:
            process.stdin.close()
            process.wait(30)
            os.close(leader)


# --- the process at the other end --------------------------------------------------------------------------------------


class _Kind(type):
    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, _REAL)


_REAL = dt.datetime
_AHEAD = dt.timedelta()


class _Clock(_REAL, metaclass=_Kind):
    """A clock that was set to another day, and goes on from there."""

    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> Any:
        return _REAL.now(tz) + _AHEAD


def _serve() -> None:
    """Run each command that comes, in this process where it is one of minewatch."""
    global _AHEAD  # noqa: PLW0603 - the one clock of the process
    dt.datetime = _Clock  # type: ignore[misc]
    from minewatch.cli import main  # noqa: PLC0415 - only now, so that all of it sees this clock

    for line in sys.stdin:
        order = json.loads(line)
        _AHEAD = _REAL.fromisoformat(order["now"]) - _REAL.now(dt.UTC)
        code = _run(main, order["command"])
        sys.stderr.flush()
        sys.stdout.write(f"{END}{code}\n")
        sys.stdout.flush()


def _run(main: Any, command: str) -> int:
    words = shlex.split(command) if "\n" not in command else []
    if words[:1] == ["minewatch"]:
        try:
            main(words[1:], prog_name="minewatch")
        except SystemExit as stop:
            return stop.code if isinstance(stop.code, int) else 0
        return 0
    if words[:1] == ["cd"]:
        os.chdir(words[1])
        return 0
    if words[:1] == ["export"]:
        name, _, value = words[1].partition("=")
        os.environ[name] = value
        return 0
    return subprocess.run(["bash", "-c", command], check=False, stdin=subprocess.DEVNULL).returncode


if __name__ == "__main__":
    _serve()
