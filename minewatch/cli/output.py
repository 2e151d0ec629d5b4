"""What commands print: data on stdout, everything else on stderr, one red line per error."""

from __future__ import annotations

import contextlib
import functools
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from minewatch.core.errors import MinewatchError, describe
from minewatch.core.files import wrap_disk_errors
from minewatch.core.logging import close_log, find_secrets, is_log_open, log_event, start_log
from minewatch.core.signals import NOTICE, exit_process, find_exit_code
from minewatch.core.text import LONGEST, printable, render_json, show
from minewatch.core.workspace import ENVIRONMENT_VARIABLE, Workspace, find_workspace

F = TypeVar("F", bound=Callable[..., Any])

DAY = click.DateTime(["%Y-%m-%d"])
"""Type of the options that are dates."""

CELL = 2000
"""Characters of a table cell; longer ones end in dots."""

WIDE = 240
"""Characters in a line of a table that goes to a file or a pipe, so that nothing is cut."""

LONGEST_LINE = 120
"""Characters of a case, an author or an organisation."""


@dataclass
class Session:
    """Options of every command."""

    folder: Path | None = None
    """The workspace folder, where it was given."""

    as_json: bool = False
    """Data as JSON."""

    traceback: bool = False
    """Errors with their traceback."""

    log_format: str = "text"
    """Format of stderr: ``text`` for people, or ``json``."""

    @property
    def workspace(self) -> Workspace:
        """Find the workspace; raises WorkspaceError where there is none."""
        return find_workspace(self.folder)


def common_options(command: F) -> F:
    """Add ``-w``, ``--json`` and ``--traceback`` to a command, and pass it a Session as its first argument."""

    @click.option(
        "-w",
        "--workspace",
        "workspace_folder",
        type=click.Path(path_type=Path),
        help=f"Workspace folder (or {ENVIRONMENT_VARIABLE}).",
    )
    @click.option("--json", "as_json", is_flag=True, help="Print data as JSON.")
    @click.option("--traceback", is_flag=True, help="Show where in the program an error arose.")
    @functools.wraps(command)
    def wrapped(workspace_folder: Path | None, as_json: bool, traceback: bool, **arguments: Any) -> Any:
        context = click.get_current_context()
        outer = context.find_object(Session) or Session()
        shown = as_json or outer.as_json, traceback or outer.traceback
        session = Session(workspace_folder or outer.folder, *shown, outer.log_format)
        configure_log(session)
        context.obj = session
        return guard(session, lambda: command(session, **arguments))

    return wrapped  # type: ignore[return-value]  # click's decorators lose the signature


def handover_options(command: F) -> F:
    """Add ``--for`` and ``--purpose`` to a command whose files leave the workspace, and pass it a Handover as ``handover``."""

    @click.option("--for", "recipient", default="", metavar="WHO", help="Who receives it, for the custody log.")
    @click.option("--purpose", default="", metavar="WHY", help="What for, for the custody log.")
    @functools.wraps(command)
    def wrapped(*arguments: Any, recipient: str, purpose: str, **choices: Any) -> Any:
        from minewatch.products.evidence.custody_log import Handover

        said = Handover(recipient=read_words("--for", recipient), purpose=read_words("--purpose", purpose))
        return command(*arguments, handover=said, **choices)

    return wrapped  # type: ignore[return-value]  # click's decorators lose the signature


def read_words(option: str, text: str) -> str:
    """Return what a person says of a handover on one line; raises UsageError where it is too long, or cannot be shown."""
    words = " ".join(text.split())
    if len(words) > LONGEST or not words.isprintable():
        raise click.UsageError(f"{option}: give at most {LONGEST} characters that can be printed")
    return words


def guard(session: Session, action: Callable[[], Any]) -> Any:
    """Run a command's body; an error that a user can understand becomes one red line and exit code 1."""
    try:
        with wrap_disk_errors():
            return action()
    except MinewatchError as error:
        if session.traceback:
            _show_trace(traceback.format_exc())
        complain(describe(error))
        sys.exit(1)
    except KeyboardInterrupt as stop:
        say(NOTICE)
        exit_process(find_exit_code(stop))


def configure_log(session: Session) -> None:
    """Write stderr as lines of JSON, where ``--log-format json`` is given."""
    close_log()
    if session.log_format == "json":
        settings: dict[str, Any] = {}
        with contextlib.suppress(MinewatchError):  # the command itself reports it
            settings = session.workspace.read_document()
        start_log(find_secrets(settings))


def _show_trace(text: str) -> None:
    if is_log_open():
        log_event("traceback", level="error", text=text)
    else:
        sys.stderr.write(printable(text))


def complain(text: str) -> None:
    """Print one red line on stderr."""
    if is_log_open():
        log_event("error", level="error", text=text)
        return
    from rich.console import Console
    from rich.text import Text

    Console(stderr=True, soft_wrap=True).print(Text(f"Error: {printable(text)}", "red"))


def say(text: str) -> None:
    """Print a line for the person on stderr."""
    if is_log_open():
        log_event("note", text=text)
        return
    click.echo(printable(text), err=True)  # without colours, and so without what colours need


def print_json(value: Any) -> None:
    """Print data as JSON on stdout."""
    click.echo(render_json(value, default=str))


def echo(text: str) -> None:
    """Print a line of data on stdout."""
    click.echo(printable(text))


def print_result(session: Session, facts: Any, lines: Iterable[object], notes: Iterable[str] = ()) -> None:
    """Print notes on stderr, then a result on stdout: ``facts`` as JSON where that is wanted, otherwise ``lines``."""
    for note in notes:
        say(note)
    if session.as_json:
        print_json(facts)
        return
    for line in lines:
        echo(str(line))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, wrap: bool = False) -> None:
    """Print a table on stdout, numbers aligned right; with ``wrap`` a long last column is wrapped."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold", show_header=any(columns))
    for index, name in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[index], int | float) for row in rows)
        table.add_column(name, justify="right" if numeric else "left", no_wrap=not (wrap and index == len(columns) - 1))
    for row in rows:
        table.add_row(*(Text(f"{value:.2f}" if isinstance(value, float) else show(value, CELL)) for value in row))
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDE)
    console.print(table)


def read_line(option: str, text: str) -> str:
    """Return a name or title that people print; raises UsageError where it is no short line."""
    line = " ".join(text.split())
    if len(line) > LONGEST_LINE or not line.isprintable():
        raise click.UsageError(f"{option}: give one line of at most {LONGEST_LINE} printable characters")
    return line
