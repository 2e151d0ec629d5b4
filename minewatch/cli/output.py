"""What commands print: data on stdout, everything else on stderr, one red line per error."""

from __future__ import annotations

import contextlib
import functools
import math
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from minewatch.core.errors import MinewatchError, describe
from minewatch.core.files import wrap_disk_errors
from minewatch.core.logging import close_log, find_secrets, is_log_open, log_event, start_log
from minewatch.core.signals import NOTICE, exit_process, find_exit_code
from minewatch.core.text import LONGEST, printable, render_json
from minewatch.core.workspace import ENVIRONMENT_VARIABLE, Workspace, find_workspace

F = TypeVar("F", bound=Callable[..., Any])

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
    """Print data as JSON on stdout: numbers are numbers, those that are not known are null."""
    click.echo(render_json(_make_plain(value), default=str))


def _make_plain(value: Any) -> Any:
    """Return data with numbers of other libraries as Python's, and None for what JSON has no number for."""
    if isinstance(value, Mapping):
        return {key: _make_plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_make_plain(entry) for entry in value]
    if getattr(value, "ndim", None) == 0:  # of numpy
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


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


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], *, spare: Sequence[str] = (), wrap: bool = False, none: str = ""
) -> Sequence[str]:
    """Print a table on stdout, numbers aligned right, in the width of the terminal; return the columns that were left out.

    A file or a pipe gets it as wide as it is.  Without rows there is no table: the line ``none`` says so on stderr.

    Where there is no room, words of the last column are wrapped (``wrap``), the columns in ``spare`` are left out one by one,
    which a line says, or each row becomes a block.
    """
    from rich.console import Console
    from rich.text import Text

    from minewatch.cli.tables import lay_out

    if not rows:
        if none:
            say(none)
        return ()
    console = Console(soft_wrap=True, highlight=False)
    layout = lay_out(columns, rows, console.width if sys.stdout.isatty() else None, spare=spare, wrap=wrap)
    if not layout.lines:
        return ()
    text = Text("\n".join(layout.lines))
    if layout.has_head:
        text.stylize("bold", 0, len(layout.lines[0]))
    console.print(text)
    if layout.dropped:
        say(f"left out here: {', '.join(layout.dropped)}; a wider terminal shows all, and so does --json")
    return layout.dropped


def read_line(option: str, text: str) -> str:
    """Return a name or title that people print; raises UsageError where it is no short line."""
    line = " ".join(text.split())
    if len(line) > LONGEST_LINE or not line.isprintable():
        raise click.UsageError(f"{option}: give one line of at most {LONGEST_LINE} printable characters")
    return line


def read_names(option: str, text: str, known: Sequence[str]) -> tuple[str, ...]:
    """Return names given with commas, each once; raises UsageError where one is not known, or there is none."""
    names = tuple(dict.fromkeys(name.strip().lower() for name in text.split(",") if name.strip()))
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise click.UsageError(f"{option}: {', '.join(unknown) or 'nothing'} cannot be written; known: {', '.join(known)}")
    return names
