"""``minewatch schedule``."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from minewatch.cli.output import Session, common_options, echo, print_json, print_table, say
from minewatch.cli.watch import read_clock
from minewatch.core.errors import WorkspaceError
from minewatch.core.files import publish_bytes
from minewatch.core.workspace import Workspace
from minewatch.settings.cron import EVERY_MINUTES

if TYPE_CHECKING:
    from minewatch.operations.schedule import Schedule
    from minewatch.operations.systemd import Installation, UnitOptions

F = TypeVar("F", bound=Callable[..., Any])

SHOWN_RUNS = 3
"""Coming runs of each schedule that are shown."""


@click.group("schedule")
def schedule() -> None:
    """See when areas are scanned, and let the system start the watch.

    \b
    In minewatch.toml:
      [schedules.nightly]
      areas = ["*"]
      cron = "30 2 * * *"

    \b
    Example:
      minewatch schedule show
      minewatch schedule install --systemd --dry-run
    """


def timer_options(command: F) -> F:
    """Add the options for how the system starts the watch to a command."""
    for option in (
        click.option("--name", help="Name of the units.  [default: after the workspace's folder]"),
        click.option(
            "--every",
            type=click.Choice(["5", "10", "15", "20", "30", "60"]),
            default=str(EVERY_MINUTES),
            show_default=True,
            help="How often the system checks what is due, in minutes.",
        ),
        click.option("--user", is_flag=True, help="For your own systemd, not the system's; needs no root."),
        click.option("--cron", "kind", flag_value="cron", help="A line for your crontab."),
        click.option("--systemd", "kind", flag_value="systemd", help="A service and its timer."),
    ):
        command = option(command)
    return command


@schedule.command("show")
@timer_options
@common_options
def show(session: Session, kind: str | None, user: bool, every: str, name: str | None) -> None:
    """Show the schedules and when they begin next; with --systemd or --cron what install would write.

    \b
    Example:
      minewatch schedule show
      minewatch schedule show --systemd
    """
    from minewatch.operations.run_log import read_runs
    from minewatch.operations.schedule import explain_schedules, read_timetable

    workspace = session.workspace
    if kind:
        from minewatch.operations.systemd import UnitOptions

        _print_files(_make_installation(workspace, kind, UnitOptions(user, None, name, int(every))), as_json=session.as_json)
        return
    now = read_clock()
    timetable = read_timetable(workspace, read_runs(workspace))
    for line in explain_schedules(timetable.schedules, timetable.areas):
        say(line)
    due = {found.schedule.name: found.areas for found in timetable.find_due(now)}
    if session.as_json:
        rows = [
            {
                "schedule": one.name,
                "priority": one.priority,
                "cron": one.cron,
                "pipeline": one.pipeline,
                "source": one.source,
                "areas": list(one.areas),
                "due": list(due.get(one.name, ())),
                "next": [time.isoformat() for time in _list_times(one, now)],
            }
            for one in timetable.schedules
        ]
        print_json({"time": now.isoformat(), "schedules": rows})
        return
    if timetable.schedules:
        columns = ("schedule", "priority", "cron (UTC)", "pipeline", "next on this machine (UTC)", "areas")
        print_table(columns, [_list_cells(one, now) for one in timetable.schedules], spare=("priority",), wrap=True)
    for one in timetable.schedules:
        if one.source:
            say(f"{one.name}: scenes from {one.source}, in place of the areas' own source")
    for title, areas in due.items():
        say(f"{title}: due now: {', '.join(areas)}")


def _list_times(one: Schedule, now: dt.datetime) -> list[dt.datetime]:
    """Return the next times at which a schedule begins; none where it has no area."""
    times = [now]
    for _ in range(SHOWN_RUNS if one.areas else 0):
        times.append(one.find_next(times[-1]))
    return times[1:]


def _list_cells(one: Schedule, now: dt.datetime) -> tuple[str | int, ...]:
    times = ", ".join(f"{time:%Y-%m-%d %H:%M}" for time in _list_times(one, now))
    return one.name, one.priority, one.cron, one.pipeline or "each area's own", times, ", ".join(one.areas)


@schedule.command("install")
@timer_options
@click.option("-o", "folder", type=click.Path(path_type=Path), metavar="DIR", help="Write the files there.")
@click.option("--dry-run", is_flag=True, help="Print the files, write none.")
@common_options
def install(
    session: Session, kind: str | None, user: bool, every: str, name: str | None, folder: Path | None, dry_run: bool
) -> None:
    """Write the files with which the system starts the watch: a systemd service with its timer, or a line for cron.

    Nothing is started: the commands that do are printed.  The system only checks every few minutes what is due; the times
    are set in minewatch.toml alone.

    \b
    Example:
      minewatch schedule install --systemd --user
      minewatch schedule install --systemd -o units --dry-run
      minewatch schedule install --cron
    """
    from minewatch.operations.systemd import UnitOptions, escape_percent

    if kind is None:
        raise click.UsageError("choose one: --systemd or --cron")
    made = _make_installation(session.workspace, kind, UnitOptions(user, folder, name, int(every)))
    if dry_run:
        _print_files(made, as_json=session.as_json)
        return
    for path in made.files:
        # A file of this name may start something else.
        if path.is_file() and escape_percent(str(session.workspace.root)) not in path.read_text("utf-8", "replace"):
            raise WorkspaceError(f"{path} is there and starts something else; choose another name with --name")
    for path, text in made.files.items():
        _write(path, text)
    if session.as_json:
        print_json({"written": [str(path) for path in made.files], "steps": made.steps, "variables": made.variables})
        return
    for path in made.files:
        say(f"written: {path}")
    _print_steps(made)


def _make_installation(workspace: Workspace, kind: str, options: UnitOptions) -> Installation:
    from minewatch.operations.systemd import make_crontab, make_units

    if kind == "cron" and options.user:
        raise click.UsageError("--user goes with --systemd; a crontab is yours anyway")
    return make_units(workspace, options) if kind == "systemd" else make_crontab(workspace, options)


def _write(path: Path, text: str) -> None:
    try:
        publish_bytes(path, text.encode("utf-8"))
        path.chmod(0o644)  # the system reads them; they hold no secret
    except WorkspaceError as error:
        raise WorkspaceError(f"{error}, or name another folder with -o") from error
    except OSError as error:
        raise WorkspaceError(f"cannot write {path}: {error.strerror}; name another folder with -o") from error


def _print_files(made: Installation, *, as_json: bool) -> None:
    if as_json:
        print_json({"files": {str(path): text for path, text in made.files.items()}, "steps": made.steps})
        return
    for path, text in made.files.items():
        echo(f"# {path}\n{text}")
    _print_steps(made)


def _print_steps(made: Installation) -> None:
    if made.variables:
        say(f"put the secrets {', '.join(made.variables)} into {made.secrets} (mode 0600), one NAME=VALUE a line")
    say("nothing was started; to start it:")
    for step in made.steps:
        say(f"  {step}")
