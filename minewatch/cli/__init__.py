"""The command line: one library call a command."""

from __future__ import annotations

from pathlib import Path

import click

from minewatch import __version__
from minewatch.cli.accuracy import explain, validate
from minewatch.cli.alerts import alerts
from minewatch.cli.animate import animate
from minewatch.cli.areas import aoi
from minewatch.cli.context import context as context_command
from minewatch.cli.doctor import doctor
from minewatch.cli.evidence import pack, verify
from minewatch.cli.image import image
from minewatch.cli.notify import notify
from minewatch.cli.output import Session
from minewatch.cli.pipelines import pipeline
from minewatch.cli.prune import prune_command
from minewatch.cli.qgis import qgis
from minewatch.cli.report import report
from minewatch.cli.scans import demo, init, scan_command
from minewatch.cli.schedule import schedule
from minewatch.cli.sources import source
from minewatch.cli.watch import status, watch
from minewatch.journal import VARIABLE
from minewatch.workspace import ENVIRONMENT_VARIABLE


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
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
    help=f"How stderr speaks (or {VARIABLE}): text for people, or lines of JSON.",
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
    context.obj = Session(folder, traceback=traceback, log_format=log_format)


for command in (
    init, demo, aoi, pipeline, source, scan_command, alerts, context_command, explain, validate, doctor, qgis,
    image, animate, report, verify, pack, prune_command, watch, schedule, status, notify,
):  # fmt: skip
    main.add_command(command)
