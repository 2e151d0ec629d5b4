"""The command line: one library call a command."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import click

from minewatch import __version__
from minewatch.cli.groups import group_commands
from minewatch.cli.hints import explain_use
from minewatch.cli.output import Session, echo, say
from minewatch.core.certificates import share_network_settings
from minewatch.core.errors import WorkspaceError
from minewatch.core.logging import VARIABLE
from minewatch.core.signals import exit_early
from minewatch.core.text import printable
from minewatch.core.workspace import ENVIRONMENT_VARIABLE

COMMANDS = {
    "init": "scans", "demo": "scans", "aoi": "areas", "pipeline": "pipelines", "source": "sources", "scan": "scans",
    "alerts": "alerts", "context": "context", "explain": "accuracy", "validate": "accuracy", "doctor": "doctor",
    "qgis": "qgis", "image": "image", "animate": "animate", "report": "report", "verify": "verify", "pack": "handover",
    "receive": "handover", "stamp": "stamp", "prune": "prune", "watch": "watch", "schedule": "schedule", "status": "watch",
    "notify": "notify", "likeness": "likeness", "impact": "impact", "bulletin": "bulletin", "field": "field",
    "completion": "completion", "course": "course",
}  # fmt: skip
"""Command to the module of this package that defines it, as NAME or NAME_command."""


class Commands(click.Group):
    """A group that loads a command's module only when it is needed: loading all takes seconds."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name all commands."""
        del ctx
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load a command; None where there is none of this name."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        try:
            module = importlib.import_module(f"{__name__}.{COMMANDS[cmd_name]}")
        except KeyboardInterrupt as stop:
            exit_early(stop)
        found: click.Command = getattr(module, f"{cmd_name}_command", None) or getattr(module, cmd_name)
        return found

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command; an unknown one names those that are spelt alike."""
        if args[0] not in COMMANDS and not args[0].startswith("-") and not ctx.resilient_parsing:
            raise click.NoSuchCommand(args[0], possibilities=COMMANDS, ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands by what they are for, each with a line."""
        longest = max(map(len, COMMANDS))
        for title, names in group_commands(COMMANDS).items():
            commands = {name: self.get_command(ctx, name) for name in names}
            room = formatter.width - longest - 6
            with formatter.section(title):
                lines = [(name.ljust(longest), command.get_short_help_str(room)) for name, command in commands.items() if command]
                formatter.write_dl(lines)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; an error of its use names what was typed, or what a shell made of the names of files.

        A signal that comes before the command itself has begun ends it as any other does.
        """
        try:
            return super().invoke(ctx)
        except click.ClickException as error:
            hint = explain_use(error) if isinstance(error, click.UsageError) else ""
            if hint and isinstance(error, click.NoSuchOption):
                error.possibilities = None  # type: ignore[misc]  # options that are spelt alike, and mean something else
            error.message = printable(error.message + hint)  # type: ignore[misc]  # which is what click prints
            raise
        except KeyboardInterrupt as stop:  # before the command has begun: click would say "Aborted!"
            exit_early(stop)


def _show_version(context: click.Context, _option: click.Parameter, wanted: bool) -> None:
    """Print the versions that results depend on, and end; they are looked for only here."""
    if not wanted or context.resilient_parsing:
        return
    from minewatch.likeness.weights_version import read_version
    from minewatch.raster.gdal_version import describe_gdal

    python = ".".join(map(str, sys.version_info[:3]))
    echo(f"minewatch, version {__version__}\nPython {python}\n{describe_gdal()}\nmine-likeness {read_version()}")
    context.exit()


@click.group(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the versions of minewatch, GDAL and the mine-likeness, and exit.",
)
@click.option(
    "-w", "--workspace", "folder", type=click.Path(path_type=Path), help=f"Workspace folder (or {ENVIRONMENT_VARIABLE})."
)
@click.option("--traceback", is_flag=True, help="Show where in the program an error arose.")
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    envvar=VARIABLE,
    default="text",
    show_default=True,
    help=f"Format of stderr (or {VARIABLE}): text for people, or lines of JSON.",
)
@click.pass_context
def main(context: click.Context, folder: Path | None, traceback: bool, log_format: str) -> None:
    """Watch areas of interest for illegal mining in Sentinel-2 imagery.

    A workspace is a folder with a minewatch.toml: areas and settings in it, alerts and rasters in its output folder.

    \b
    Example:
      minewatch demo
      minewatch aoi add la-pampa --bbox -70.05,-12.95,-69.90,-12.80
      minewatch scan && minewatch alerts list
    """
    share_network_settings()
    context.obj = Session(folder, traceback=traceback, log_format=log_format)
    if context.invoked_subcommand is None:
        echo(context.get_help())
        say(_describe_place(context.obj))


def _describe_place(session: Session) -> str:
    """Return where the workspace is, or how to make one."""
    try:
        return f"\nThe workspace is {session.workspace.root}"
    except WorkspaceError as error:
        return f"\nThere is no workspace here: {error}"
