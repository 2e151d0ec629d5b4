"""The command line: one library call a command."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import click

from minewatch import __version__
from minewatch.cli.output import Session
from minewatch.core.certificates import share_network_settings
from minewatch.core.logging import VARIABLE
from minewatch.core.signals import exit_early
from minewatch.core.text import printable
from minewatch.core.workspace import ENVIRONMENT_VARIABLE

COMMANDS = {
    "init": "scans", "demo": "scans", "aoi": "areas", "pipeline": "pipelines", "source": "sources", "scan": "scans",
    "alerts": "alerts", "context": "context", "explain": "accuracy", "validate": "accuracy", "doctor": "doctor",
    "qgis": "qgis", "image": "image", "animate": "animate", "report": "report", "verify": "verify", "pack": "handover",
    "receive": "handover", "stamp": "stamp", "prune": "prune", "watch": "watch", "schedule": "schedule", "status": "watch",
    "notify": "notify", "likeness": "likeness", "course": "course",
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

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; an error of its use names what was typed, or what a shell made of the names of files.

        A signal that comes before the command itself has begun ends it as any other does.
        """
        try:
            return super().invoke(ctx)
        except click.ClickException as error:
            error.message = printable(error.message)  # type: ignore[misc]  # which is what click prints
            raise
        except KeyboardInterrupt as stop:  # before the command has begun: click would say "Aborted!"
            exit_early(stop)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="minewatch")
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
      minewatch init watch && cd watch
      minewatch aoi add la-pampa --bbox -70.05,-12.95,-69.90,-12.80
      minewatch scan
      minewatch alerts list
    """
    share_network_settings()
    context.obj = Session(folder, traceback=traceback, log_format=log_format)
