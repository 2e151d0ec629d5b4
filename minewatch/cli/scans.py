"""``minewatch init``, ``scan`` and ``demo``."""

from __future__ import annotations

import datetime as dt
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from minewatch.alerts.record import PROVISIONAL
from minewatch.cli.complete import complete_area, complete_pipeline, complete_source
from minewatch.cli.output import DAY, Session, common_options, echo, print_json, print_table, say
from minewatch.core.progress import reporting
from minewatch.core.text import count_of, format_day
from minewatch.core.workspace import find_enclosing

if TYPE_CHECKING:
    from minewatch.operations.scan_report import AreaReport, ScanReport


@click.command("init")
@click.argument("folder", type=click.Path(path_type=Path), default=".", metavar="[DIR]")
@common_options
def init(session: Session, folder: Path) -> None:
    """Make DIR (the current folder) a workspace: settings, the default pipeline, empty folders.

    \b
    Example:
      minewatch init watch-peru
    """
    from minewatch.settings.document import init_workspace

    outer = find_enclosing(folder)
    workspace = init_workspace(folder)
    if outer:
        say(f"this workspace lies inside another one, {outer}: commands below {workspace.root} take the inner one, and no other")
    if session.as_json:
        print_json({"workspace": str(workspace.root)} | ({"inside": str(outer)} if outer else {}))
    else:
        say(f"workspace made in {workspace.root}; next: minewatch aoi add NAME FILE")


@click.command("scan")
@click.argument("names", nargs=-1, metavar="[AOI ...]", shell_complete=complete_area)
@click.option("--pipeline", help="Pipeline in place of each area's own.", shell_complete=complete_pipeline)
@click.option(
    "--source",
    metavar="NAME|URL|PATH",
    help="Provider, STAC API or static catalogue in place of the workspace's.",
    shell_complete=complete_source,
)
@click.option("--since", type=DAY, help="First acquisition that may raise an alert, in place of each area's monitor_from.")
@click.option("--until", type=DAY, help="As-of date: nothing acquired later has any influence.  [default: today]")
@click.option("--into", type=click.Path(path_type=Path), metavar="DIR", help="Write table and rasters there; the archive stays.")
@click.option("--scheduler", metavar="ADDRESS", help="Run on this Dask cluster (tcp://host:port) in place of local threads.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a setting of the pipeline for this scan.")
@click.option("--check-archive", is_flag=True, help="First compare every file of the archive with its checksum.")
@common_options
def scan_command(
    session: Session,
    names: tuple[str, ...],
    pipeline: str | None,
    source: str | None,
    since: dt.datetime | None,
    until: dt.datetime | None,
    into: Path | None,
    scheduler: str | None,
    overrides: tuple[str, ...],
    check_archive: bool,
) -> None:
    """Scan areas (all of them without names): fetch new scenes, find changes, update the alerts.

    Exit code 3: done, but some scenes could not be read, some areas not searched, or some evidence not written; the next
    scan tries them again.

    \b
    Example:
      minewatch scan la-pampa
      minewatch scan --since 2024-01-01 --until 2024-06-30 --into what-if --set alerts.min_area_ha=0.5
      minewatch scan la-pampa --source ./my-catalogue --json
    """
    from minewatch.operations.plan import ScanRequest
    from minewatch.operations.scan import scan
    from minewatch.operations.scan_report import describe_scan

    if since and until and until < since:
        raise click.UsageError(f"--until {until:%Y-%m-%d} is before --since {since:%Y-%m-%d}")
    window = since and since.date(), until and until.date()
    request = ScanRequest(names, pipeline, overrides, source, *window, scheduler, check_archive)
    workspace = session.workspace
    if into:
        workspace = replace(workspace, output_root=into.resolve())
    with reporting() as reporter:
        report = scan(workspace, request, reporter)
    if session.as_json:
        print_json(describe_scan(report))
    else:
        print_summary(report)
        say(f"alerts: {workspace.alerts} and {workspace.alerts_csv}")
    if report.failures:
        say(f"{count_of(report.failures, 'scene')} could not be used; details in {report.record}")
    for failed in report.failed_areas:
        say(f"{failed.aoi}: not scanned, its alerts stay as they were: {failed.reason}")
    if report.failures or report.failed_areas or report.evidence_missing:
        sys.exit(3)


def print_summary(report: ScanReport) -> None:
    """Print what a scan did: one line an area, then what could not be seen."""
    work, events = ("area", "scenes", "read", "used", "skipped"), ("new", "grown", "unchanged")
    columns = (*work, "confirmed", "still bare", "green again", "provisional", *events, "unseen %")
    print_table(columns, [_summarise(area) for area in report.areas])
    for area in report.areas:
        provisional = sum(alert.status == PROVISIONAL for alert in area.alerts)
        more = f"; {provisional} provisional" if provisional else ""
        echo(
            f"{area.plan.aoi.name}, as of {format_day(area.plan.until)}: {area.fates.describe(area.plan.monitor_from)}{more}; "
            f"{area.visibility}"
        )
        for note in [*area.notes, *(f"skipped {failure.id}: {failure.reason}" for failure in area.failures)]:
            echo(f"  {note}")
        if area.found.cloudy:
            echo(f"  skipped {count_of(len(area.found.cloudy), 'scene')} with more cloud than the pipeline allows")


def _summarise(area: AreaReport) -> Sequence[str | int | float]:
    events = area.table_changes.events
    skipped = len(area.failures) + len(area.found.cloudy)
    status = Counter(alert.status for alert in area.alerts)
    return (
        area.plan.aoi.name,
        area.scenes_found,
        area.fetched,
        len(area.observations),
        skipped,
        area.fates.confirmed,
        area.fates.still_bare,
        area.fates.green_again,
        status[PROVISIONAL],
        events["new"],
        events["grown"],
        events["unchanged"],
        round(100 * area.coverage.unseen, 1),
    )


@click.command("demo")
@click.argument("folder", type=click.Path(path_type=Path), default="demo", metavar="[DIR]")
@common_options
def demo(session: Session, folder: Path) -> None:
    """Make a workspace in DIR (demo) with simulated scenes, scan it, and show the alerts.  Needs no network.

    \b
    Example:
      minewatch demo /tmp/minewatch-demo
    """
    from minewatch.alerts.rows import read_rows
    from minewatch.cli.listing import print_alerts
    from minewatch.operations.demo import run_demo
    from minewatch.operations.scan_report import describe_scan

    with reporting() as reporter:
        result = run_demo(folder, reporter)
    alerts = read_rows(result.workspace.alerts)
    files = {
        "alerts": result.workspace.alerts,
        "table": result.workspace.alerts_csv,
        "picture": result.picture,
        "truth": result.truth,
    }
    if session.as_json:
        print_json(describe_scan(result.report) | {"files": {name: str(path) for name, path in files.items()}})
        return
    print_alerts(alerts)
    print_summary(result.report)
    for name, path in files.items():
        echo(f"{name:8} {path}")
